"""Both tables as an operator reads and writes them: whole rows of whole people.

Reads are consistent and paged, so a table of any size can be read through.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from boto3.dynamodb.conditions import Attr, Key

from conversation.contention import holds
from conversation.storage import DynamoDBStorage
from conversation.table import PUT_BATCH, Delete, Query, Row, Update, each
from journal.model import RowName
from journal.spending import COSTS

#: About 350 KB a page, which arrives within the store's read timeout even over one megabit per second.
#: DynamoDB's own page is a megabyte.
ITEMS_A_PAGE: Final = 20
ROWS_A_PAGE: Final = 250
#: The user id of a row that belongs to no person begins with this.
INTERNAL_PREFIX: Final = "#"
#: What is known of a row's fate, its times and its cost, without a word that was said.
_FATE: Final = (
    "user_id", "message_key", "state", "reason", "arrived", "engine", "thought_ms", "status", "error_code", "serious",
    "opened_at", "thought_at", "claimed_at", "sent_at", "delivered_at", *COSTS,
)  # fmt: skip


class Archive:
    """The tables of one installation."""

    def __init__(self, storage: DynamoDBStorage) -> None:
        self._tables = storage.tables
        self._names = storage.names

    def items(self) -> Iterator[Row]:
        """Yield every conversation's item, in no order."""
        return each(self._tables, Query(table=self._names.conversations, limit=ITEMS_A_PAGE))

    def users(self) -> Iterator[str]:
        """Yield the user id of every conversation, in no order."""
        query = Query(table=self._names.conversations, attributes=("user_id",))
        return (str(item["user_id"]) for item in each(self._tables, query))

    def endangered(self) -> Iterator[Row]:
        """Yield the items of the people in whose texts danger was heard, by scanning every item."""
        query = Query(table=self._names.conversations, only=Attr("danger").exists(), limit=ITEMS_A_PAGE)
        return each(self._tables, query)

    def item(self, user_id: str) -> Row | None:
        """Return a person's item."""
        return self._tables.get(self._names.conversations, {"user_id": user_id})

    def rows(self, user_id: str) -> Iterator[Row]:
        """Yield all journal rows of a person, by key."""
        return each(self._tables, self._rows(user_id))

    def find(self, sid: str) -> RowName | None:
        """Return where the row of a text or a reply stands, by scanning every row; None if there is none."""
        query = Query(table=self._names.messages, only=Attr("sid").eq(sid), attributes=("user_id", "message_key"))
        rows = each(self._tables, query)
        return next((RowName(user_id=row["user_id"], key=row["message_key"]) for row in rows), None)

    def users_with_reason(self, reason: str) -> list[str]:
        """Return the user ids with a text that was settled for this reason, by scanning every row."""
        query = Query(table=self._names.messages, only=Attr("reason").eq(reason), attributes=("user_id",))
        return sorted({row["user_id"] for row in each(self._tables, query)})

    def states(self) -> Iterator[Row]:
        """Yield the state, times, errors and cost of every journal row, without any message text."""
        names = tuple(dict.fromkeys(_FATE))
        rows = each(self._tables, Query(table=self._names.messages, attributes=names, consistent=False))
        return (row for row in rows if not row["user_id"].startswith(INTERNAL_PREFIX))

    def keep(self, item: Row | None, rows: Sequence[Row]) -> bool:
        """Write rows as given, and an item unless the person has one; return whether the item stands as given.

        A person who texts while an import is confirmed has an item, perhaps with a STOP: it stays.
        """
        for start in range(0, len(rows), PUT_BATCH):
            self._tables.put_all(self._names.messages, rows[start : start + PUT_BATCH])
        return item is None or self._add(item) or self.item(item["user_id"]) == item

    def _add(self, item: Row) -> bool:
        key = {"user_id": item["user_id"]}
        values = {name: value for name, value in item.items() if name not in key}
        is_new = Attr("user_id").not_exists()
        return holds(self._tables, Update(table=self._names.conversations, key=key, set=values, when=is_new))

    def erase(self, user_id: str) -> int:
        """Delete a person's rows, then the item; return how many rows there were.

        A second call finds nothing more.
        """
        erased = 0
        for row in each(self._tables, self._rows(user_id, "user_id", "message_key")):
            self._tables.delete(Delete(table=self._names.messages, key=row))
            erased += 1
        self._tables.delete(Delete(table=self._names.conversations, key={"user_id": user_id}))
        return erased

    def _rows(self, user_id: str, *attributes: str) -> Query:
        return Query(
            table=self._names.messages, where=Key("user_id").eq(user_id), limit=ROWS_A_PAGE, attributes=attributes
        )
