"""Try every operation that a worker needs, so that a missing permission is known at the start.

Each try is harmless: it reads, its condition does not hold, or it writes the row `#reconciler`, `started`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from boto3.dynamodb.conditions import Attr, Key

from conversation import schema
from conversation.errors import ConditionFailed, StoreRefuses
from conversation.storage import DynamoDBStorage
from conversation.table import Check, Delete, Query, Update

_OWN: Final = "#reconciler"
_NO_ROW: Final = {"user_id": _OWN, "message_key": "no such row"}
_NO_ITEM: Final = {"user_id": _OWN}


def check_permissions(storage: DynamoDBStorage) -> None:
    """Raise `StoreRefuses`, with every refusal, if an operation is refused. Raises `StoreAway`."""
    refusals: list[str] = []
    for attempt in _attempts(storage):
        try:
            attempt()
        except ConditionFailed:
            continue
        except StoreRefuses as exc:
            refusals.append(str(exc))
    if refusals:
        raise StoreRefuses("; ".join(dict.fromkeys(refusals)))


def _attempts(storage: DynamoDBStorage) -> list[Callable[[], object]]:
    tables, items, rows = storage.tables, storage.names.conversations, storage.names.messages
    exists = Attr("user_id").exists()
    now = datetime.now(UTC).isoformat()
    return [
        lambda: tables.get(items, _NO_ITEM),
        lambda: tables.get(rows, _NO_ROW),
        lambda: tables.get_all(rows, [_NO_ROW], ["message_key"]),
        lambda: tables.update(Update(table=items, key=_NO_ITEM, set={"fence": 0}, when=exists)),
        lambda: tables.update(Update(table=rows, key=_NO_ROW, set={"tries": 0}, when=exists)),
        lambda: tables.transact(
            Check(table=items, key=_NO_ITEM, when=exists),
            Update(table=rows, key=_NO_ROW, set={"tries": 0}, when=exists),
        ),
        lambda: tables.delete(Delete(table=items, key=_NO_ITEM, when=exists)),
        lambda: tables.delete(Delete(table=rows, key=_NO_ROW, when=exists)),
        lambda: tables.query(Query(table=rows, where=Key("user_id").eq(_OWN), limit=1)),
        lambda: tables.query(Query(table=rows, index=schema.BY_ARRIVAL, where=Key("user_id").eq(_OWN), limit=1)),
        lambda: tables.query(
            Query(table=rows, index=schema.UNSETTLED, where=Key("unsettled").eq("00"), limit=1, consistent=False)
        ),
        lambda: tables.query(Query(table=rows, limit=1)),
        lambda: tables.put_all(rows, [{"user_id": _OWN, "message_key": "started", "at": now}]),
    ]
