"""Which texts are for this installation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sms.errors import UnusableText
from sms.messages import InboundSms, bare


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipient:
    """The account and the numbers that this installation answers for."""

    account_sid: str
    #: Empty: every number of the account.
    numbers: frozenset[str] = field(default_factory=frozenset)
    messaging_service_sid: str = ""

    def check_account(self, form: Mapping[str, str]) -> None:
        """Raise `UnusableText` for a request about another account."""
        if form.get("AccountSid") != self.account_sid:
            raise UnusableText("AccountSid is not ours")

    def check(self, text: InboundSms) -> None:
        """Raise `UnusableText` for a text to another number."""
        if not self.numbers or bare(text.to) in self.numbers:
            return
        if not self.messaging_service_sid or text.messaging_service_sid != self.messaging_service_sid:
            raise UnusableText("To is not one of our numbers")
