"""The web server of the console."""

from __future__ import annotations

import socket
from typing import Final

import uvicorn
from starlette.types import ASGIApp

#: A browser's connection that is idle for longer is closed.
KEEP_ALIVE_SECONDS: Final = 30
#: At shutdown, requests in progress may finish; a page that listens is not waited for.
GRACE_SECONDS: Final = 2
#: Connections beyond this are answered with 503: operators are few.
MOST_CONNECTIONS: Final = 200
#: The longest head of a request; the cookie and the login in an address are far shorter.
MAX_HEAD_BYTES: Final = 16_384


def serve(app: ASGIApp, listening: socket.socket) -> bool:
    """Serve until SIGTERM; return whether the server has started."""
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            http="h11",
            h11_max_incomplete_event_size=MAX_HEAD_BYTES,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=MOST_CONNECTIONS,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
    )
    server.run([listening])
    return server.started
