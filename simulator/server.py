"""The web server of the network."""

from __future__ import annotations

import socket

import uvicorn
from starlette.types import ASGIApp

from simulator.network import Network


class Server(uvicorn.Server):
    """A server that first ends the event streams: they last as long as the pages that read them."""

    def __init__(self, app: ASGIApp, network: Network, *, keep_alive_seconds: int, grace_seconds: int) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_keep_alive=keep_alive_seconds,
                timeout_graceful_shutdown=grace_seconds,
            )
        )
        self._network = network

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the event streams, then everything else."""
        self._network.switchboard.publish({"kind": "end"})
        await super().shutdown(sockets)
