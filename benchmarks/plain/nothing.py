"""An ASGI application that only answers, to measure the server alone."""

from __future__ import annotations

from typing import Any

BODY = b"<Response/>"
HEADERS = [(b"content-type", b"text/xml"), (b"content-length", b"11")]


async def app(_scope: dict[str, Any], receive: Any, send: Any) -> None:  # Any: ASGI's own
    """Answer 200 with an empty TwiML response."""
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": BODY})
