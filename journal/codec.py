"""Rows of the journal as dataclasses and back, derived from the fields.

A field is stored in the attribute of the same name. A field with a default is stored only if its value is not empty,
so a row holds what is known. Attributes without a field are read into `facts`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from enum import StrEnum
from typing import Any, Final, TypeVar, get_type_hints

from conversation.errors import UnreadableRow
from conversation.table import Row
from journal.model import ReplyPart, Turn

_Record = TypeVar("_Record", Turn, ReplyPart)

#: The key's attributes: `user_id` is a field, `message_key` is derived from the others.
_KEY = ("user_id", "message_key")


def decode(kind: type[_Record], row: Row) -> _Record:
    """Read a row as a `Turn` or a `ReplyPart`.

    Raises `UnreadableRow` if a column without a default is missing, or if a state is not known.
    """
    columns = _COLUMNS[kind]
    missing = [name for name, (_, is_required) in columns.items() if is_required and name not in row]
    if missing:
        raise UnreadableRow(f"row {row.get('message_key')} lacks {', '.join(missing)}")
    try:
        values = {name: parse(row[name]) for name, (parse, _) in columns.items() if name in row}
    except ValueError as exc:
        raise UnreadableRow(f"row {row.get('message_key')}: {exc}") from exc
    facts = {name: value for name, value in row.items() if name not in columns and name not in _KEY}
    return kind(**values, facts=facts)


def encode(record: Turn | ReplyPart) -> dict[str, Any]:  # Any: DynamoDB's values
    """Return the attributes of a new row, without its key."""
    columns = _COLUMNS[type(record)]
    values = {name: getattr(record, name) for name in columns if name not in _KEY}
    known = {name: value for name, value in values.items() if columns[name][1] or value}
    return {
        **record.facts,
        **{name: str(value) if isinstance(value, StrEnum) else value for name, value in known.items()},
    }


def _columns(kind: Any) -> Mapping[str, tuple[Callable[[Any], Any], bool]]:
    """Return, for each stored field, how its value is read, and whether it has no default."""
    hints = get_type_hints(kind)
    return {
        column.name: (
            _parser(hints[column.name]),
            column.default is MISSING and column.default_factory is MISSING,
        )
        for column in fields(kind)
        if column.name != "facts"
    }


def _parser(hint: Any) -> Callable[[Any], Any]:
    return hint if isinstance(hint, type) and issubclass(hint, StrEnum) else _plain


def _plain(value: Any) -> Any:  # Any: DynamoDB's values
    return value


_COLUMNS: Final = {kind: _columns(kind) for kind in (Turn, ReplyPart)}
