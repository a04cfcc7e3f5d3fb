"""List, read, export and import conversations for the operator; webhook and workers do not use this.

An export is JSON lines: first `{"item": ...}`, the conversation as it stands in its table,
then a `{"row": ...}` for each row of the journal, complete.
An import writes exactly what was exported: states, sids and times stay, so nothing is sent again.
"""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from conversation.entries import Entry, milliseconds
from conversation.models import Conversation
from conversation.table import Row
from journal.archive import INTERNAL_PREFIX, Archive
from journal.states import UNFINISHED_TURNS, UNSETTLED_PARTS
from journal.store import Journal
from operations.dead_letters import BadRequest

#: States of unfinished rows: if one were imported, a worker would continue it.
_OPEN: Final = frozenset(map(str, (*UNFINISHED_TURNS, *UNSETTLED_PARTS))) - {"ANSWERED"}


def listed(archive: Archive) -> Iterator[dict[str, Any]]:  # Any: JSON
    """Yield a few facts about each conversation."""
    for item in archive.items():
        conversation = Conversation.from_item(item, datetime.now(UTC))
        yield {
            "person": conversation.user_id,
            "updated": conversation.updated_at.isoformat(),
            "replies": conversation.replies,
            "active": conversation.is_active,
            "quiet": conversation.quiet_until > datetime.now(UTC).timestamp() * 1000,
        }


def shown(journal: Journal, person: str) -> dict[str, Any]:  # Any: JSON
    """Return what is known about a person apart from the messages: state, memory, counts.

    Raises `BadRequest` if there is no conversation with that person.
    """
    conversation = known(journal, person)
    memory = conversation.memory
    return {
        "person": person,
        "created": conversation.created_at.isoformat(),
        "updated": conversation.updated_at.isoformat(),
        "active": conversation.is_active,
        "quiet_until": moment(conversation.quiet_until) if conversation.quiet_until else None,
        "replies": conversation.replies,
        "window": len(conversation.messages),
        "remembered": {"summary": memory.summary, "told": list(memory.told)},
    }


def known(journal: Journal, person: str) -> Conversation:
    """Return a person's conversation. Raises `BadRequest` if there is none."""
    conversation = journal.storage.get(person)
    if conversation is None:
        raise BadRequest(f"there is no conversation with {person}")
    return conversation


def transcript(journal: Journal, person: str) -> Iterator[Entry]:
    """Yield all texts and replies, oldest first."""
    cursor: str | None = None
    while True:
        page = journal.storage.page(person, cursor=cursor)
        yield from page.entries
        cursor = page.cursor
        if cursor is None:
            return


def moment(at_ms: int) -> str:
    """Format a time of Redis's clock, such as `2025-01-31T12:00:00+00:00`."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="seconds")


def exported(archive: Archive, people: Iterable[str]) -> Iterator[str]:
    """Yield the lines of an export: the conversations of these people and their journal rows."""
    for person in people:
        item = archive.item(person)
        if item is not None:
            yield json.dumps({"item": item}, ensure_ascii=False, default=_jsonable)
        for row in archive.rows(person):
            yield json.dumps({"row": row}, ensure_ascii=False, default=_jsonable)


def imported(archive: Archive, lines: Iterable[str]) -> tuple[int, int]:
    """Write what was exported; return the number of conversations and of rows.

    Raises `BadRequest`, and writes nothing, if a line is not a line of an export,
    or if a person is already known here.
    """
    items: list[Row] = []
    rows: list[Row] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        kind, row = _read(line, number)
        (items if kind == "item" else rows).append(row)
    for item in items:
        if archive.item(item["user_id"]) is not None:
            raise BadRequest(
                "a person in this file is known here already: forget that person first, or leave the lines out"
            )
    for item in items:
        archive.keep(item, [])
    archive.keep(None, rows)
    return len(items), len(rows)


def _read(line: str, number: int) -> tuple[str, Row]:
    try:
        parsed = json.loads(line, parse_float=Decimal)
        ((kind, row),) = parsed.items()
        names = {"item": ("user_id",), "row": ("user_id", "message_key")}[kind]
        fits = all(isinstance(row[name], str) and not row[name].startswith(INTERNAL_PREFIX) for name in names)
    except (ValueError, KeyError, AttributeError, TypeError):
        fits = False
    if not fits:
        raise BadRequest(f"line {number} is not a line of an export")
    if row.get("state") in _OPEN:
        raise BadRequest(f"line {number} is not settled ({row['state']}): a worker here would continue it")
    return kind, row


def page(person: str, entries: Iterable[Entry]) -> Iterator[str]:
    """Yield a transcript as a self-contained HTML page."""
    yield (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{html.escape(person)}</title>"
        "<style>body{font:16px/1.4 system-ui,sans-serif;max-width:40rem;margin:2rem auto;padding:0 1rem}"
        "p{margin:.3rem 0;padding:.5rem .8rem;border-radius:1rem;white-space:pre-wrap;overflow-wrap:anywhere;"
        "max-width:80%;width:fit-content}"
        ".user{background:#e5e5ea;color:#111}.assistant{background:#1b5e3a;color:#fff;margin-left:auto}"
        "small{display:block;opacity:.75;font-size:.75rem}</style>"
        f"<h1>{html.escape(person)}</h1>"
    )
    for entry in entries:
        at = moment(milliseconds(entry.arrived))
        role = "assistant" if entry.role == "assistant" else "user"
        yield f'<p class="{role}">{html.escape(entry.content)}<small>{at} {html.escape(entry.state or "")}</small></p>'
    yield "</html>"


def _jsonable(value: object) -> object:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, set | frozenset):
        return sorted(value)
    raise TypeError(type(value).__name__)
