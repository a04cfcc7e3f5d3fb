"""Export conversations, as JSON lines for a machine or as a page for a reader.

An export is first `{"item": ...}`, the conversation as it stands in its table, then a `{"row": ...}` for each row of
the journal, complete.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from decimal import Decimal
from html import escape

from conversation.manager import ConversationManager
from conversation.table import Row
from journal.store import Journal
from operations import conversations
from runtime.isolation import SetAside, isolated
from runtime.visible import visible


def lines(journal: Journal, people: Iterable[str] | None, set_aside: SetAside) -> Iterator[str]:
    """Yield the lines of an export: the conversations of these people, or of all, and their journal rows.

    An item or a row that cannot be written as JSON is handed to `set_aside`.
    """
    archive = journal.archive
    for person in people if people is not None else (str(item["user_id"]) for item in archive.items()):
        item = archive.item(person)
        for kind, name, row in _rows_of(item, archive.rows(person)):
            with isolated(kind, name, set_aside):
                yield _line(kind, row)


def _rows_of(item: Row | None, rows: Iterable[Row]) -> Iterator[tuple[str, str, Row]]:
    if item is not None:
        yield "item", f"of …{str(item['user_id'])[-2:]}", item
    for row in rows:
        yield "row", str(row["message_key"]), row


def page(journal: Journal, person: str) -> Iterator[str]:
    """Yield all texts and replies of a person as the lines of a self-contained HTML page."""
    yield (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(visible(person))}</title>"
        "<style>body{font:16px/1.4 system-ui,sans-serif;max-width:40rem;margin:2rem auto;padding:0 1rem}"
        "p{margin:.3rem 0;padding:.5rem .8rem;border-radius:1rem;white-space:pre-wrap;overflow-wrap:anywhere;"
        "max-width:80%;width:fit-content}"
        ".user{background:#e5e5ea;color:#111}.assistant{background:#1b5e3a;color:#fff;margin-left:auto}"
        "small{display:block;opacity:.75;font-size:.75rem}</style>"
        f"<h1>{escape(visible(person))}</h1>"
    )
    for entry in ConversationManager(journal.storage).history(person):
        at = conversations.arrived_at(entry)
        role = "assistant" if entry.role == "assistant" else "user"
        yield f'<p class="{role}">{escape(visible(entry.content))}<small>{at} {escape(entry.state or "")}</small></p>'
    yield "</html>"


def _line(kind: str, value: object) -> str:
    """Return a line that `import` reads, and that a terminal shows without being commanded."""
    return visible(json.dumps({kind: value}, ensure_ascii=False, default=_jsonable))


def _jsonable(value: object) -> object:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, set | frozenset):
        return sorted(value)
    raise TypeError(type(value).__name__)
