"""Small HTTP servers on 127.0.0.1 whose answers a test defines."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

#: Answers one request.
Answer = Callable[[BaseHTTPRequestHandler], None]


@contextmanager
def a_server(answer: Answer) -> Iterator[str]:
    """Run a server and yield its URL. `answer` serves GET, POST and DELETE."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

        def do_POST(self) -> None:
            answer(self)

        def do_DELETE(self) -> None:
            answer(self)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def asked_of(handler: BaseHTTPRequestHandler) -> bytes:
    """Return the body of a request."""
    return handler.rfile.read(int(handler.headers["content-length"]))


def send(handler: BaseHTTPRequestHandler, body: bytes, *, kind: str = "application/json", status: int = 200) -> None:
    """Send a complete answer."""
    handler.send_response(status)
    handler.send_header("content-type", kind)
    handler.send_header("content-length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def trickle(handler: BaseHTTPRequestHandler, over: threading.Event) -> None:
    """Send an answer a byte at a time, incomplete until `over` is set."""
    handler.send_response(200)
    handler.send_header("content-length", "100000")
    handler.end_headers()
    while not over.wait(0.1):
        try:
            handler.wfile.write(b" ")
        except OSError:
            return
