"""What happens now: the overview and its stream, and who waits."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Final

from starlette.responses import JSONResponse, Response

from console.desk import Desk
from console.pages import Page
from console.request import ConsoleRequest
from console.views import Views
from conversation.errors import StoreAway
from operations import in_flight
from operations.overview import Overview, why
from runtime.isolation import BadItem

#: Several pages that are open share one reading.
SHARED_SECONDS: Final = 1.0
#: Rows of a list on one page.
LISTED: Final = 100


class Now:
    """The overview as several pages share it."""

    def __init__(self, desk: Desk, views: Views, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._desk = desk
        self._views = views
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._latest: Overview | None = None
        self._due = 0.0

    def pages(self) -> list[Page]:
        """Return the pages."""
        return [Page("/", self.overview), Page("/overview.json", self.as_json), Page("/waiting", self.waiting)]

    def look(self) -> Overview:
        """Return the overview, at most `SHARED_SECONDS` old. Raises `InboxAway`, `StoreAway`."""
        with self._lock:
            if self._latest is None or self._monotonic() >= self._due:
                self._latest = self._desk.overviews.look()
                self._due = self._monotonic() + SHARED_SECONDS
            return self._latest

    def piece(self) -> str:
        """Return the part of the overview that changes, for the event stream."""
        return self._views.piece("now.html", **self._values())

    def overview(self, asked: ConsoleRequest) -> Response:
        """Answer `/`."""
        return self._views.page(asked, "overview.html", "Overview", **self._values())

    def as_json(self, asked: ConsoleRequest) -> Response:
        """Answer `/overview.json`."""
        del asked
        return JSONResponse(self.look().to_json())

    def waiting(self, asked: ConsoleRequest) -> Response:
        """Answer `/waiting`."""
        unread, overview = list[BadItem](), self.look()
        snapshot, people = overview.snapshot, self._desk.inbox.people
        rows = []
        for person in snapshot.waiting:
            user_id = people.user_id(person.who)
            name = self._views.name(asked, user_id) if user_id else person.who[:8]
            rows.append({"name": name, "person": person, "why": why(person, snapshot.now_ms)})
        return self._views.page(
            asked, "waiting.html", "Waiting", overview=overview, waiting=rows, in_flight=self._in_flight(asked, unread),
            unread=unread,
        )  # fmt: skip

    def _in_flight(self, asked: ConsoleRequest, unread: list[BadItem]) -> list[dict[str, Any]] | None:  # Any: JSON
        """Return the rows that are not settled; None while the journal does not answer."""
        try:
            return [
                {**row, "who": self._desk.people.who(row["person"]), "name": self._views.name(asked, row["person"])}
                for row in in_flight.listed(self._desk.journal, LISTED, unread.append)
            ]
        except StoreAway:
            return None

    def _values(self) -> dict[str, Any]:  # Any: what the template prints
        prometheus = self._desk.prometheus
        return {"overview": self.look(), "alarms": prometheus.alarms() if prometheus else None}
