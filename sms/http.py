"""OneAttemptClient: the official client's HTTP client, with the guarantees that a reply needs.

Twilio's create-message call has no idempotency key, so the official client must never repeat it, and a caller must
know whether a request was written. The official `TwilioHttpClient` leaves both to `requests`. This subclass sends
through urllib3's pool for one host, which reads neither proxies nor `.netrc` from the environment, and adds:

- One attempt: no retries and no redirects. Only a refused login (401), which has no effect, is followed by an attempt
  with the other login.
- Both timeouts, for every request.
- `may_begin`, called after TCP and TLS are connected and just before the first byte of the request. Every failure
  before it raises `NotWritten`, every failure after it `NoAnswer`: the proof is where the code was, not which error it
  met.
- Errors of this package, with Twilio's code and `Retry-After`. The official exceptions have neither the headers nor a
  way to tell Twilio's codes from HTTP statuses.

All requests go to `api_base_url`, whatever host the official client names: the simulator needs that, `TWILIO_EDGE` and
`TWILIO_REGION` cannot lead elsewhere, and no other part of the official client can reach another host by accident.
"""

from __future__ import annotations

import json
import ssl
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import certifi
from twilio.base.exceptions import TwilioException
from twilio.http.http_client import TwilioHttpClient
from twilio.http.response import Response
from twilio.rest import Client
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, Timeout
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError

from sms.credentials import Login, Pair
from sms.errors import NoAnswer, NotFound, NotWritten, Refused, TooLate, Unreadable
from sms.messages import COUNT

#: A TCP and TLS handshake across an ocean takes a few hundred milliseconds. After three seconds Twilio is away.
CONNECT_TIMEOUT_SECONDS: Final = 3.0
#: Twilio answers in well under a second. Ten seconds leave room for a slow day and end before a lease of 20 s.
READ_TIMEOUT_SECONDS: Final = 10.0
#: Entries per page of a list: Twilio's maximum.
LIST_PAGE: Final = 1000


class _Connection(HTTPConnection):
    """A connection that writes each request whole, and calls `before_writing` immediately before.

    http.client would write the headers and the body one after the other, and do its own work in between. A process
    that dies there leaves a request that may or may not have left.
    """

    def __init__(self, *args: Any, before_writing: Callable[[], None], **kwargs: Any) -> None:  # urllib3's arguments
        super().__init__(*args, **kwargs)
        self._before_writing = before_writing
        self._gathered: list[bytes] | None = None

    def request(self, *args: Any, **kwargs: Any) -> None:  # urllib3's arguments
        if self.is_closed:
            self.connect()
        self._gathered = []
        try:
            super().request(*args, **kwargs)
            whole = b"".join(self._gathered)
        finally:
            self._gathered = None
        self._before_writing()
        self.sock.sendall(whole)

    def send(self, data: Any) -> None:  # http.client's own signature
        """Keep a piece of the request until it is whole."""
        if self._gathered is None:
            super().send(data)
        else:
            self._gathered.append(data)


class _TlsConnection(_Connection, HTTPSConnection):
    """The same over TLS."""


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # urllib3's arguments
        super().__init__(*args, ssl_context=tls(), **kwargs)


class OneAttemptClient(TwilioHttpClient):  # type: ignore[misc]  # the official client has no types
    """One connection to Twilio, or to a compatible server at `api_base_url`, for one thread at a time.

    `login` decides about user names and passwords; those of the official client are not used.
    """

    def __init__(
        self,
        *,
        login: Login,
        api_base_url: str,
        connect_seconds: float = CONNECT_TIMEOUT_SECONDS,
        read_seconds: float = READ_TIMEOUT_SECONDS,
    ) -> None:
        super().__init__(pool_connections=False)
        home = urlsplit(api_base_url)
        kind = _TlsPool if home.scheme == "https" else _Pool
        self._pool = kind(
            home.hostname or "",
            home.port or kind.ConnectionCls.default_port,
            timeout=Timeout(connect=connect_seconds, read=read_seconds),
            before_writing=self._before_writing,
        )
        self._prefix = home.path.rstrip("/")
        self._login = login
        self._lock = threading.Lock()
        self._written = False
        #: Called just before the first byte of each request; if it returns False, the request raises `TooLate`.
        self.may_begin: Callable[[], bool] = lambda: True
        #: When the last answer came, by the monotonic clock.
        self.answered_at = float("-inf")

    def close(self) -> None:
        """Close the connection."""
        self._pool.close()

    def request(  # noqa: PLR0913 - the official client's own signature
        self,
        method: str,
        url: str,
        params: Mapping[str, object] | None = None,
        data: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
        auth: object = None,  # noqa: ARG002 - `login` decides
        timeout: float | None = None,  # noqa: ARG002 - as the constructor says
        allow_redirects: bool = False,  # noqa: ARG002, FBT001, FBT002 - a redirect of a POST would lose or repeat it
    ) -> Response:
        """Request once, with one login after the other while Twilio answers 401. `data` becomes a form.

        Raises `NotWritten`, `NoAnswer` or `Refused`.
        """
        target, form = self._target(url, params), urlencode(data, doseq=True) if data else None
        with self._lock:
            answer = self._login.ask(
                lambda pair: self._attempt(method, target, form, {**(headers or {}), **authorization(pair)})
            )
        if answer.status_code >= HTTPStatus.MULTIPLE_CHOICES:
            raise _refusal(answer)
        return answer

    def _target(self, url: str, params: Mapping[str, object] | None) -> str:
        parts = urlsplit(url)
        given = {name: value for name, value in (params or {}).items() if value is not None}
        query = "&".join(filter(None, (parts.query, urlencode(given, doseq=True))))
        return f"{self._prefix}{parts.path}" + (f"?{query}" if query else "")

    def _attempt(self, method: str, target: str, form: str | None, headers: dict[str, str]) -> Response:
        self._written = False
        headers["Accept-Encoding"] = "gzip, deflate"
        try:
            answer = self._pool.urlopen(method, target, body=form, headers=headers, retries=False, redirect=False)
        except HTTPError as exc:
            if self._written:
                raise NoAnswer(f"no answer from Twilio: {type(exc).__name__}") from exc
            raise NotWritten(f"Twilio cannot be reached: {type(exc).__name__}") from exc
        self.answered_at = time.monotonic()
        return Response(
            answer.status,
            answer.data.decode(errors="replace"),
            {name.lower(): value for name, value in answer.headers.items()},
        )

    def _before_writing(self) -> None:
        if not self.may_begin():
            raise TooLate("claim too old to send")
        self._written = True


def account_at(http: OneAttemptClient, account_sid: str) -> Any:  # Any: the official client has no types
    """Return the official client's resources of an account. The first call imports them: half a second.

    The login, edge and region that the official client takes from the environment are ignored by `http`.
    """
    return Client(account_sid=account_sid, http_client=http).api.accounts(account_sid)


@contextmanager
def readable() -> Iterator[None]:
    """Raise `Unreadable` for what the official client raises on an answer in another form than Twilio's."""
    try:
        yield
    except (ValueError, TypeError, AttributeError, LookupError, RecursionError, TwilioException) as exc:
        raise Unreadable("Twilio's answer cannot be read") from exc


def authorization(pair: Pair) -> dict[str, str]:
    """Return the header that shows a user name and password."""
    return {"Authorization": "Basic " + b64encode(":".join(pair).encode()).decode()}


@cache
def tls() -> ssl.SSLContext:
    """Return the TLS settings of all connections; to read the authorities for each would take 20 ms."""
    return ssl.create_default_context(cafile=certifi.where())


def _refusal(answer: Response) -> Refused:
    try:
        body = json.loads(answer.text)
    except ValueError:
        body = None
    code = body.get("code") if isinstance(body, dict) else None
    seconds = answer.headers.get("retry-after", "")
    kind = NotFound if answer.status_code == HTTPStatus.NOT_FOUND else Refused
    return kind(
        status=answer.status_code,
        code=code if isinstance(code, int) else None,
        retry_after=timedelta(seconds=int(seconds)) if COUNT.fullmatch(seconds) else None,
    )
