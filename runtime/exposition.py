"""Serve `/metrics`, `/livez` and `/readyz` beside the work of a worker, of beat, of the console.

prometheus_client's own server answers every path with metrics, so its WSGI application stands behind three paths.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from http import HTTPStatus
from socketserver import ThreadingMixIn
from typing import Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server
from wsgiref.types import StartResponse, WSGIEnvironment

from prometheus_client import make_wsgi_app

from runtime import metrics
from runtime.settings import SettingsError

#: A scrape that takes longer than Prometheus waits by default (10 s) is of no use.
SOCKET_SECONDS: Final = 10.0

#: Returns why a process cannot do its work now; empty if it can.
Trouble = Callable[[], str]
#: Sets the metrics that are read from elsewhere at each scrape.
Refresh = Callable[[], None]


class PortTaken(SettingsError):
    """The port of the metrics is taken; the message names it."""


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Handler(WSGIRequestHandler):
    timeout = SOCKET_SECONDS

    def log_message(self, *args: Any) -> None:  # Any: what would be printed for each request
        """Print nothing: a probe comes every few seconds."""


def serve(host: str, port: int, trouble: Trouble, refresh: Refresh) -> None:
    """Serve in a thread of its own, for as long as the process lives. Raises `PortTaken`."""
    try:
        server = make_server(host, port, application(trouble, refresh), server_class=_Server, handler_class=_Handler)
    except OSError as exc:
        raise PortTaken(f"METRICS_PORT {port}: {exc.strerror}") from None
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()


def application(trouble: Trouble, refresh: Refresh) -> Callable[[WSGIEnvironment, StartResponse], Iterable[bytes]]:
    """Return the WSGI application.

    `/metrics`: what this process counted, and what `refresh` has just set.
    `/livez`: 200 while the process lives. `/readyz`: 503 and the reason while there is trouble.
    """

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path == "/metrics":
            refresh()
            exposed: Iterable[bytes] = make_wsgi_app(metrics.registry())(environ, start_response)
            return exposed
        if path == "/livez":
            status, body = HTTPStatus.OK, "alive"
        elif path == "/readyz":
            reason = trouble()
            status, body = (HTTPStatus.SERVICE_UNAVAILABLE, reason) if reason else (HTTPStatus.OK, "ready")
        else:
            status, body = HTTPStatus.NOT_FOUND, "not found: /metrics, /livez and /readyz"
        start_response(f"{status.value} {status.phrase}", [("Content-Type", "text/plain; charset=utf-8")])
        return [f"{body}\n".encode()]

    return answer
