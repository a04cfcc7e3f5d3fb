"""One request to the console, as a page or an action gets it: session, path, query and form."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl, unquote

from starlette.requests import ClientDisconnect, Request

from console.sessions import Session

#: No form of the console is longer.
MAX_BODY_BYTES: Final = 8_192
MAX_FIELDS: Final = 20
#: A browser sends a form at once.
BODY_SECONDS: Final = 10.0


class UnusableForm(Exception):
    """The body is no form of the console."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleRequest:
    """What an operator asks for."""

    session: Session
    path: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    form: Mapping[str, str] = field(default_factory=dict)
    #: The page's own address, without the server's.
    url: str = "/"

    def shows(self, who: str) -> bool:
        """Return whether this session has revealed the person with this hash."""
        return who in self.session.shown

    def is_ours(self) -> bool:
        """Return whether the form that was posted is one of this session's own pages."""
        return secrets.compare_digest(self.form.get("csrf", "").encode(), self.session.csrf.encode())


async def form_of(request: Request) -> dict[str, str]:
    """Return the fields of a form that was posted. Raises `UnusableForm`."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/x-www-form-urlencoded":
        raise UnusableForm("a form is application/x-www-form-urlencoded")
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MAX_BODY_BYTES:
                    raise UnusableForm("the form is too long")
    except (ClientDisconnect, TimeoutError):
        raise UnusableForm("the form is incomplete") from None
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict")
    except ValueError:
        raise UnusableForm("the form cannot be read") from None
    return dict(pairs)


def local_path(given: str) -> str:
    r"""Return a path of this server to go to after a login or a reveal; anything else becomes the overview.

    A browser takes `//host`, `/\host` and a path with control characters for another server's address.
    """
    decoded = unquote(given)
    is_local = given.startswith("/") and not decoded.startswith(("//", "/\\"))
    is_plain = given.isascii() and decoded.isprintable() and "\\" not in decoded and ":" not in given.partition("?")[0]
    return given if is_local and is_plain else "/"
