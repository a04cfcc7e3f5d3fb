"""Numbers with a fixed outcome, as with Twilio's test credentials.

https://www.twilio.com/docs/iam/test-credentials#test-sms-messages (read 2026-11). A number of the account is an
ordinary number, whatever it is. Unlike with test credentials, all other messages are delivered to a telephone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple


class Refusal(NamedTuple):
    """The answer to a message from or to a magic number."""

    status: int
    code: int
    sentence: str


FROM: Final[Mapping[str, Refusal]] = {
    "+15005550001": Refusal(400, 21212, "Invalid From Number (caller ID): +15005550001"),
    "+15005550007": Refusal(
        400, 21606,
        "The From phone number +15005550007 is not a valid, SMS-capable inbound phone number or short code for your "
        "account.",
    ),
    "+15005550008": Refusal(429, 21611, "This 'From' number has exceeded the maximum number of queued messages"),
}  # fmt: skip

TO: Final[Mapping[str, Refusal]] = {
    "+15005550001": Refusal(400, 21211, "Invalid 'To' Phone Number: +1500555XXXX"),
    "+15005550002": Refusal(400, 21612, "Message cannot be sent with the current combination of 'To' and 'From'."),
    "+15005550003": Refusal(
        400, 21408, "Permission to send an SMS has not been enabled for the region indicated by the 'To' number."
    ),
    "+15005550004": Refusal(400, 21610, "Attempt to send to unsubscribed recipient"),
    "+15005550009": Refusal(400, 21614, "'To' number is not a valid mobile number"),
}
