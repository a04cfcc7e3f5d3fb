"""The people in whose texts danger was heard, and how it went."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final

from cat.danger.state import State
from conversation.models import Conversation
from inbox.durations import moment
from journal.store import Journal
from runtime.isolation import SetAside, isolated

#: So many of a person's newest reply parts are searched for the answer to a danger.
NEWEST_PARTS: Final = 20


def heard(journal: Journal, now: datetime, limit: int, set_aside: SetAside) -> list[dict[str, Any]]:  # Any: JSON
    """Return the latest dangers, newest first: person, tier, kind, since when, and how it went.

    Raises `StoreAway`. Reads every conversation. One that cannot be read is handed to `set_aside`.
    """
    found: list[tuple[State, Conversation]] = []
    for item in journal.archive.endangered():
        with isolated("conversation", f"…{str(item['user_id'])[-2:]}", set_aside):
            conversation = Conversation.from_item(item, datetime.now(UTC))
            state = State.from_json(conversation.danger)
            found += [(state, conversation)] if state.danger.tier else []
    found.sort(key=lambda pair: -pair[0].heard_ms)
    return list(_rows(journal, islice(found, limit), int(now.timestamp() * 1000)))


def _rows(journal: Journal, found: Iterator[tuple[State, Conversation]], now_ms: int) -> Iterator[dict[str, Any]]:
    for state, conversation in found:
        yield {
            "person": conversation.user_id,
            "tier": state.danger.tier.name.lower(),
            "kind": str(state.danger.kind),
            "young": state.danger.young,
            "heard": moment(state.heard_ms).isoformat(timespec="seconds"),
            "calm_texts": state.calm,
            "quiet": state.lasts(now_ms),
            "active": conversation.is_active,
            "answer": _answer(journal, conversation.user_id),
        }


def _answer(journal: Journal, person: str) -> str:
    """Say what became of the latest reply to danger."""
    parts = journal.outbox.newest_parts(person, limit=NEWEST_PARTS)
    part = next((part for part in sorted(parts, key=lambda part: part.arrived, reverse=True) if part.serious), None)
    if part is None:
        return "no reply is recorded"
    return f"{part.state}, {part.status}" if part.status else str(part.state)
