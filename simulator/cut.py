"""End a connection without an answer: close it, reset it, or close it in the middle of the body.

ASGI has no message for this, so `Cuttable` wraps the application and takes the transport from the server's `send`, if
the server exposes one.
"""

from __future__ import annotations

import socket
import struct
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Cuttable:
    """Wrap an application so that its handlers may return a `Cut` instead of an answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, with the transport of its connection in the scope."""
        if scope["type"] == "http":
            scope["transport"] = getattr(getattr(send, "__self__", None), "transport", None)
        await self._app(scope, receive, send)


class Cut(Response):
    """End the connection instead of answering.

    `how`: `reset` resets it, `truncate` sends half of the body of `answer` and closes it, any other value closes it.
    """

    def __init__(self, request: Request, how: str, answer: Response) -> None:
        super().__init__()
        self._transport: Any = request.scope.get("transport")  # Any: asyncio's or uvloop's
        self._how = how
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """End the connection. Raises `RuntimeError` if the server exposes no transport."""
        if self._transport is None:
            raise RuntimeError("this server does not expose its connections: run the simulator under uvicorn")
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
