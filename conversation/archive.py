"""Archive: both tables as an operator sees them, whole rows of whole people. Nothing here is on the road.

What is read is read consistently and page by page, so that a table of any size can be walked through.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from conversation.dynamodb import BATCH, Database, Row, translated

#: A page is some 350 KB then, which comes within the store's four seconds over a line of one megabit too; DynamoDB's own is a megabyte.
ITEMS_A_PAGE: Final = 20
ROWS_A_PAGE: Final = 250
#: Rows that belong to nobody: their user id begins with this.
HOUSE: Final = "#"


class Archive:
    """The tables of one installation."""

    def __init__(self, database: Database, *, conversations: str, messages: str) -> None:
        self._db = database
        self._conversations = conversations
        self._messages = messages

    def items(self) -> Iterator[Row]:
        """Every conversation's item, in no order."""
        return self._db.walk("Scan", TableName=self._conversations, ConsistentRead=True, Limit=ITEMS_A_PAGE)

    def item(self, user_id: str) -> Row | None:
        """A person's item."""
        return self._db.read(self._conversations, {"user_id": user_id})

    def rows(self, user_id: str) -> Iterator[Row]:
        """All that the journal has of a person, by key."""
        return self._db.walk(
            "Query",
            TableName=self._messages,
            KeyConditionExpression="user_id = :u",
            ExpressionAttributeValues={":u": {"S": user_id}},
            ConsistentRead=True,
            Limit=ROWS_A_PAGE,
        )

    def who_said(self, reason: str) -> list[str]:
        """Who has a text that was settled for this reason; every row is looked at."""
        found = self._db.walk(
            "Scan",
            TableName=self._messages,
            FilterExpression="#r = :r",
            ProjectionExpression="user_id",
            ExpressionAttributeNames={"#r": "reason"},
            ExpressionAttributeValues={":r": {"S": reason}},
            ConsistentRead=True,
        )
        return sorted({row["user_id"] for row in found})

    def states(self) -> Iterator[Row]:
        """What every row of the journal says of its fate, without a word that anybody said."""
        names = ("user_id", "message_key", "state", "reason", "arrived", "engine", "thought_ms", "status", "error_code")
        rows = self._db.walk(
            "Scan",
            TableName=self._messages,
            ProjectionExpression=", ".join(f"#{name}" for name in names),
            ExpressionAttributeNames={f"#{name}": name for name in names},
        )
        return (row for row in rows if not row["user_id"].startswith(HOUSE))

    def keep(self, item: Row | None, rows: Sequence[Row]) -> None:
        """Put an item and rows as they are given, over what is there: for an import."""
        if item is not None:
            self._db.put_all(self._conversations, [dict(item)])
        for at in range(0, len(rows), BATCH):
            self._db.put_all(self._messages, [dict(row) for row in rows[at : at + BATCH]])

    def erase(self, user_id: str) -> int:
        """Delete a person's rows, then its item; how many rows there were. A second call finds nothing more."""
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
