"""Figures: costs, limits and budgets, health, and the audit log."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from starlette.responses import Response

from console.actions import Action, Done, Question
from console.desk import Desk
from console.pages import Page
from console.pages.now import Now
from console.request import ConsoleRequest
from console.views import Views
from conversation.errors import StoreAway
from inbox import server as redis_server
from operations import costs, marks
from operations.doctor import Finding, Level
from operations.durations import duration
from operations.errors import BadRequest
from operations.logins import Role
from operations.one_at_a_time import OneAtATime
from operations.stats import stopped_as_json
from runtime.isolation import BadItem

#: What costs are summed by, and how far back.
BY: Final = ("day", "engine", "person", "number")
SINCE: Final = ("7d", "30d", "90d")
#: Acts and refused logins on the page of the audit log.
AUDITED: Final = 200
REFUSED: Final = 50


class Figures:
    """Their pages and actions."""

    def __init__(self, desk: Desk, views: Views, now: Now) -> None:
        self._desk = desk
        self._views = views
        self._now = now
        self._examined: tuple[datetime, Sequence[Finding]] | None = None
        self._examining = OneAtATime("the installation is examined")

    def pages(self) -> list[Page]:
        """Return the pages."""
        return [
            Page("/costs", self.costs),
            Page("/limits", self.limits),
            Page("/health", self.health),
            Page("/audit", self.audit),
        ]

    def actions(self) -> list[Action]:
        """Return the actions."""
        return [
            Action(path="/health/examine", what="examine", role=Role.LOOK, act=self.examine),
            Action(path="/health/trust", what="trust marks", act=self.trust, question=_ask_trust),
        ]

    def costs(self, asked: ConsoleRequest) -> Response:
        """Sum the costs by day, engine, person or number of ours."""
        by, since = asked.query.get("by", BY[0]), asked.query.get("since", SINCE[1])
        if by not in BY or since not in SINCE:
            raise BadRequest(f"by is one of {', '.join(BY)}; since is one of {', '.join(SINCE)}")
        unread: list[BadItem] = []
        begin = self._desk.now() - duration(since)
        with self._desk.reading.turn():
            lines, total = costs.gather(self._desk.journal, begin, by, person_name=str, set_aside=unread.append)
        shown = costs.first(lines, by, costs.BARS)
        rows = [(self._views.name(asked, line.name) if by == "person" else line.name, line) for line in shown]
        return self._views.page(
            asked, "costs.html", "Costs", by=by, since=since, choices=(BY, SINCE), rows=rows, total=total,
            more=len(lines) - len(shown), unread=unread,
        )  # fmt: skip

    def limits(self, asked: ConsoleRequest) -> Response:
        """Show what is stopped, how far the budgets are spent, and who was limited."""
        overview = self._now.look()
        limited = (
            [(self._views.name(asked, row.user_id), row) for row in overview.recent.limited] if overview.recent else []
        )
        stops = [stopped_as_json(stop) for stop in overview.stopped]
        return self._views.page(asked, "limits.html", "Limits", overview=overview, limited=limited, stops=stops)

    def health(self, asked: ConsoleRequest) -> Response:
        """Show the last examination, the processes, the stores and the settings."""
        prometheus = self._desk.prometheus
        return self._views.page(
            asked, "health.html", "Health", overview=self._now.look(), examined=self._examined,
            tables=self._desk.tables(), processes=self._desk.processes(), server=redis_server.read(self._desk.redis),
            distrusted=self._distrusted(), alarms=prometheus.alarms() if prometheus else None,
        )  # fmt: skip

    def _distrusted(self) -> tuple[bool, datetime | None]:
        """Return whether the journal says if marks are believed, and since when they are not."""
        try:
            return True, marks.distrusted_since(self._desk.journal)
        except StoreAway:
            return False, None

    def audit(self, asked: ConsoleRequest) -> Response:
        """Show what operators did, and the logins that were refused."""
        audit = self._desk.audit
        return self._views.page(
            asked, "audit.html", "Audit", acts=audit.acts(AUDITED), refusals=audit.refusals(REFUSED)
        )

    def examine(self, asked: ConsoleRequest) -> Done:
        """Run the checks of `dadacat doctor` that cost nothing."""
        del asked
        with self._examining.turn():
            findings = sorted(self._desk.examine(), key=lambda finding: finding.level is Level.OK)
        self._examined = (self._desk.now(), findings)
        wrong = sum(finding.level is not Level.OK for finding in findings)
        return Done(
            said=f"{wrong} of {len(findings)} findings need you." if wrong else "Nothing is wrong.", to="/health"
        )

    def trust(self, asked: ConsoleRequest) -> Done:
        """Believe the marks of killed workers again."""
        del asked
        marks.trust(self._desk.journal)
        return Done(said="Marks are believed again.", to="/health")


def _ask_trust(asked: ConsoleRequest) -> Question:
    del asked
    return Question(
        title="Believe marks again?",
        sentences=(
            "Twilio has a message that a killed worker's mark had excluded, so marks are not believed now.",
            "Once they are believed, a reply that a mark excludes is sent again: do this when you know what happened.",
        ),
        button="Believe them",
        back="/health",
    )
