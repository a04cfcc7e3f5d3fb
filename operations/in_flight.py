"""The texts and reply parts that are not settled yet: what workers have in hand, or have left."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from typing import Any

from conversation.models import parse_time
from journal.model import ALL_BUCKETS, RowName
from journal.store import Journal
from runtime.isolation import SetAside, isolated


def listed(journal: Journal, limit: int, set_aside: SetAside) -> Iterator[dict[str, Any]]:  # Any: JSON
    """Yield the rows that are not settled: key, person, state, since when, tries and reason.

    A row that cannot be read is handed to `set_aside`. Raises `StoreAway`.
    """
    unsettled = journal.unsettled
    rows = [row for bucket in ALL_BUCKETS for row in islice(unsettled.rows(bucket, limit=limit), limit)]
    found: list[dict[str, Any]] = []
    for name in rows:
        with isolated("row", name.key, set_aside):
            row = _row(journal, name)
            found += [row] if row is not None else []
    yield from islice(sorted(found, key=lambda row: str(row["since"])), limit)


def _row(journal: Journal, name: RowName) -> dict[str, Any] | None:
    if name.is_turn:
        turn = journal.turns.get(name.user_id, name.sid)
        if turn is None:
            return None
        since = turn.arrived_at
        return _as_json(name, str(turn.state), since, turn.tries, turn.reason)
    part = journal.outbox.part(name)
    if part is None:
        return None
    since = parse_time(part.claimed_at) or part.arrived_at
    return _as_json(name, str(part.state), since, part.tries, part.reason)


def _as_json(name: RowName, state: str, since: datetime, tries: int, reason: str | None) -> dict[str, Any]:
    return {
        "key": name.key, "sid": name.sid, "person": name.user_id, "state": state,
        "since": since.isoformat(timespec="seconds"), "tries": tries, "reason": reason,
    }  # fmt: skip
