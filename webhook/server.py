"""HTTP/1.1 for the webhook, inside uvicorn: one request, one decision, one write.

Uvicorn keeps the sockets, the processes, the signals and the shutdown; this is what stands at each connection instead of its own ASGI cycle, which
makes a scope, a task, an event and two writes of every request. The bytes are read by httptools (llhttp, the parser of Node.js), which refuses what
could be read in two ways. `uvicorn webhook.asgi:app` serves the same application over ASGI; `docs/decisions/0018-acknowledgement.md` has the figures.

A connection on which a request does not become whole within `REQUEST_SECONDS`, or none begins within the keep-alive time, is closed.
"""

from __future__ import annotations

import asyncio
from collections import deque
from functools import lru_cache, partial
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import unquote_to_bytes

import httptools

from webhook.app import HEADERS, MAX_BODY_BYTES, NOT_KEPT, Answer, Keeping, Request, WebhookApp

#: Twilio sends a request at once; whoever takes longer than this for one only wants to hold the connection.
REQUEST_SECONDS: Final = 15.0
#: Twilio's headers are well below one kilobyte, behind a proxy below two.
MAX_HEAD_BYTES: Final = 16_384
#: A whole request, with what chunks add to a body.
MAX_REQUEST_BYTES: Final = MAX_HEAD_BYTES + 2 * MAX_BODY_BYTES
#: Requests that a client may send ahead of their answers; the rest stays in its socket. Twilio sends one at a time.
MOST_AHEAD: Final = 16

_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_BAD: Final = Answer(400, b"not an HTTP request\n")
_LARGE_HEAD: Final = Answer(431, b"the headers are too large\n")
_LATE: Final = Answer(408, b"the request did not come\n")


class _RefusedError(Exception):
    """Raised through the parser, which reads nothing more then."""


class WebhookProtocol(asyncio.Protocol):
    """One connection. Made by uvicorn, told so by `http=WebhookProtocol, proxy_headers=False`."""

    #: The headers that all answers of this second share, and the list of uvicorn's that they were made of.
    _shared: tuple[object, bytes] = (None, b"")

    def __init__(
        self,
        config: Any,  # Any: uvicorn's configuration and state, of which five names are used
        server_state: Any,
        app_state: object = None,  # noqa: ARG002 - uvicorn's own signature
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self._app: WebhookApp = config.loaded_app
        self._keep_alive_seconds: float = config.timeout_keep_alive
        self._state = server_state
        self._loop = _loop or asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport
        # the request that is being read
        self._url = b""
        self._headers: dict[bytes, bytes] = {}
        self._body: list[bytes] = []
        self._size = self._bytes = self._data = 0
        self._reading = self._in_body = False
        self._refusal = _BAD
        # those that are being answered, one after the other
        self._ahead: deque[Request | Answer] = deque()
        self._current: Request | None = None
        self._last = False
        self._since = self._loop.time()
        self._watch: asyncio.TimerHandle | None = None

    # What uvicorn and the loop call

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # always one that reads and writes
        """A client is there."""
        self._transport = transport
        self._state.connections.add(self)
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's own signature
        """The client is gone. What is being made durable for it becomes so, and is settled as a duplicate when Twilio brings it again."""
        self._state.connections.discard(self)
        self._ahead.clear()
        self._last = True
        if self._watch is not None:
            self._watch.cancel()

    def shutdown(self) -> None:
        """Answer what is whole, take nothing more."""
        self._last = True
        if self._current is None:
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        """Read on."""
        if self._last:
            return
        self._bytes += len(data)
        self._data = len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # what it asked for is answered; in which language it would go on, we do not speak
            self.shutdown()
        except httptools.HttpParserError:
            self._refuse(self._refusal)
        else:
            if self._reading and self._bytes > (MAX_REQUEST_BYTES if self._in_body else MAX_HEAD_BYTES):
                self._refuse(self._app.too_large(self._path()) if self._in_body else _LARGE_HEAD)

    def pause_writing(self) -> None:
        """Whoever does not read its answers is not read from."""
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """It reads again."""
        self._transport.resume_reading()

    # What the parser calls

    def on_message_begin(self) -> None:
        """A request begins."""
        self._url, self._headers, self._body = b"", {}, []
        # what stands before it in the same data is not its own
        self._size, self._bytes = 0, self._data
        self._reading, self._since = True, self._loop.time()

    def on_url(self, url: bytes) -> None:
        """Some of its target."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; what stands behind the body is none."""
        if self._in_body:
            return
        name = name.lower()
        if name in HEADERS:
            self._headers[name] = value
        elif name == b"expect" and value.lower() == b"100-continue":
            self._transport.write(_CONTINUE)

    def on_headers_complete(self) -> None:
        """The body begins."""
        self._in_body = True
        length = self._headers.get(b"content-length", b"")
        if length.isdigit() and int(length) > MAX_BODY_BYTES:
            self._refusal = self._app.too_large(self._path())
            raise _RefusedError

    def on_body(self, body: bytes) -> None:
        """Some of the body."""
        self._size += len(body)
        if self._size > MAX_BODY_BYTES:
            self._refusal = self._app.too_large(self._path())
            raise _RefusedError
        self._body.append(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._reading = self._in_body = False
        self._data = 0
        path, _, query = self._target().partition(b"?")
        method = self._parser.get_method().decode("ascii")
        request = Request(method, path.decode("latin-1"), query, self._headers, b"".join(self._body))
        if not self._parser.should_keep_alive():
            self._last = True
        self._state.total_requests += 1
        if self._current is None:
            self._start(request)
        else:
            self._ahead.append(request)
            if len(self._ahead) >= MOST_AHEAD:
                self._transport.pause_reading()

    def _target(self) -> bytes:
        """Path and query as they came, but for what is encoded in the path; ASGI has it so, too."""
        url = self._url
        if not url.startswith(b"/"):
            parsed = httptools.parse_url(url)
            url = (parsed.path or b"/") + (b"?" + parsed.query if parsed.query else b"")
        if b"%" in url:
            path, mark, query = url.partition(b"?")
            url = unquote_to_bytes(path) + mark + query
        return url

    def _path(self) -> str:
        return self._url.partition(b"?")[0].decode("latin-1")

    # Answering

    def _start(self, request: Request) -> None:
        self._current = request
        begun = self._app.begin(request)
        if isinstance(begun, Keeping):
            begun.kept.add_done_callback(partial(self._kept, begun))
        elif isinstance(begun, Answer):
            self._finish(begun)
        else:
            task = self._loop.create_task(begun)
            self._state.tasks.add(task)
            task.add_done_callback(self._asked)

    def _kept(self, keeping: Keeping, _: asyncio.Future[None]) -> None:
        self._finish(self._app.end(keeping))

    def _asked(self, task: asyncio.Task[Answer]) -> None:
        self._state.tasks.discard(task)
        self._finish(NOT_KEPT if task.cancelled() else task.result())

    def _refuse(self, answer: Answer) -> None:
        """Answer what was whole before, then this, and nothing more."""
        if self._last:
            return
        self._last, self._reading = True, False
        self._ahead.append(answer)
        if self._current is None:
            self._go_on()

    def _finish(self, answer: Answer) -> None:
        """Answer the current request, and go on."""
        request, self._current = self._current, None
        self._since = self._loop.time()
        self._write(answer, whole=request is None or request.method != "HEAD")
        if self._ahead or self._last:
            self._go_on()

    def _go_on(self) -> None:
        while self._ahead and self._current is None:
            following = self._ahead.popleft()
            if isinstance(following, Answer):
                self._write(following)
            else:
                self._start(following)
        if self._current is None and self._last:
            self._transport.close()
        elif len(self._ahead) < MOST_AHEAD and not self._transport.is_closing():
            self._transport.resume_reading()

    def _write(self, answer: Answer, *, whole: bool = True) -> None:
        if self._transport.is_closing():
            return
        shared = self._state.default_headers
        if WebhookProtocol._shared[0] is not shared:
            WebhookProtocol._shared = (shared, b"".join(b"%b: %b\r\n" % header for header in shared))
        close = b"connection: close\r\n" if self._last and not self._ahead else b""
        first, rest = _head(answer)
        self._transport.write(b"".join((first, WebhookProtocol._shared[1], close, rest, answer.body if whole else b"")))

    def _look(self) -> None:
        """Close a connection that holds on to us without asking for anything."""
        now = self._loop.time()
        self._watch = self._loop.call_at(now + REQUEST_SECONDS, self._look)
        if self._current is not None:
            return
        if self._reading and now - self._since >= REQUEST_SECONDS:
            self._refuse(_LATE)
        elif not self._reading and now - self._since >= self._keep_alive_seconds:
            self._transport.close()


@lru_cache(maxsize=64)
def _head(answer: Answer) -> tuple[bytes, bytes]:
    """The status line, and the headers that are this answer's own."""
    first = f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}\r\n".encode()
    return first, b"".join(b"%b: %b\r\n" % header for header in answer.all_headers) + b"\r\n"
