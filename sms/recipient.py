"""Which texts are for this installation."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from sms.messages import InboundSms, UnusableText, bare

_SERVICE: Final = re.compile(r"MG[0-9a-fA-F]{32}")


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
        """Raise `UnusableText` for a text to another number, or by what cannot be a messaging service."""
        service = text.messaging_service_sid
        if service and service != self.messaging_service_sid and not _SERVICE.fullmatch(service):
            raise UnusableText("MessagingServiceSid is not the id of a messaging service")
        if not self.numbers or bare(text.to) in self.numbers:
            return
        if not self.messaging_service_sid or service != self.messaging_service_sid:
            raise UnusableText("To is not one of our numbers")
