"""The page with the telephones, and the endpoints that its script calls.

GET  /phone                     the page
GET  /phone/state               the account's numbers, and each telephone with its latest messages
POST /phone/phones              {"number", "name"}: put a telephone on the page
DELETE /phone/phones/{number}   take a telephone off the page
POST /phone/pictures            a picture's bytes, with its content type: {"sid"}
POST /phone/texts               {"from", "to", "body", "pictures"}: a telephone sends a text: {"sid"};
                                `to`: the account's first number if missing
GET  /phone/pictures/{sid}      a picture
GET  /phone/events              server-sent events, each a JSON object with a `kind`: `message`, `deleted`, `notice`,
                                `phones`, `faults`, `request` or `requests`
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from itertools import islice
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from runtime import page_files
from simulator.bodies import Refused, json_of, read, text_in, texts_in
from simulator.network import Network
from simulator.switchboard import describe
from simulator.webhooks import MOST_MEDIA_BYTES
from sms.addresses import is_dialable
from sms.messages import MAX_BODY_CHARACTERS, MAX_FIELD_CHARACTERS, MAX_MEDIA

#: How many messages of one telephone the page shows.
SHOWN: Final = 200
#: Interval of the heartbeat by which a page notices that the network is gone.
HEARTBEAT_SECONDS: Final = 15.0
#: The stream of a page that is this many events behind is closed: the page reconnects and reloads.
BEHIND: Final = 1000

#: Characters that people type between the digits of a number.
_PUNCTUATION: Final = str.maketrans("", "", " ()-./")

_FILES: Final = page_files.SHARED | {"phone.css", "phone.js", "bubbles.js", "composer.js", "faults.js", "requests.js"}


def routes(network: Network, *, has_journal: bool) -> list[Route]:
    """Return the page's routes. `has_journal`: whether the road view knows more than the network saw."""
    phone = Phone(network, has_journal=has_journal)
    return [
        Route("/", lambda _: RedirectResponse("/phone"), methods=["GET"]),
        Route("/phone", phone.page, methods=["GET"]),
        Route("/phone/page/{name}", phone.page_file, methods=["GET"]),
        Route("/phone/state", phone.state, methods=["GET"]),
        Route("/phone/phones", phone.add_phone, methods=["POST"]),
        Route("/phone/phones/{number}", phone.remove_phone, methods=["DELETE"]),
        Route("/phone/pictures", phone.upload, methods=["POST"]),
        Route("/phone/pictures/{sid}", phone.picture, methods=["GET"]),
        Route("/phone/texts", phone.text, methods=["POST"]),
        Route("/phone/events", phone.events, methods=["GET"]),
    ]


class Phone:
    """The handlers of the page's routes."""

    def __init__(self, network: Network, *, has_journal: bool) -> None:
        self._inbound = network.inbound
        self._board = network.switchboard
        self._store = network.switchboard.store
        self._has_journal = has_journal

    async def page(self, request: Request) -> Response:
        """Return the page."""
        del request
        return page_files.file("simulator", "phone.html")

    async def page_file(self, request: Request) -> Response:
        """Return the page's stylesheet or its script."""
        name = request.path_params["name"]
        return page_files.file("simulator", name) if name in _FILES else Response(status_code=404)

    async def state(self, request: Request) -> Response:
        """Return everything that the page shows."""
        del request
        phones = [{"number": number, "name": name} for number, name in self._store.telephones.all()]
        return JSONResponse(
            {
                "journal": self._has_journal,
                "numbers": [number.number for number in self._store.numbers.all()],
                "phones": [
                    {
                        **phone,
                        "messages": self._messages(phone["number"]),
                        "notices": [
                            {"at": at, "body": body} for at, body in self._store.telephones.notices(phone["number"])
                        ],
                    }
                    for phone in phones
                ],
            }
        )

    def _messages(self, number: str) -> list[dict[str, Any]]:  # Any: JSON
        sent, received = self._store.messages(sender=number), self._store.messages(to=number)
        placed = [*islice(sent, SHOWN), *islice(received, SHOWN)]
        placed.sort(key=lambda pair: pair[0])
        return [describe(message) for _, message in placed[-SHOWN:]]

    async def add_phone(self, request: Request) -> Response:
        """Put a telephone on the page."""
        asked = await json_of(request)
        number = text_in(asked, "number").translate(_PUNCTUATION)
        if not is_dialable(number):
            raise Refused("a telephone number begins with + and its country, such as +15551230001")
        if self._store.numbers.get(number) is not None:
            raise Refused("that is a number of the account")
        if number in dict(self._store.telephones.all()):
            raise Refused("that phone is already on the page")
        name = (text_in(asked, "name").strip() or number)[:MAX_FIELD_CHARACTERS]
        self._store.telephones.save(number, name)
        self._board.publish({"kind": "phones"})
        return JSONResponse({"number": number, "name": name, "messages": self._messages(number)}, status_code=201)

    async def remove_phone(self, request: Request) -> Response:
        """Take a telephone off the page."""
        self._store.telephones.remove(request.path_params["number"])
        self._board.publish({"kind": "phones"})
        return Response(status_code=204)

    async def upload(self, request: Request) -> Response:
        """Store a picture to be sent with a text."""
        kind = request.headers.get("content-type", "")
        if not kind.startswith("image/"):
            raise Refused("only pictures can be sent")
        data = await read(request, most=MOST_MEDIA_BYTES)
        if not data:
            raise Refused("the picture is empty")
        return JSONResponse({"sid": self._inbound.upload(kind, data).sid}, status_code=201)

    async def picture(self, request: Request) -> Response:
        """Return a picture."""
        picture = self._store.picture(request.path_params["sid"])
        if picture is None:
            return Response(status_code=404)
        # what the application sends may be anything, and here it must not become a page or a script
        is_picture = picture.content_type.startswith("image/")
        return Response(picture.data, media_type=picture.content_type if is_picture else "application/octet-stream")

    async def text(self, request: Request) -> Response:
        """Send a text from a telephone."""
        asked = await json_of(request)
        sender, to, body = text_in(asked, "from"), text_in(asked, "to") or self._first_number(), text_in(asked, "body")
        pictures = tuple(texts_in(asked, "pictures"))
        if not sender or len(sender) > MAX_FIELD_CHARACTERS:
            raise Refused("from: the number of the telephone that sends the text is required")
        if self._store.numbers.get(sender) is not None:
            raise Refused("from: that is a number of the account")
        if self._store.numbers.get(to) is None:
            raise Refused("to: that number is not one of the account's")
        if len(pictures) > MAX_MEDIA:
            raise Refused(f"a text may have at most {MAX_MEDIA} pictures")
        uploaded = [picture for sid in set(pictures) if (picture := self._store.picture(sid))]
        if len(uploaded) < len(pictures) or any(picture.parent for picture in uploaded):
            raise Refused("pictures: upload each first, with POST /phone/pictures, and for one text only")
        if not body.strip() and not pictures:
            raise Refused("an empty text is not sent")
        if len(body) > MAX_BODY_CHARACTERS:
            raise Refused(f"a text has at most {MAX_BODY_CHARACTERS} characters")
        message = self._inbound.text(sender=sender, to=to, body=body, pictures=pictures)
        return JSONResponse({"sid": message.sid}, status_code=201)

    def _first_number(self) -> str:
        return next((number.number for number in self._store.numbers.all()), "")

    async def events(self, request: Request) -> Response:
        """Stream every change as it happens."""
        del request
        queue: asyncio.Queue[Mapping[str, Any]] = asyncio.Queue(BEHIND)
        behind = asyncio.Event()

        def watcher(event: Mapping[str, Any]) -> None:
            if queue.full():
                behind.set()
            else:
                queue.put_nowait(event)

        async def stream() -> AsyncIterator[str]:
            unwatch = self._board.watch(watcher)
            try:
                yield "retry: 1000\n\n"
                while not behind.is_set():
                    try:
                        async with asyncio.timeout(HEARTBEAT_SECONDS):
                            event = await queue.get()
                    except TimeoutError:
                        yield ": here\n\n"
                        continue
                    if event["kind"] == "end":
                        return
                    yield f"data: {json.dumps(event)}\n\n"
            finally:
                unwatch()

        return StreamingResponse(stream(), media_type="text/event-stream", headers={"cache-control": "no-store"})
