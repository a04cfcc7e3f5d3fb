"""Combine the network, its REST API and its page in one ASGI application."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.types import ASGIApp

from journal.story import Rows
from simulator import phone, rest
from simulator.cut import Cuttable
from simulator.faults import Faults
from simulator.network import Network


def create_app(network: Network, *, journal: Rows, faults: Faults) -> ASGIApp:
    """Build the application; it starts and stops the network with the server."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        await network.start()
        yield
        await network.stop()

    app = Starlette(routes=[*rest.routes(network), *phone.routes(network, journal, faults)], lifespan=lifespan)
    return Cuttable(app)
