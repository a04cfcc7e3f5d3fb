"""Conversations as an operator handles them: listed, read, exported, imported. Nothing here writes on the road.

An export is JSON lines: first `{"item": ...}`, the conversation as it stands in its table, then a `{"row": ...}` for each row of the journal, whole.
What is imported is what was exported: states, sids and times stay, so nothing of it is sent again.
"""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from conversation import journal
from conversation.archive import HOUSE, Archive
from conversation.dynamodb import Row
from conversation.journal import Entry
from conversation.models import Conversation
from conversation.storage import DynamoDBStorage
from dadacat.operate import BadRequest

#: States in which a row still has somewhere to go: imported like that, somebody would carry it on.
_OPEN: Final = frozenset(map(str, (*journal.UNFINISHED_TURNS, *journal.UNSETTLED_PARTS))) - {"ANSWERED"}


def listed(archive: Archive) -> Iterator[dict[str, Any]]:  # Any: JSON
    """Every conversation, in a few facts."""
    for item in archive.items():
        conversation = Conversation.from_item(item, datetime.now(UTC))
        yield {
            "person": conversation.user_id,
            "updated": conversation.updated_at.isoformat(),
            "replies": conversation.replies,
            "active": conversation.is_active,
            "quiet": conversation.quiet_until > datetime.now(UTC).timestamp() * 1000,
        }


def shown(storage: DynamoDBStorage, person: str) -> dict[str, Any]:  # Any: JSON
    """What is known of a person beside the words: state, memory, counts. Raises `BadRequest` for somebody who is not known."""
    conversation = known(storage, person)
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


def known(storage: DynamoDBStorage, person: str) -> Conversation:
    """A person's conversation. Raises `BadRequest` where there is none."""
    conversation = storage.get(person)
    if conversation is None:
        raise BadRequest(f"nobody is known as {person}")
    return conversation


def transcript(storage: DynamoDBStorage, person: str) -> Iterator[Entry]:
    """All that was said, oldest first."""
    cursor: str | None = None
    while True:
        page = storage.page(person, cursor=cursor)
        yield from page.entries
        cursor = page.cursor
        if cursor is None:
            return


def moment(milliseconds: int) -> str:
    """A time of Redis's clock, to the second."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="seconds")


def exported(archive: Archive, people: Iterable[str]) -> Iterator[str]:
    """These people's conversations, a line of JSON each."""
    for person in people:
        item = archive.item(person)
        if item is not None:
            yield json.dumps({"item": item}, ensure_ascii=False, default=_jsonable)
        for row in archive.rows(person):
            yield json.dumps({"row": row}, ensure_ascii=False, default=_jsonable)


def imported(archive: Archive, lines: Iterable[str]) -> tuple[int, int]:
    """Put back what was exported; how many conversations and rows that were.

    Raises `BadRequest`, and nothing is written, for a line that is no export's, and for a person who is known here already.
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
            raise BadRequest("somebody in this file is known here already: forget them first, or leave them out")
    for item in items:
        archive.keep(item, [])
    archive.keep(None, rows)
    return len(items), len(rows)


def _read(line: str, number: int) -> tuple[str, Row]:
    try:
        found = json.loads(line, parse_float=Decimal)
        ((kind, row),) = found.items()
        needs = {"item": ("user_id",), "row": ("user_id", "message_key")}[kind]
        fits = all(isinstance(row[name], str) and not row[name].startswith(HOUSE) for name in needs)
    except (ValueError, KeyError, AttributeError, TypeError):
        fits = False
    if not fits:
        raise BadRequest(f"line {number} is no line of an export")
    if row.get("state") in _OPEN:
        raise BadRequest(f"line {number} is not settled ({row['state']}): it would be carried on here")
    return kind, row


def page(person: str, entries: Iterable[Entry]) -> Iterator[str]:
    """A transcript as an HTML page that stands by itself."""
    yield (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{html.escape(person)}</title><style>body{{font:16px/1.4 system-ui,sans-serif;max-width:40rem;margin:2rem auto;padding:0 1rem}}"
        "p{margin:.3rem 0;padding:.5rem .8rem;border-radius:1rem;white-space:pre-wrap;overflow-wrap:anywhere;max-width:80%;width:fit-content}"
        ".user{background:#e5e5ea;color:#111}.assistant{background:#1b5e3a;color:#fff;margin-left:auto}"
        "small{display:block;opacity:.75;font-size:.75rem}</style>"
        f"<h1>{html.escape(person)}</h1>"
    )
    for entry in entries:
        at = moment(journal.milliseconds(entry.arrived))
        role = "assistant" if entry.role == "assistant" else "user"
        yield f'<p class="{role}">{html.escape(entry.content)}<small>{at} {html.escape(entry.state or "")}</small></p>'
    yield "</html>"


def _jsonable(value: object) -> object:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, set | frozenset):
        return sorted(value)
    raise TypeError(type(value).__name__)
