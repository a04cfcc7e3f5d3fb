"""Combine the network, its REST API and its page in one ASGI application."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.types import ASGIApp

from runtime.guard import Guarded
from simulator import bodies, controls, phone, road
from simulator.cut import Cuttable
from simulator.network import Network
from simulator.rest import routes as rest
from simulator.stories import Stories

PAGE_POLICY: Final = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)


def create_app(network: Network, *, stories: Stories | None = None) -> ASGIApp:
    """Build the application; it starts and stops the network with the server.

    Without `stories`, the road view shows only what the network saw.
    """

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        await network.start()
        yield
        await network.stop()

    board = network.switchboard
    routes = [
        *rest.routes(network),
        *phone.routes(network, has_journal=stories is not None),
        *road.routes(board, stories),
        *controls.routes(board),
    ]
    handlers = {bodies.Refused: bodies.refusal}
    own_name = urlsplit(board.base_url).hostname or "localhost"
    application = Starlette(routes=routes, lifespan=lifespan, exception_handlers=handlers)
    return Cuttable(Guarded(application, own_name, page_policy=PAGE_POLICY))
