"""Keep strangers' pages out of ours: they must not read it, act on it, frame it, or run a script.

A page that an attacker's site shows in the user's browser reaches 127.0.0.1 too. So an application answers only to
names of its own (an attacker's name that is made to point at this machine is refused), takes changes from no page but
its own, and lets the browser run nothing that was uploaded. Programs send no `Origin`; they need no more than before.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: These methods change nothing.
READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})
#: A picture that is opened by itself is a document, and an SVG picture may hold a script.
FILE_POLICY: Final = "default-src 'none'; sandbox"
#: On every answer.
_HEADERS: Final = {"x-content-type-options": "nosniff", "cross-origin-resource-policy": "same-origin"}

_STRANGER: Final = "this server answers only to its own address\n"
_OTHER_PAGE: Final = "only this server's own page may do this\n"


class Guarded:
    """Wrap an application.

    It answers to IP addresses, to `localhost`, and to `own_name`, such as `simulator` in a compose file.
    `page_policy`: the content security policy of its pages. `headers`: more headers for every answer.
    """

    def __init__(
        self, app: ASGIApp, own_name: str, *, page_policy: str, headers: Mapping[str, str] | None = None
    ) -> None:
        self._app = app
        self._names = frozenset({"localhost", own_name})
        self._page_policy = page_policy
        self._headers = {**_HEADERS, **(headers or {})}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or pass it on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        send = self._with_policy(send)
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if not self._is_own(host):
            await PlainTextResponse(_STRANGER, status_code=421)(scope, receive, send)
        elif scope["method"] not in READING and not _is_from_own_page(headers, host):
            await PlainTextResponse(_OTHER_PAGE, status_code=403)(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _is_own(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        return name in self._names or _is_address(name)

    def _with_policy(self, send: Send) -> Send:
        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                is_page = headers.get("content-type", "").startswith("text/html")
                headers["content-security-policy"] = self._page_policy if is_page else FILE_POLICY
                headers.update(self._headers)
            await send(message)

        return guarded


def _is_address(name: str) -> bool:
    """Return whether a host is an IP address: no attacker's name server decides where it leads."""
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _is_from_own_page(headers: Headers, host: str) -> bool:
    """Return whether a request came from a page of this host, or from a program."""
    origin = headers.get("origin")
    if origin is not None:
        return origin in {f"http://{host}", f"https://{host}"}
    return headers.get("sec-fetch-site", "none") in {"none", "same-origin"}
