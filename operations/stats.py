"""Count what became of texts and replies since a given time, and how long the oldest text has waited."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from conversation.entries import milliseconds
from conversation.models import in_milliseconds
from conversation.table import Row
from inbox.ports import Circuit, Inbox
from inbox.stopped import Stopped
from inbox.times import moment
from journal.model import RowName
from journal.store import Journal
from journal.story import ARRIVED
from operations.progress import Progress, silent, with_progress
from runtime.isolation import SetAside, isolated


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

    def to_json(self) -> dict[str, Any]:  # Any: JSON
        """Return the counts as a JSON object."""
        thought = sorted(self.thought_ms)
        return {
            "people": len(self.people),
            "texts": dict(self.texts),
            "no_reply": dict(self.reasons),
            "engines": dict(self.engines),
            "thought_ms": {"median": _part(thought, 50), "p95": _part(thought, 95)},
            "messages": dict(self.messages),
            "statuses": dict(self.statuses),
            "error_codes": dict(self.errors),
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
        "stopped": [_stopped(stop) for stop in circuit.stopped()],
    }


def _stopped(stop: Stopped) -> dict[str, Any]:  # Any: JSON
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


def _part(values: list[int], percent: int) -> int | None:
    if len(values) < 2:  # noqa: PLR2004 - quantiles need two values
        return values[0] if values else None
    return int(statistics.quantiles(values, n=100)[percent - 1])
