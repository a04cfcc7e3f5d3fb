"""Who is at the console: the cookie of a session, or the header of a reverse proxy."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

from console.sessions import LONGEST, Session, Sessions, stamp
from operations import logins
from operations.logins import Login, Role

#: The header in which a reverse proxy proves that it is one: others could send the name as well.
PROXY_SECRET_HEADER: Final = "x-console-proxy-secret"  # noqa: S105 - a header's name
#: Over https the browser takes a cookie of this name from nowhere else.
_SECURE_COOKIE: Final = "__Host-dadacat-console"
_COOKIE: Final = "dadacat-console"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """A reverse proxy: its secret, and the header with the operator's name if it logs operators in."""

    header: str
    secret: str

    def name(self, headers: Mapping[str, str]) -> str | None:
        """Return the operator whom the proxy has logged in; None if it logs none in, or is not this proxy."""
        return headers.get(self.header) or None if self.header and self.is_it(headers) else None

    def is_it(self, headers: Mapping[str, str]) -> bool:
        """Return whether a request came through the proxy."""
        given = headers.get(PROXY_SECRET_HEADER, "")
        return secrets.compare_digest(given.encode(), self.secret.encode())


@dataclass(frozen=True, slots=True, kw_only=True)
class Authentication:
    """Finds out who sends a request. `logins` reads the logins as they are now."""

    sessions: Sessions
    logins: Callable[[], Mapping[str, Login]]
    #: The console is reached over https.
    secure: bool
    proxy: Proxy | None = None

    def lasts(self, request: HTTPConnection) -> bool:
        """Return whether the session of a request has not ended, without prolonging it. Raises `InboxAway`."""
        session = self.sessions.find(request.cookies.get(self.cookie, ""))
        return session is not None and self._is_current(session)

    def session(self, request: HTTPConnection) -> tuple[Session | None, str]:
        """Return the session of a request, and the token of a cookie to set: a proxy's request begins one.

        Raises `InboxAway`.
        """
        session = self.sessions.use(request.cookies.get(self.cookie, ""))
        name = self.proxy.name(request.headers) if self.proxy else None
        login = self._login(name) if name is not None else None
        if session is not None and (login is None or login.name == session.name) and self._is_current(session):
            return session, ""
        if login is None:
            return None, ""
        token = self.sessions.open(login)
        return self.sessions.find(token), token

    def address(self, request: Request) -> str:
        """Return the address from which a request came; a proxy that proves itself passes it on."""
        passed_on = request.headers.get("x-forwarded-for", "").rpartition(",")[2].strip()
        if passed_on and self.proxy is not None and self.proxy.is_it(request.headers):
            return passed_on[:64]
        return request.client.host if request.client else "unknown"

    def enter(self, name: str, password: str) -> Login | None:
        """Return the login with this name and password. Takes a moment."""
        return logins.verified(self.logins(), name, password)

    def set_cookie(self, response: Response, token: str) -> None:
        """Give the browser the token of a session."""
        response.set_cookie(
            self.cookie,
            token,
            max_age=int(LONGEST.total_seconds()),
            secure=self.secure,
            httponly=True,
            samesite="lax",
        )

    def drop_cookie(self, response: Response) -> None:
        """Have the browser forget the token."""
        response.delete_cookie(self.cookie, secure=self.secure, httponly=True, samesite="lax")

    @property
    def cookie(self) -> str:
        """The name of the cookie."""
        return _SECURE_COOKIE if self.secure else _COOKIE

    def _is_current(self, session: Session) -> bool:
        """Return whether the session's login is as it was when the session began."""
        return session.stamp == stamp(self._login(session.name))

    def _login(self, name: str) -> Login:
        """Return the login of a name; without a line in the file, it can only be the proxy's, and may look."""
        return self.logins().get(name) or Login(name=name[:64], role=Role.LOOK, hash="")


class LoginsFile:
    """The logins of a file, read again when the file changes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._mark: tuple[int, int, int] | None = None
        self._logins: Mapping[str, Login] = {}

    def __call__(self) -> Mapping[str, Login]:
        """Return the logins as they are now. Raises `WrongArgument` if the file is none of logins."""
        mark = self._marked()
        if mark != self._mark:
            self._logins, self._mark = logins.read(self._path), mark
        return self._logins

    def _marked(self) -> tuple[int, int, int]:
        try:
            status = self._path.stat()
        except OSError:
            return (0, 0, 0)
        return (status.st_mtime_ns, status.st_size, status.st_ino)
