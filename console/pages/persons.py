"""People: their conversations, their texts, and the danger that was heard."""

from __future__ import annotations

from itertools import islice
from typing import Any, Final

from starlette.responses import JSONResponse, Response

from console.desk import Desk
from console.pages import Page
from console.pages.now import LISTED
from console.request import ConsoleRequest
from console.views import Views
from journal import story
from journal.model import RowName
from operations import conversations, costs, dangers, stories
from operations.errors import NotFound
from runtime.isolation import BadItem

#: So many of the latest lines of a conversation stand on its page; an export has all of them.
LINES: Final = 200


class Persons:
    """Their pages."""

    def __init__(self, desk: Desk, views: Views) -> None:
        self._desk = desk
        self._views = views

    def pages(self) -> list[Page]:
        """Return the pages."""
        return [
            Page("/people", self.listed),
            Page("/people/{who}", self.person),
            Page("/people/{who}/texts/{sid}", self.text),
            Page("/people/{who}/texts/{sid}/road", self.road),
            Page("/danger", self.danger),
        ]

    def listed(self, asked: ConsoleRequest) -> Response:
        """List conversations, the latest first among those that were read."""
        unread: list[BadItem] = []
        rows = list(islice(conversations.listed(self._desk.journal, unread.append), LISTED))
        rows = [
            {**row, "name": self._views.name(asked, row["person"])}
            for row in sorted(rows, key=lambda row: str(row["updated"]), reverse=True)
        ]
        return self._views.page(asked, "people.html", "Conversations", rows=rows, most=LISTED, unread=unread)

    def person(self, asked: ConsoleRequest) -> Response:
        """Show one conversation: facts, costs and lines; words only if the person is revealed."""
        who, person = asked.path["who"], self._desk.people.user_id(asked.path["who"])
        journal = self._desk.journal
        known = conversations.shown(journal, person)
        lines = [self._line(line) for line in conversations.history(journal, person, LINES)]
        return self._views.page(
            asked, "person.html", "Conversation", who=who, name=self._views.label(asked, person), known=known,
            lines=lines, cost=costs.of_person(journal, person), is_shown=asked.shows(who), most=LINES,
        )  # fmt: skip

    def _line(self, line: dict[str, Any]) -> dict[str, Any]:
        row = RowName(user_id="", key=line["key"])
        return {**line, "sid": row.sid if row.is_turn or row.is_part else ""}

    def text(self, asked: ConsoleRequest) -> Response:
        """Show the road and the story of one text."""
        who, sid = asked.path["who"], asked.path["sid"]
        person = self._desk.people.user_id(who)
        turn = story.turn_of(self._desk.journal, person, sid)
        if turn is None:
            raise NotFound(f"nothing is known of {sid}")
        told = story.tell(self._desk.journal, turn)
        events = [(since, event, story.as_words(event.detail)) for since, event in told.timed()]
        return self._views.page(
            asked, "text.html", "Text", who=who, name=self._views.label(asked, person), story=told, events=events,
            road=stories.road(self._desk.journal, turn), words=turn.content if asked.shows(who) else None,
        )  # fmt: skip

    def road(self, asked: ConsoleRequest) -> Response:
        """Return the road of one text as JSON, for the script."""
        person = self._desk.people.user_id(asked.path["who"])
        turn = self._desk.journal.turns.get(person, asked.path["sid"])
        if turn is None:
            raise NotFound(f"nothing is known of {asked.path['sid']}")
        return JSONResponse(stories.road(self._desk.journal, turn))

    def danger(self, asked: ConsoleRequest) -> Response:
        """List the people in whose texts danger was heard."""
        unread: list[BadItem] = []
        with self._desk.reading.turn():
            found = dangers.heard(self._desk.journal, self._desk.now(), LISTED, unread.append)
        rows = [{**row, "name": self._views.name(asked, row["person"])} for row in found]
        return self._views.page(asked, "danger.html", "Danger", rows=rows, unread=unread)
