"""Read and write both tables as an operator does: whole rows of whole people, outside the reply path.

Reads are consistent and paged, so a table of any size can be read through.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from conversation.dynamodb import BATCH, Database, Row, translated

#: About 350 KB a page, which arrives within the store's timeout of four seconds even over one megabit per second.
#: DynamoDB's own page is a megabyte.
ITEMS_A_PAGE: Final = 20
ROWS_A_PAGE: Final = 250
#: The user id of a row that belongs to no person begins with this.
INTERNAL_PREFIX: Final = "#"


class Archive:
    """The tables of one installation."""

    def __init__(self, database: Database, *, conversations: str, messages: str) -> None:
        self._db = database
        self._conversations = conversations
        self._messages = messages

    def items(self) -> Iterator[Row]:
        """Yield every conversation's item, in no order."""
        return self._db.walk("Scan", TableName=self._conversations, ConsistentRead=True, Limit=ITEMS_A_PAGE)

    def item(self, user_id: str) -> Row | None:
        """Return a person's item."""
        return self._db.read(self._conversations, {"user_id": user_id})

    def rows(self, user_id: str) -> Iterator[Row]:
        """Yield all journal rows of a person, by key."""
        return self._db.walk(
            "Query",
            TableName=self._messages,
            KeyConditionExpression="user_id = :u",
            ExpressionAttributeValues={":u": {"S": user_id}},
            ConsistentRead=True,
            Limit=ROWS_A_PAGE,
        )

    def users_with_reason(self, reason: str) -> list[str]:
        """Return the user ids with a text that was settled for this reason, by scanning every row."""
        rows = self._db.walk(
            "Scan",
            TableName=self._messages,
            FilterExpression="#r = :r",
            ProjectionExpression="user_id",
            ExpressionAttributeNames={"#r": "reason"},
            ExpressionAttributeValues={":r": {"S": reason}},
            ConsistentRead=True,
        )
        return sorted({row["user_id"] for row in rows})

    def states(self) -> Iterator[Row]:
        """Yield the state, times and errors of every journal row, without any message text."""
        names = ("user_id", "message_key", "state", "reason", "arrived", "engine", "thought_ms", "status", "error_code")
        rows = self._db.walk(
            "Scan",
            TableName=self._messages,
            ProjectionExpression=", ".join(f"#{name}" for name in names),
            ExpressionAttributeNames={f"#{name}": name for name in names},
        )
        return (row for row in rows if not row["user_id"].startswith(INTERNAL_PREFIX))

    def keep(self, item: Row | None, rows: Sequence[Row]) -> None:
        """Write an item and rows as given, replacing what is there: for an import."""
        if item is not None:
            self._db.put_all(self._conversations, [dict(item)])
        for at in range(0, len(rows), BATCH):
            self._db.put_all(self._messages, [dict(row) for row in rows[at : at + BATCH]])

    def erase(self, user_id: str) -> int:
        """Delete a person's rows, then the item; return how many rows there were.

        A second call finds nothing more.
        """
        erased = 0
        for row in self._db.walk(
            "Query",
            TableName=self._messages,
            KeyConditionExpression="user_id = :u",
            ExpressionAttributeValues={":u": {"S": user_id}},
            ProjectionExpression="user_id, message_key",
            ConsistentRead=True,
        ):
            self._delete(self._messages, row)
            erased += 1
        self._delete(self._conversations, {"user_id": user_id})
        return erased

    def _delete(self, table: str, key: Mapping[str, str]) -> None:
        with translated():
            self._db.ask("DeleteItem", TableName=table, Key={name: {"S": value} for name, value in key.items()})
