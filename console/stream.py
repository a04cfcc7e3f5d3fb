"""The overview as server-sent events: what changed is sent to the pages that are open."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from console.authentication import Authentication
from console.pages.now import Now
from console.request import ConsoleRequest
from conversation.errors import ConversationError
from inbox.errors import InboxAway
from operations.errors import BadRequest
from runtime import logs

#: How often the overview is read for the pages that are open, and whether their sessions still last.
EVERY_SECONDS: Final = 2.0
#: A stream ends after so many messages or heartbeats, about an hour: its page opens another, if its session lasts.
TICKS: Final = 1800
#: Pages that are open at a time, in all sessions.
MOST: Final = 50

log = logs.get("console")


class Stream:
    """The streams of the pages that are open."""

    def __init__(self, authentication: Authentication, now: Now) -> None:
        self._authentication = authentication
        self._now = now
        self._open = 0

    async def events(self, request: Request, asked: ConsoleRequest) -> Response:
        """Answer `/events`."""
        del asked
        if self._open >= MOST:
            return PlainTextResponse("too many pages are open\n", status_code=503)
        return StreamingResponse(self._pieces(request), media_type="text/event-stream")

    async def _pieces(self, request: Request) -> AsyncIterator[str]:
        """Yield the changing part of the overview whenever it changed, until the session ends."""
        self._open += 1
        sent = ""
        try:
            yield "retry: 2000\n\n"
            for _ in range(TICKS):
                if not await run_in_threadpool(self._authentication.lasts, request):
                    return
                piece = await run_in_threadpool(self._now.piece)
                yield f"data: {json.dumps(piece)}\n\n" if piece != sent else ": here\n\n"
                sent = piece
                await asyncio.sleep(EVERY_SECONDS)
        except (InboxAway, ConversationError, BadRequest) as exc:
            log.warning("stream ended", error=type(exc).__name__)
        finally:
            self._open -= 1
