"""The URLs to which Twilio posts the texts of a number, with our retry rules."""

from __future__ import annotations

from typing import Final

#: How Twilio treats a webhook that does not answer: three more tries after any kind of failure,
#: two seconds to connect, four seconds for the answer.
#: By default Twilio tries once more, and only if it could not connect
#: (https://www.twilio.com/docs/usage/webhooks/webhooks-connection-overrides).
RETRY_RULES: Final = "#rc=3&rp=all&ct=2000&rt=4000"


def for_texts(public_url: str) -> str:
    """Return the URL for texts."""
    return f"{public_url}/sms{RETRY_RULES}"


def fallback(public_url: str) -> str:
    """Return the URL that Twilio uses if the one for texts fails."""
    return f"{public_url}/sms/fallback"
