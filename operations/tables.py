"""What DynamoDB says of both tables: status, and figures that are hours old."""

from __future__ import annotations

from dataclasses import dataclass

from conversation.dynamodb import DynamoDB
from conversation.errors import ConversationError
from conversation.storage import DynamoDBStorage


@dataclass(frozen=True, slots=True, kw_only=True)
class TableFigures:
    """One table. DynamoDB counts items and bytes about every six hours."""

    name: str
    status: str
    items: int | None = None
    size_bytes: int | None = None


def figures(storage: DynamoDBStorage) -> list[TableFigures]:
    """Return the figures of both tables."""
    return [_of(storage, name) for name in (storage.names.conversations, storage.names.messages)]


def _of(storage: DynamoDBStorage, name: str) -> TableFigures:
    if not isinstance(storage.tables, DynamoDB):
        return TableFigures(name=name, status="in memory")
    try:
        table = storage.tables.described(name)
    except ConversationError as exc:
        return TableFigures(name=name, status=f"not described: {type(exc).__name__}")
    return TableFigures(
        name=name, status=table["TableStatus"], items=table.get("ItemCount"), size_bytes=table.get("TableSizeBytes")
    )
