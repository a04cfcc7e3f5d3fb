"""Where Twilio posts the texts of our numbers: what stands there, what should, and the change from one to the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from dadacat.settings import Settings
from sms.account import Number, TwilioAccount

#: How Twilio treats a webhook that does not answer: three more tries, on whatever went wrong, two seconds to connect, four for the answer.
#: By default it tries once more, and only where it could not connect (https://www.twilio.com/docs/usage/webhooks/webhooks-connection-overrides).
OVERRIDES: Final = "#rc=3&rp=all&ct=2000&rt=4000"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One number: what stands at Twilio (None: the account has no such number), and what should."""

    number: str
    stands: Number | None
    url: str
    fallback: str

    @property
    def is_needed(self) -> bool:
        """Whether something has to be changed."""
        stands = self.stands
        return stands is not None and (stands.url, stands.fallback, stands.method) != (self.url, self.fallback, "POST")

    def lines(self) -> list[str]:
        """What would change, as a person reads it."""
        if self.stands is None:
            return [f"{self.number}: the account has no such number"]
        if not self.is_needed:
            return [f"{self.number}: is connected"]
        found = [f"{self.number}:"]
        for name, was, becomes in (
            ("texts", self.stands.url, self.url),
            ("fallback", self.stands.fallback, self.fallback),
            ("method", self.stands.method, "POST"),
        ):
            if was != becomes:
                found += [f"  - {name} {was or '(nowhere)'}", f"  + {name} {becomes}"]
        return found


def wanted(chosen: Settings) -> tuple[str, str]:
    """Where texts are to be posted, and where when that fails."""
    return f"{chosen.public_url}/sms{OVERRIDES}", f"{chosen.public_url}/sms/fallback"


def changes(chosen: Settings, account: TwilioAccount) -> Sequence[Change]:
    """What stands at Twilio for each of our numbers. Short codes are set in the console. Raises `CarrierAway`."""
    url, fallback = wanted(chosen)
    numbers = [number for number in chosen.numbers if number.startswith("+")]
    return [Change(number=number, stands=account.number(number), url=url, fallback=fallback) for number in numbers]


def carry_out(account: TwilioAccount, wanted_: Sequence[Change]) -> int:
    """Make the changes that are needed; how many there were. Raises `CarrierAway`."""
    needed = [change for change in wanted_ if change.is_needed]
    for change in needed:
        assert change.stands is not None
        account.post_texts_to(change.stands, url=change.url, fallback=change.fallback)
    return len(needed)
