"""What the journal says of the last day and this month: outcomes, rates, times, limits, costs.

One reading of all rows gives all of it. It costs what reading the table costs, so `Recents` does it in a thread of its
own, as seldom as it takes long.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from conversation.entries import accepted_at
from conversation.models import parse_time
from conversation.table import Row
from journal.model import RowName
from journal.spending import cost_of, has_cost
from journal.store import Journal
from operations import percentiles
from operations.costs import Line
from operations.percentiles import Spread
from operations.stats import Stats, count
from runtime import logs
from runtime.isolation import BadItem, isolated

#: How far back outcomes, rates and times are counted, and into how many bars of a plot.
SPAN: Final = timedelta(hours=24)
BARS: Final = 24
#: The journal is read again at the earliest after this time, and only so often that a reading is running for one part
#: in `SHARE` of the time: reading a large table costs money.
AGAIN_SECONDS: Final = 30.0
SHARE: Final = 50
#: So many people who were limited are listed, those with most texts first.
LISTED: Final = 100
#: The steps of a text's road, and the attributes between whose times each lasts. A part has its turn's `arrived`.
TURN_STEPS: Final = (("waited", "arrived", "opened_at"), ("thought", "opened_at", "thought_at"),
                     ("persisted", "thought_at", "answered_at"))  # fmt: skip
PART_STEPS: Final = (("claimed", "persisted_at", "claimed_at"), ("sent", "claimed_at", "sent_at"),
                     ("delivered", "sent_at", "delivered_at"), ("answered in all", "arrived", "sent_at"))  # fmt: skip
#: Why a text was limited: the beginnings of such reasons.
_LIMITED: Final = ("over the limit", "over the budget", "two machines", "of a country")

log = logs.get("operations")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limited:
    """A person whose texts got no reply because of a limit, a budget, a loop or a country."""

    user_id: str
    reason: str
    texts: int
    last: datetime


@dataclass(slots=True)
class Recent:
    """The last day, and the costs of this month."""

    at: datetime
    #: How many rows were read, and how long that took.
    rows: int = 0
    seconds: float = 0.0
    #: Rows that could not be read.
    unread: list[BadItem] = field(default_factory=list)
    stats: Stats = field(default_factory=Stats)
    #: Texts by outcome (`ANSWERED`, `SILENT`, …) in each bar of the plot, oldest first.
    bars: list[Counter[str]] = field(default_factory=lambda: [Counter() for _ in range(BARS)])
    steps: dict[str, list[float]] = field(default_factory=dict)
    #: Texts in which danger was heard, by outcome.
    serious: Counter[str] = field(default_factory=Counter)
    limits: dict[tuple[str, str], tuple[int, datetime]] = field(default_factory=dict)
    today: Line = field(default_factory=lambda: Line("today"))
    month: Line = field(default_factory=lambda: Line("this month"))

    @property
    def spreads(self) -> dict[str, Spread]:
        """How long each step of the road took, in the order of the road."""
        names = [name for name, _, _ in (*TURN_STEPS, *PART_STEPS)]
        return {name: percentiles.of(self.steps[name]) for name in names if name in self.steps}

    @property
    def limited(self) -> Sequence[Limited]:
        """The people who were limited, those with most texts first."""
        rows = [
            Limited(user_id=user_id, reason=reason, texts=texts, last=last)
            for (user_id, reason), (texts, last) in self.limits.items()
        ]
        return sorted(rows, key=lambda row: -row.texts)[:LISTED]

    def to_json(self) -> dict[str, Any]:  # Any: JSON
        """Return the digest as a JSON object; it names no person."""
        return {
            "at": self.at.isoformat(timespec="seconds"),
            "rows": self.rows,
            "seconds": round(self.seconds, 3),
            "unread": len(self.unread),
            **self.stats.to_json(),
            "bars": [dict(bar) for bar in self.bars],
            "steps_ms": {name: step.to_json() for name, step in self.spreads.items()},
            "serious": dict(self.serious),
            "today": self.today.to_json(),
            "month": self.month.to_json(),
        }


def recent(journal: Journal, now: datetime) -> Recent:
    """Read every row once and return what it says of the last day and of this month. Raises `StoreAway`."""
    started_at = time.monotonic()
    digest = counted(journal.archive.states(), now)
    digest.seconds = time.monotonic() - started_at
    return digest


def counted(rows: Iterable[Row], now: datetime) -> Recent:
    """Return what these rows say, as of `now`."""
    digest = Recent(at=now)
    for row in rows:
        digest.rows += 1
        with isolated("row", str(row["message_key"]), digest.unread.append):
            _add(digest, row, now)
    return digest


def _add(digest: Recent, row: Row, now: datetime) -> None:
    _add_cost(digest, row, now)
    arrived = accepted_at(row["arrived"]) if "arrived" in row else None
    if arrived is None or arrived < now - SPAN:
        return
    count(digest.stats, row)
    name = RowName(user_id=row["user_id"], key=row["message_key"])
    if name.is_turn:
        state = str(row.get("state", ""))
        bar = min(BARS - 1, max(0, int((arrived - (now - SPAN)) / (SPAN / BARS))))
        digest.bars[bar][state] += 1
        if row.get("serious"):
            digest.serious[state] += 1
        _add_limit(digest, name.user_id, str(row.get("reason", "")), arrived)
        _add_steps(digest, row, TURN_STEPS)
    elif name.is_part:
        _add_steps(digest, row, PART_STEPS)


def _add_limit(digest: Recent, user_id: str, reason: str, arrived: datetime) -> None:
    if reason.startswith(_LIMITED):
        texts, last = digest.limits.get((user_id, reason), (0, arrived))
        digest.limits[user_id, reason] = (texts + 1, max(last, arrived))


def _add_steps(digest: Recent, row: Row, steps: Sequence[tuple[str, str, str]]) -> None:
    for name, begin, end in steps:
        started, ended = _moment(row, begin), _moment(row, end)
        if started is not None and ended is not None:
            digest.steps.setdefault(name, []).append(max(0.0, (ended - started).total_seconds() * 1000))


def _moment(row: Row, attribute: str) -> datetime | None:
    return accepted_at(row["arrived"]) if attribute == "arrived" else parse_time(row.get(attribute))


def _add_cost(digest: Recent, row: Row, now: datetime) -> None:
    if not has_cost(row):
        return
    cost = cost_of(row)
    today = now.astimezone(UTC).date()
    if cost is None or (cost.at.year, cost.at.month) != (today.year, today.month):
        return
    digest.month.add(cost)
    if cost.at.date() == today:
        digest.today.add(cost)


class Recents:
    """The latest digest of the journal, read again in a thread when it is asked for and old enough."""

    def __init__(
        self, journal: Journal, clock: Callable[[], datetime], *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._latest: Recent | None = None
        self._due = 0.0

    def latest(self) -> Recent | None:
        """Return the latest digest, and begin a new one if it is due; None before the first is complete."""
        with self._lock:
            if self._monotonic() >= self._due:
                self._due = float("inf")
                threading.Thread(target=self._read, name="recent", daemon=True).start()
            return self._latest

    def now(self) -> Recent:
        """Read the journal now, and return what it says. Raises `StoreAway`, `InboxAway`."""
        digest = recent(self._journal, self._clock())
        with self._lock:
            self._latest = digest
        return digest

    def _read(self) -> None:
        pause = AGAIN_SECONDS
        try:
            pause = max(pause, SHARE * self.now().seconds)
        except Exception as exc:  # noqa: BLE001 - the thread's boundary: the next reading may succeed
            log.warning("journal not read", error=type(exc).__name__)
        finally:
            with self._lock:
                self._due = self._monotonic() + pause
