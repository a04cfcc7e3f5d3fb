"""HTTP to model servers: one client for all engines, with one deadline for a whole call.

A read timeout does not end a call: a server that sends a byte from time to time restarts it each time. Here every
connect, read and write gets what is left of the call's deadline, so the engine's thread is free again at the deadline,
whatever the server does. The client reads no proxies, logins or addresses from the environment. It follows no
redirects, because a redirect would take the key to another host.
"""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any, Final, cast

import certifi
import httpcore2
import httpx2

from cat.engines.errors import Unreached

#: A TCP and TLS handshake takes a few hundred milliseconds. After three seconds the server is away.
CONNECT_SECONDS: Final = 3.0
#: Bytes of an answer that are read; a reply with its token counts takes a few kilobytes.
MOST_BYTES: Final = 2_000_000
#: Connections kept open to one server: as many as conversations are answered at a time.
KEPT_CONNECTIONS: Final = 64
#: Bytes per write: the rest of the deadline is looked up between two writes.
_WRITE_BYTES: Final = 16_384

_call = threading.local()


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Give the calls of this thread `seconds`, all together."""
    _call.until = time.monotonic() + seconds
    try:
        yield
    finally:
        del _call.until


def client() -> httpx2.Client:
    """Return a client whose calls end at the thread's `deadline`."""
    return httpx2.Client(transport=_Transport(), trust_env=False, follow_redirects=False, timeout=CONNECT_SECONDS)


def unreached(exc: Exception) -> Unreached:
    """Return what an error of this client, or of an official client on top of it, means."""
    cause = exc if isinstance(exc, httpx2.TransportError) else exc.__cause__
    # a server that was never reached has done no work
    late = isinstance(cause, httpx2.TimeoutException) and not isinstance(cause, httpx2.ConnectTimeout)
    return Unreached(type(exc).__name__, late=late)


def _left() -> float:
    """Return the seconds until the deadline of this thread's call; raise `ReadTimeout` after it."""
    left = float(getattr(_call, "until", time.monotonic() + CONNECT_SECONDS)) - time.monotonic()
    if left <= 0:
        raise httpcore2.ReadTimeout("the call's deadline has passed")
    return left


@cache
def _tls() -> ssl.SSLContext:
    context = httpx2.create_ssl_context()
    # beside the system's: a container may have none
    context.load_verify_locations(certifi.where())
    return context


class _Stream(httpcore2.NetworkStream):
    """A connection whose operations end at the deadline of the thread's call."""

    def __init__(self, stream: httpcore2.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        del timeout
        return self._stream.read(max_bytes, timeout=_left())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        del timeout
        for begin in range(0, len(buffer), _WRITE_BYTES):
            self._stream.write(buffer[begin : begin + _WRITE_BYTES], timeout=_left())

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        del timeout
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, min(_left(), CONNECT_SECONDS)))

    def get_extra_info(self, info: str) -> Any:  # Any: as httpcore has it
        return self._stream.get_extra_info(info)


class _Network(httpcore2.NetworkBackend):
    """Connects within the deadline of the thread's call."""

    def __init__(self) -> None:
        self._network = httpcore2.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,  # Any: as httpcore has it
    ) -> httpcore2.NetworkStream:
        del timeout
        seconds = min(_left(), CONNECT_SECONDS)
        return _Stream(self._network.connect_tcp(host, port, seconds, local_address, socket_options))


class _Body(httpx2.SyncByteStream):
    """The bytes of an answer, `MOST_BYTES` at most."""

    def __init__(self, stream: Iterable[bytes]) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        read = 0
        with _translated():
            for chunk in self._stream:
                read += len(chunk)
                if read > MOST_BYTES:
                    raise httpx2.ReadError(f"the answer is longer than {MOST_BYTES} bytes")
                yield chunk

    def close(self) -> None:
        if hasattr(self._stream, "close"):
            self._stream.close()


class _Transport(httpx2.BaseTransport):
    """`httpx2.HTTPTransport` over connections that know the deadline."""

    def __init__(self) -> None:
        self._pool = httpcore2.ConnectionPool(
            ssl_context=_tls(),
            max_connections=None,
            max_keepalive_connections=KEPT_CONNECTIONS,
            network_backend=_Network(),
        )

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        url = request.url
        asked = httpcore2.Request(
            request.method,
            httpcore2.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
            headers=request.headers.raw,
            content=cast("httpx2.SyncByteStream", request.stream),
            extensions=request.extensions,
        )
        with _translated():
            answer = self._pool.handle_request(asked)
        return httpx2.Response(
            answer.status, headers=answer.headers, stream=_Body(cast("Iterable[bytes]", answer.stream))
        )

    def close(self) -> None:
        self._pool.close()


#: httpcore's errors in httpx's words, which the official clients understand; the most particular first.
_ERRORS: Final[Mapping[type[Exception], type[httpx2.TransportError]]] = {
    httpcore2.ConnectTimeout: httpx2.ConnectTimeout,
    httpcore2.TimeoutException: httpx2.ReadTimeout,
    httpcore2.ConnectError: httpx2.ConnectError,
    httpcore2.NetworkError: httpx2.ReadError,
    httpcore2.ProtocolError: httpx2.RemoteProtocolError,
    httpcore2.UnsupportedProtocol: httpx2.UnsupportedProtocol,
}


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except tuple(_ERRORS) as exc:
        raise next(ours for theirs, ours in _ERRORS.items() if isinstance(exc, theirs))(str(exc)) from exc
