"""The road view of one text, and the page with its story.

GET  /phone/road/{sid}          the stations of one text, in the network and in the application
GET  /phone/explain/{sid}       the whole story of one message, as a page
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from simulator import story_page
from simulator.store import Message, Store
from simulator.stories import Stories

#: The stations in the order in which a text passes them.
STATIONS: Final = (
    "received", "acknowledged", "opened", "thought", "persisted", "claimed", "sent", "delivered",
)  # fmt: skip
#: What the application's story says of a text as a whole.
_FACTS: Final = ("state", "reason", "tries", "engine")


def routes(store: Store, stories: Stories | None) -> list[Route]:
    """Return the routes; without `stories`, the views show only what the network saw."""
    views = _Views(store, stories)
    return [
        Route("/phone/road/{sid}", views.road, methods=["GET"]),
        Route("/phone/explain/{sid}", views.explain, methods=["GET"]),
    ]


class _Views:
    def __init__(self, store: Store, stories: Stories | None) -> None:
        self._store = store
        self._stories = stories

    async def road(self, request: Request) -> Response:
        message = self._store.message(request.path_params["sid"])
        if message is None or message.direction != "inbound":
            return Response(status_code=404)
        story = await run_in_threadpool(self._story, message)
        parts = (story or {}).get("parts", ())
        replies = [reply for part in parts if part["sid"] and (reply := self._store.message(part["sid"]))]
        return JSONResponse(stations(message, story or {}, replies))

    async def explain(self, request: Request) -> Response:
        message = self._store.message(request.path_params["sid"])
        if message is None:
            return Response("no such message\n", status_code=404, media_type="text/plain")
        verdict = story_page.NO_JOURNAL if self._stories is None else story_page.UNKNOWN
        story = await run_in_threadpool(self._story, message) or {"verdict": verdict}
        page = story_page.page(message, story)
        return Response(page, media_type="text/html", headers={"cache-control": "no-store"})

    def _story(self, message: Message) -> dict[str, Any] | None:  # Any: JSON
        if self._stories is None:
            return None
        if message.direction == "inbound":
            return self._stories.of_text(message.sender, message.recipient, message.sid)
        return self._stories.of_reply(message.recipient, message.sender, message.sid)


def stations(message: Message, story: Mapping[str, Any], replies: Iterable[Message]) -> dict[str, Any]:  # Any: JSON
    """Return the stations that one inbound text has passed, each with its time in seconds since 1970.

    `story` is the application's, or empty; `replies` are the network's messages of the reply.
    """
    times: dict[str, float] = {name: when for name, when in message.stations if name in STATIONS}
    failure = next((name for name, _ in message.stations if name.startswith(("lost", "no webhook"))), None)
    facts = {"webhook": failure, **{name: story.get(name) for name in _FACTS}}
    times |= story.get("times", {})
    for part in story.get("parts", ()):
        facts |= {"reply": part["sid"], "part": part["state"], "part_reason": part["reason"]}
    for reply in replies:
        times |= {name: when for name, when in reply.stations if name in {"sent", "delivered"}}
    return {
        "sid": message.sid,
        "facts": {name: value for name, value in facts.items() if value is not None},
        "stations": [{"name": name, "at": times[name]} for name in STATIONS if name in times],
        "all": list(STATIONS),
    }
