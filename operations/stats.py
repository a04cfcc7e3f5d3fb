"""Count what became of texts and replies since a given time, and how long the oldest text has waited."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from conversation.entries import milliseconds
from conversation.models import in_milliseconds
from conversation.table import Row
from inbox.durations import moment
from inbox.ports import Circuit, Inbox
from inbox.stopped import Stopped
from journal.model import RowName
from journal.store import Journal
from journal.story import ARRIVED
from operations import charts, percentiles
from operations.progress import Progress, silent, with_progress
from runtime.isolation import SetAside, isolated

HOUR_MS: Final = 3_600_000
#: A chart of more hours is drawn by days: more bars than these cannot be read.
HOURS_DRAWN: Final = 72
_NEVER: Final = datetime.min.replace(tzinfo=UTC)


@dataclass(slots=True)
class Stats:
    """Counts; times in milliseconds."""

    people: set[str] = field(default_factory=set)
    texts: Counter[str] = field(default_factory=Counter)
    #: The reasons for which texts got no reply.
    reasons: Counter[str] = field(default_factory=Counter)
    engines: Counter[str] = field(default_factory=Counter)
    messages: Counter[str] = field(default_factory=Counter)
    #: The last status that the carrier reported for a message.
    statuses: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    thought_ms: list[int] = field(default_factory=list)
    #: Texts by the hour in which they arrived, since 1970, and by outcome.
    hours: defaultdict[int, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))

    def to_json(self) -> dict[str, Any]:  # Any: JSON
        """Return the counts as a JSON object."""
        thought = percentiles.of(self.thought_ms).to_json() if self.thought_ms else {"median": None, "p95": None}
        return {
            "people": len(self.people),
            "texts": dict(self.texts),
            "no_reply": dict(self.reasons),
            "engines": dict(self.engines),
            "thought_ms": thought,
            "messages": dict(self.messages),
            "statuses": dict(self.statuses),
            "error_codes": dict(self.errors),
            "hours": {_hour(hour): dict(texts) for hour, texts in sorted(self.hours.items())},
        }


def gather(
    journal: Journal,
    inbox: Inbox,
    circuit: Circuit,
    *,
    since: datetime,
    set_aside: SetAside,
    progress: Progress = silent,
) -> dict[str, Any]:  # Any: JSON
    """Return the counts since a time as a JSON object. Reads every row. Raises `StoreAway`, `InboxAway`.

    A row that cannot be read is handed to `set_aside`.
    """
    rows = with_progress(journal.archive.states(), "rows", progress)
    return {
        **counted(rows, since=since, set_aside=set_aside).to_json(),
        "since": since.isoformat(timespec="seconds"),
        "oldest_waiting_seconds": _oldest_waiting_seconds(inbox),
        "stopped": [stopped_as_json(stop) for stop in circuit.stopped()],
    }


def stopped_as_json(stop: Stopped) -> dict[str, Any]:  # Any: JSON
    """Return an open circuit as a JSON object."""
    return {
        "scope": stop.scope,
        "name": stop.name,
        "since": moment(stop.since_ms).isoformat(timespec="seconds"),
        "reason": stop.reason,
        "people": stop.people,
        "tried_again_in_seconds": round(stop.probe_ms / 1000),
    }


def _oldest_waiting_seconds(inbox: Inbox) -> float | None:
    oldest = inbox.texts.oldest_waiting_ms()
    return None if oldest is None else (inbox.clock.now() - moment(oldest)).total_seconds()


def counted(rows: Iterable[Row], *, since: datetime, set_aside: SetAside) -> Stats:
    """Count the rows that arrived at `since` or later."""
    stats, begin = Stats(), in_milliseconds(since)
    for row in rows:
        with isolated("row", str(row["message_key"]), set_aside):
            if milliseconds(row.get("arrived", "0-")) >= begin:
                count(stats, row)
    return stats


def count(stats: Stats, row: Row) -> None:
    """Add one row of the journal to the counts."""
    state, name = str(row.get("state", "")), RowName(user_id=row["user_id"], key=row["message_key"])
    if name.is_turn:
        stats.people.add(row["user_id"])
        stats.texts[state] += 1
        stats.hours[milliseconds(row.get("arrived", "0-")) // HOUR_MS][state] += 1
        if "reason" in row:
            stats.reasons[str(row["reason"])] += 1
        if "thought_ms" in row:
            stats.thought_ms.append(int(row["thought_ms"]))
            stats.engines[str(row.get("engine", ""))] += 1
    elif name.is_part:
        stats.messages[state] += 1
        if "status" in row:
            stats.statuses[str(row["status"])] += 1
        if row.get("error_code") and row.get("status") not in ARRIVED:
            stats.errors[str(row["error_code"])] += 1


def draw(hours: Mapping[str, Mapping[str, int]], path: Path) -> None:
    """Draw the texts of each hour by outcome, or of each day if they are more than `HOURS_DRAWN` hours.

    `hours`: those of a report, such as `{"2026-11-30T12:00+00:00": {"ANSWERED": 3}}`. Hours without a text have a bar
    too, an empty one.
    """
    counts = {datetime.fromisoformat(hour): texts for hour, texts in hours.items()}
    first, last = min(counts, default=_NEVER), max(counts, default=_NEVER)
    step, form = timedelta(hours=1), "%m-%d %H:00"
    if last - first >= timedelta(hours=HOURS_DRAWN):
        first, step, form = first.replace(hour=0), timedelta(days=1), "%Y-%m-%d"
    bars = [Counter[str]() for _ in range(int((last - first) / step) + 1)]
    for at, texts in counts.items():
        bars[int((at - first) / step)].update(texts)
    states = sorted({state for bar in bars for state in bar})
    charts.stacked(
        path,
        title="Texts by outcome",
        unit="texts",
        labels=[(first + number * step).strftime(form) for number in range(len(bars))],
        series={state: [bar[state] for bar in bars] for state in states},
        shown=lambda value: f"{value:.0f}",
    )


def _hour(hour: int) -> str:
    return moment(hour * HOUR_MS).isoformat(timespec="minutes")
