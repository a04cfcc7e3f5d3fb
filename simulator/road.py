"""The road view of one text, and the page with its story.

GET  /phone/road/{sid}          the stations of one text, in the network and in the application
GET  /phone/explain/{sid}       the whole story of one message, as a page
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from simulator import story_page, twiml
from simulator.inspector import Inspector
from simulator.store import Message, Store
from simulator.stories import Stories
from simulator.switchboard import Switchboard

#: The stations in the order in which a text passes them, if the application's journal is known.
STATIONS: Final = (
    "received", "acknowledged", "opened", "thought", "persisted", "claimed", "sent", "delivered",
)  # fmt: skip
#: The stations that the network itself sees.
NETWORK_STATIONS: Final = ("received", "acknowledged", "queued", "sent", "delivered")
#: What the application's story says of a text as a whole.
_FACTS: Final = ("state", "reason", "tries", "engine")


def routes(switchboard: Switchboard, stories: Stories | None) -> list[Route]:
    """Return the routes; without `stories`, the views show only what the network saw."""
    views = _Views(switchboard.store, switchboard.inspector, stories)
    return [
        Route("/phone/road/{sid}", views.road, methods=["GET"]),
        Route("/phone/explain/{sid}", views.explain, methods=["GET"]),
    ]


class _Views:
    def __init__(self, store: Store, inspector: Inspector, stories: Stories | None) -> None:
        self._store = store
        self._inspector = inspector
        self._stories = stories

    async def road(self, request: Request) -> Response:
        message = self._store.message(request.path_params["sid"])
        if message is None or message.direction != "inbound":
            return Response(status_code=404)
        story = await run_in_threadpool(self._story, message)
        parts = (story or {}).get("parts", ())
        replies = [reply for part in parts if part["sid"] and (reply := self._store.message(part["sid"]))]
        if story is None:
            replies = replies_to(self._store, message)
        names = NETWORK_STATIONS if self._stories is None else STATIONS
        road = stations(message, story or {}, replies, names=names)
        road["facts"] |= _webhook(self._inspector, message)
        return JSONResponse(road)

    async def explain(self, request: Request) -> Response:
        message = self._store.message(request.path_params["sid"])
        if message is None:
            return Response("no such message\n", status_code=404, media_type="text/plain")
        story = await run_in_threadpool(self._story, message)
        page = story_page.page(message, story or self._network_story(message))
        return Response(page, media_type="text/html", headers={"cache-control": "no-store"})

    def _network_story(self, message: Message) -> story_page.Story:
        replies = replies_to(self._store, message) if message.direction == "inbound" else []
        return story_page.of_network([message, *replies], has_journal=self._stories is not None)

    def _story(self, message: Message) -> dict[str, Any] | None:  # Any: JSON
        if self._stories is None:
            return None
        if message.direction == "inbound":
            return self._stories.of_text(message.sender, message.recipient, message.sid)
        return self._stories.of_reply(message.recipient, message.sender, message.sid)


def stations(
    message: Message, story: Mapping[str, Any], replies: Iterable[Message], *, names: Sequence[str] = STATIONS
) -> dict[str, Any]:  # Any: JSON
    """Return the stations that one inbound text has passed, each with its time in seconds since 1970.

    `story` is the application's, or empty; `replies` are the network's messages of the reply; `names` are the stations
    to show.
    """
    times: dict[str, float] = {name: when for name, when in message.stations if name in names}
    failure = next((name for name, _ in message.stations if name.startswith(("lost", "no webhook"))), None)
    facts = {"webhook": failure, **{name: story.get(name) for name in _FACTS}}
    times |= story.get("times", {})
    for part in story.get("parts", ()):
        facts |= {"reply": part["sid"], "part": part["state"], "part_reason": part["reason"]}
    for reply in replies:
        times |= {name: when for name, when in reply.stations if name in {"queued", "sent", "delivered"}}
        facts.setdefault("reply", reply.sid)
        if reply.error_code is not None:
            facts["reply_status"] = f"{reply.status}: error {reply.error_code}"
    return {
        "sid": message.sid,
        "facts": {name: value for name, value in facts.items() if value is not None},
        "stations": [{"name": name, "at": times[name]} for name in names if name in times],
        "all": list(names),
    }


def replies_to(store: Store, text: Message) -> list[Message]:
    """Return the messages by which the application answered a text, as far as the network can tell.

    Those that the text's TwiML sent; without any, the first message to the telephone after the text.
    """
    later = store.later(store.place(text.sid) or 0, to=text.sender, sender=text.recipient)
    sent_by_twiml = [message for message in later if message.reply_to == text.sid]
    return sent_by_twiml or [message for message in later if not message.reply_to][:1]


def _webhook(inspector: Inspector, text: Message) -> dict[str, str]:
    """Return how the application answered the latest request about a text."""
    exchanges = inspector.describe(message=text.sid)
    if not exchanges:
        return {}
    last = exchanges[-1]
    took = f"{last['status'] or last['failure']} in {last['seconds'] * 1000:.0f} ms"
    facts = {"answer": took}
    if text.error_code is not None:
        titles = [exchange["error_title"] for exchange in exchanges if exchange["error"] == text.error_code]
        facts["error"] = f"{text.error_code} {titles[0] if titles else twiml.TITLES.get(text.error_code, '')}".strip()
    return facts
