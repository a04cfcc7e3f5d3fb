"""HTTP/1.1 posts to one address over libcurl, whose connections stay open.

A post through urllib3 and http.client costs several times the CPU, nearly all of it under the interpreter's lock, which a worker's threads share;
libcurl gives the lock away and comes back with the answer (`docs/decisions/0021-dynamodb-over-libcurl.md`).

https://curl.se/libcurl/c/libcurl-errors.html, http://pycurl.io/docs/latest/ (read 2026-11).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pycurl
from botocore.exceptions import (
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    ReadTimeoutError,
    SSLError,
)
from botocore.exceptions import ConnectionError as NotConnected

_NOBODY_THERE: Final = frozenset(
    {pycurl.E_COULDNT_RESOLVE_HOST, pycurl.E_COULDNT_RESOLVE_PROXY, pycurl.E_COULDNT_CONNECT}
)
_NOT_BELIEVED: Final = frozenset(
    {pycurl.E_SSL_CONNECT_ERROR, pycurl.E_SSL_CERTPROBLEM, pycurl.E_SSL_CACERT, pycurl.E_SSL_CACERT_BADFILE}
)
_CUT: Final = frozenset({pycurl.E_GOT_NOTHING, pycurl.E_SEND_ERROR, pycurl.E_RECV_ERROR, pycurl.E_PARTIAL_FILE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How an address is reached."""

    url: str
    connect_seconds: float
    #: What one exchange may take, from its request to the answer's last byte; the first over a connection has the time to connect besides.
    read_seconds: float
    #: The file of the authorities that are believed; only https needs one.
    authorities: str = ""
    #: The proxy's address; empty: none, whatever the environment says.
    proxy: str = ""


class Wire:
    """Connections to one address. Threads share it; each has one to itself while it posts, and so many are kept for the next."""

    def __init__(self, way: Way, *, connections: int) -> None:
        self._way = way
        # one too many, and the one that has rested for the longest is closed
        self._resting: deque[pycurl.Curl] = deque(maxlen=connections)

    def post(self, body: bytes, headers: Sequence[str]) -> tuple[int, Mapping[str, str], bytes]:
        """Status, headers by their names in small letters, and body of the answer to a post with these lines of headers.

        Only for what tolerates having been posted before: where a connection that was kept turns out to be dead, libcurl posts again over
        a new one. Raises botocore's `ConnectionError` or `HTTPClientError` where there was no answer.
        """
        try:
            handle = self._resting.pop()
        except IndexError:
            handle = self._opened()
        lines: list[bytes] = []
        data: list[bytes] = []
        # a body of megabytes would wait for leave to be sent, and DynamoDB gives none
        handle.setopt(pycurl.HTTPHEADER, [*headers, "Expect:"])
        handle.setopt(pycurl.POSTFIELDS, body)
        handle.setopt(pycurl.HEADERFUNCTION, lines.append)
        handle.setopt(pycurl.WRITEFUNCTION, data.append)
        try:
            handle.perform()
            status = handle.getinfo(pycurl.RESPONSE_CODE)
        except pycurl.error as exc:
            # one that failed is not used again
            raise self._failure(exc, begun=handle.getinfo(pycurl.REQUEST_SIZE) > 0) from exc
        answer = status, _headers(lines), b"".join(data)
        self._rest(handle)
        return answer

    def _rest(self, handle: pycurl.Curl) -> None:
        """Keep a connection for the next post, and nothing of what was said over it."""
        handle.setopt(pycurl.HTTPHEADER, [])
        handle.setopt(pycurl.POSTFIELDS, b"")
        handle.unsetopt(pycurl.HEADERFUNCTION)
        handle.unsetopt(pycurl.WRITEFUNCTION)
        # it is connected: the next post needs no time for that
        handle.setopt(pycurl.TIMEOUT_MS, int(1000 * self._way.read_seconds))
        self._resting.append(handle)

    def _opened(self) -> pycurl.Curl:
        way, handle = self._way, pycurl.Curl()
        handle.setopt(pycurl.URL, way.url)
        handle.setopt(pycurl.POST, 1)
        # DynamoDB speaks nothing newer, and its answers are bounded by what was asked
        handle.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1)
        handle.setopt(pycurl.CONNECTTIMEOUT_MS, int(1000 * way.connect_seconds))
        handle.setopt(pycurl.TIMEOUT_MS, int(1000 * (way.connect_seconds + way.read_seconds)))
        # without it a name that is looked up for too long would end in a signal, which is for the main thread alone
        handle.setopt(pycurl.NOSIGNAL, 1)
        handle.setopt(pycurl.PROXY, way.proxy)
        handle.setopt(pycurl.NOPROXY, "")
        handle.setopt(pycurl.USERAGENT, "dadacat")
        if way.authorities:
            handle.setopt(pycurl.CAINFO, way.authorities)
            handle.setopt(pycurl.PROXY_CAINFO, way.authorities)
        return handle

    def _failure(self, exc: pycurl.error, *, begun: bool) -> NotConnected | HTTPClientError:
        """The error by which callers of botocore tell what happened; `begun`: whether the request was."""
        (code, told), url = exc.args, self._way.url
        if code == pycurl.E_OPERATION_TIMEDOUT:
            late = ReadTimeoutError if begun else ConnectTimeoutError
            return late(endpoint_url=url, error=told)
        if code in _NOBODY_THERE:
            return EndpointConnectionError(endpoint_url=url, error=told)
        if code in _NOT_BELIEVED:
            return SSLError(endpoint_url=url, error=told)
        if code in _CUT:
            return ConnectionClosedError(endpoint_url=url, error=told)
        return HTTPClientError(error=told)


def _headers(lines: Sequence[bytes]) -> dict[str, str]:
    """The answer's own headers, without those of a proxy's answer or a provisional one before it."""
    found: dict[str, str] = {}
    for line in lines:
        if line.startswith(b"HTTP/"):
            found.clear()
            continue
        name, separator, value = line.partition(b":")
        if separator:
            found[name.decode("latin-1").lower()] = value.strip().decode("latin-1")
    return found
