"""Tombstones: what is kept of an erased person, so that late old texts are not answered.

Rows of the messages table, under the `user_id` `#forgotten`:

    <mark>        texts: marks of the texts that the person sent
    <mark>#stop   texts: `stop`; the person had said STOP

A mark is a keyed hash, of the person's address or of a sid; it leads back to nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import Final

from boto3.dynamodb.conditions import Attr, Key

from conversation.errors import ConditionFailed
from conversation.storage import DynamoDBStorage
from conversation.table import Delete, Query, each
from journal.model import in_key, row_key, stop_mark
from journal.states import TurnState

_FORGOTTEN: Final = "#forgotten"


class Tombstones:
    """Tombstones in the messages table; each has a time after which it does not count."""

    def __init__(self, storage: DynamoDBStorage) -> None:
        self._tables = storage.tables
        self._names = storage.names

    def add(self, mark: str, texts: Sequence[str], *, until: datetime) -> None:
        """Keep marks of an erased person's texts. A second call adds to them."""
        key = row_key(_FORGOTTEN, mark)
        row = self._tables.get(self._names.messages, key) or {}
        kept = sorted({*row.get("texts", ()), *texts})
        if kept:
            expiry = {"until": until.isoformat(), "expires": int(until.timestamp())}
            self._tables.put_all(self._names.messages, [{**key, "texts": kept, **expiry}])

    def of(self, mark: str, *, now: datetime) -> frozenset[str]:
        """Return the marks of an erased person's texts, with `STILL_STOPPED` after a STOP."""
        query = Query(
            table=self._names.messages,
            where=Key("user_id").eq(_FORGOTTEN) & Key("message_key").begins_with(mark),
        )
        rows = [row for row in each(self._tables, query) if datetime.fromisoformat(row["until"]) >= now]
        return frozenset(text for row in rows for text in row["texts"])

    def drop_late(self, user_id: str, sid: str) -> None:
        """Delete the row of an erased person's text that a worker filed late, after the erasure."""
        filed = Attr("state").eq(str(TurnState.FILED))
        with suppress(ConditionFailed):
            self._tables.delete(Delete(table=self._names.messages, key=row_key(user_id, in_key(sid)), when=filed))

    def lift_stop(self, mark: str) -> None:
        """Delete the opt-out tombstone of an erased person who sent START again."""
        key = row_key(_FORGOTTEN, stop_mark(mark))
        self._tables.delete(Delete(table=self._names.messages, key=key))
