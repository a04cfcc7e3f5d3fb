"""What a model server's adapter raises; `cat.engines.model` turns it into the errors of this package."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Final

#: Statuses with which a healthy server rejects a request: it is too long, or holds what is not accepted.
REFUSED: Final = frozenset({400, 413, 415, 422})
#: Statuses after which the same server may answer a moment later. 529: overloaded, by Anthropic's pages.
_TRANSIENT: Final = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
#: What Google says of a key with a 400 (https://ai.google.dev/gemini-api/docs/troubleshooting, 2026-11).
_OF_THE_KEY: Final = re.compile(r"API_KEY_INVALID|API key (?:not valid|not found|expired)", re.IGNORECASE)
#: What Anthropic and Google say of an account with a 400: no request is accepted, whatever it holds.
_OF_THE_ACCOUNT: Final = re.compile(r"credit balance is too low|location is not supported", re.IGNORECASE)


class Rejected(Exception):
    """The server answered with an error: its name, such as `BadRequestError`, and its HTTP status."""

    def __init__(self, kind: str, status: int, body: str = "") -> None:
        super().__init__(f"{kind} {status}" if status else kind)
        self.status = status
        self.body = body

    @property
    def of_key(self) -> bool:
        """The key is wrong, or has no right to the model."""
        return self.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN) or (
            self.status == HTTPStatus.BAD_REQUEST and _OF_THE_KEY.search(self.body) is not None
        )

    @property
    def refused(self) -> bool:
        """The server is healthy and rejects this request."""
        return self.status in REFUSED and not self.of_key and not _OF_THE_ACCOUNT.search(self.body)

    @property
    def malformed(self) -> bool:
        """The form of the request may be at fault."""
        return self.status in (HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY)

    @property
    def may_name_options(self) -> bool:
        """The error may say what to leave out; some servers say it with a 500."""
        return self.refused or self.status in (HTTPStatus.NOT_FOUND, HTTPStatus.INTERNAL_SERVER_ERROR)

    @property
    def transient(self) -> bool:
        """The same server may answer a moment later."""
        return self.status in _TRANSIENT


class Unreached(Exception):
    """No answer came: the server is away, too slow, or broke off. `kind` is the error's name."""

    def __init__(self, kind: str, *, late: bool = False) -> None:
        super().__init__(kind)
        self.kind = kind
        self.late = late


class NoWords(Exception):
    """An answer came, and holds no words for the person.

    - `cut`: the token limit ended it before its first word.
    - `refused`: the model or a filter declined.
    """

    def __init__(self, why: str, *, cut: bool = False, refused: bool = False) -> None:
        super().__init__(why)
        self.cut = cut
        self.refused = refused
