"""The account of the network, and its logins."""

from __future__ import annotations

import secrets
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The only account of this network."""

    sid: str
    token: str
    api_key: str = ""
    api_secret: str = ""
    messaging_service_sid: str = ""

    def accepts_login(self, username: str, password: str) -> bool:
        """Whether this login is the account's, by auth token or by API key."""
        pairs = [(self.sid, self.token)] + ([(self.api_key, self.api_secret)] if self.api_key else [])
        return any(
            secrets.compare_digest(username.encode(), name.encode())
            and secrets.compare_digest(password.encode(), word.encode())
            for name, word in pairs
        )
