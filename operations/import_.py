"""Import conversations from an export, exactly: states, sids and times stay, so nothing is sent again."""

from __future__ import annotations

import json
from collections.abc import Iterable
from decimal import Decimal
from typing import Final

from conversation.table import Row
from journal.archive import INTERNAL_PREFIX
from journal.states import UNFINISHED_TURNS, UNSETTLED_PARTS
from journal.store import Journal
from operations.errors import BadRequest

#: States of unfinished rows: if one were imported, a worker would continue it.
_OPEN: Final = frozenset(map(str, (*UNFINISHED_TURNS, *UNSETTLED_PARTS))) - {"ANSWERED"}


def write(journal: Journal, lines: Iterable[str]) -> tuple[int, int]:
    """Write what was exported; return the number of conversations and of rows.

    Raises `BadRequest`, and writes nothing, if a line is not a line of an export,
    or if a person is already known here.
    """
    archive = journal.archive
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
