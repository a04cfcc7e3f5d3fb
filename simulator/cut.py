"""How a connection ends without an answer: closed, reset, or in the middle of a sentence.

ASGI has no word for it, so this wraps the application and reaches for the server's transport where the server shows one.
"""

from __future__ import annotations

import socket
import struct
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Cuttable:
    """An application whose requests can be ended without an answer by answering with a `Cut`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request on, with the way to its connection."""
        if scope["type"] == "http":
            scope["transport"] = getattr(getattr(send, "__self__", None), "transport", None)
        await self._app(scope, receive, send)


class Cut(Response):
    """No answer: the connection is closed, reset, or ends after half of what `answer` would have said."""

    def __init__(self, request: Request, how: str, answer: Response) -> None:
        super().__init__()
        self._transport: Any = request.scope.get("transport")  # Any: asyncio's or uvloop's
        self._how = how
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """End the connection."""
        if self._transport is None:
            raise RuntimeError("this server does not show its connections: run the simulator under uvicorn")
        if self._how == "truncate":
            await self._answer(scope, receive, _half(send))
            self._transport.close()
            return
        if self._how == "reset":
            linger = struct.pack("ii", 1, 0)
            self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self._transport.abort()


def _half(send: Send) -> Send:
    async def half(message: Message) -> None:
        if message["type"] == "http.response.body":
            body = message["body"]
            message = {**message, "body": body[: len(body) // 2], "more_body": True}
        await send(message)

    return half
