"""The web server of the console."""

from __future__ import annotations

import asyncio
import socket
from typing import Any, Final

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

#: A browser's connection on which no request follows the last one for so long is closed.
KEEP_ALIVE_SECONDS: Final = 30
#: A new connection without a request after so long is closed: those that say nothing would use up `MOST_CONNECTIONS`.
HEAD_SECONDS: Final = 10
#: At shutdown, requests in progress may finish; a page that listens is not waited for.
GRACE_SECONDS: Final = 2
#: Connections beyond this are answered with 503: operators are few.
MOST_CONNECTIONS: Final = 200
#: The longest head of a request; the cookie and the login in an address are far shorter.
MAX_HEAD_BYTES: Final = 16_384


class Impatient(H11Protocol):
    """Closes a connection on which no request is under way in time.

    uvicorn itself waits for a head that never ends.
    """

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:  # Any: asyncio's own, as uvicorn narrows it
        """Wait for the first request."""
        super().connection_made(transport)
        self._wait(HEAD_SECONDS)

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        super().on_response_complete()
        self._wait(KEEP_ALIVE_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing more."""
        super().connection_lost(exc)
        if self._deadline is not None:
            self._deadline.cancel()

    def _wait(self, seconds: float) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = self.loop.call_later(seconds, self._close_if_idle)

    def _close_if_idle(self) -> None:
        # no annotation of uvicorn's says that there is none before the first request
        cycle: Any = self.cycle
        if cycle is None or cycle.response_complete:
            self.transport.abort()


def serve(app: ASGIApp, listening: socket.socket) -> bool:
    """Serve until SIGTERM; return whether the server has started."""
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            http=Impatient,
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
