"""Compare where Twilio posts the texts of our numbers with where it should, and change it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from runtime.settings import Settings
from sms import webhook_urls
from sms.account import Number, TwilioAccount


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """The settings of one number: as they stand at Twilio, and as they should be."""

    number: str
    #: None if the account has no such number.
    stands: Number | None
    url: str
    fallback: str

    @property
    def is_needed(self) -> bool:
        """Whether the settings at Twilio differ from the wanted ones."""
        stands = self.stands
        return stands is not None and (stands.url, stands.fallback, stands.method) != (self.url, self.fallback, "POST")

    def lines(self) -> list[str]:
        """Describe the change for the operator, one line per setting."""
        if self.stands is None:
            return [f"{self.number}: the account has no such number"]
        if not self.is_needed:
            return [f"{self.number}: is connected"]
        lines = [f"{self.number}:"]
        for name, current, wanted_value in (
            ("texts", self.stands.url, self.url),
            ("fallback", self.stands.fallback, self.fallback),
            ("method", self.stands.method, "POST"),
        ):
            if current != wanted_value:
                lines += [f"  - {name} {current or '(nowhere)'}", f"  + {name} {wanted_value}"]
        return lines


def changes(chosen: Settings, account: TwilioAccount) -> Sequence[Change]:
    """Compare each of our numbers with its settings at Twilio. Raises `CarrierAway`.

    Short codes are left out: they are set in Twilio's console.
    """
    url, fallback = webhook_urls.for_texts(chosen.webhook.public_url), webhook_urls.fallback(chosen.webhook.public_url)
    numbers = [number for number in chosen.twilio.numbers if number.startswith("+")]
    return [Change(number=number, stands=account.number(number), url=url, fallback=fallback) for number in numbers]


def carry_out(account: TwilioAccount, wanted_: Sequence[Change]) -> int:
    """Make the changes that are needed and return their number. Raises `CarrierAway`."""
    needed = [change for change in wanted_ if change.is_needed]
    for change in needed:
        assert change.stands is not None
        account.post_texts_to(change.stands, url=change.url, fallback=change.fallback)
    return len(needed)
