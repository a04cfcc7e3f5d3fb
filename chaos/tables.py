"""Read both tables of one process tree, as the auditor needs them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from chaos.auditor import ConversationRow, Row

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef, WriteRequestOutputTypeDef, WriteRequestTypeDef

TABLES: Final = ("DadaCatConversations", "DadaCatMessages")
#: The most requests in one batch of DynamoDB.
BATCH: Final = 25


class Tables:
    """A client of DynamoDB at `url`."""

    def __init__(self, url: str) -> None:
        self._dynamodb = boto3.client(
            "dynamodb", endpoint_url=url, region_name="us-east-1",
            aws_access_key_id="local", aws_secret_access_key="local",  # noqa: S106 - any value will do
        )  # fmt: skip

    def was_looked_at(self) -> bool:
        """Return whether a reconciler has read the carrier's list once.

        The first reading only records the watermark from which later ones start.
        """
        return any(row["message_key"] == "watermark" for row in self._scan("DadaCatMessages"))

    def rows(self) -> Iterator[Row]:
        """Yield the rows of the journal."""
        for row in self._scan("DadaCatMessages"):
            if row["user_id"].startswith("#"):
                continue
            yield row_of(row)

    def conversations(self) -> Iterator[ConversationRow]:
        """Yield the conversations."""
        for item in self._scan("DadaCatConversations"):
            yield conversation_of(item)

    def count(self) -> int:
        """Return the number of rows in both tables."""
        pages = self._dynamodb.get_paginator("scan")
        return sum(page["Count"] for table in TABLES for page in pages.paginate(TableName=table, Select="COUNT"))

    def answers(self) -> bool:
        """Return whether the store answers."""
        try:
            self._dynamodb.list_tables()
        except (BotoCoreError, ClientError):
            return False
        return True

    def forget_journal(self) -> None:
        """Delete every row of the journal but the reconciler's own."""
        keys: list[dict[str, AttributeValueTypeDef]] = [
            {name: {"S": row[name]} for name in ("user_id", "message_key")}
            for row in self._scan("DadaCatMessages")
            if not row["user_id"].startswith("#")
        ]
        for start in range(0, len(keys), BATCH):
            left: Mapping[str, Sequence[WriteRequestOutputTypeDef | WriteRequestTypeDef]] = {
                "DadaCatMessages": [{"DeleteRequest": {"Key": key}} for key in keys[start : start + BATCH]]
            }
            while left:
                left = self._dynamodb.batch_write_item(RequestItems=left)["UnprocessedItems"]

    def _scan(self, table: str) -> Iterator[dict[str, Any]]:  # Any: DynamoDB's values
        pages = self._dynamodb.get_paginator("scan").paginate(TableName=table, ConsistentRead=True)
        for page in pages:
            for item in page["Items"]:
                yield {name: next(iter(value.values())) for name, value in item.items()}

    def close(self) -> None:
        """Close all connections."""
        self._dynamodb.close()


def row_of(row: Mapping[str, Any]) -> Row:  # Any: DynamoDB's values
    """Return a row of the journal as the auditor needs it."""
    return Row(
        person=row["user_id"],
        key=row["message_key"],
        state=row.get("state", ""),
        sid=row.get("sid", ""),
        arrived=row.get("arrived", ""),
        answered=row.get("answered_at", ""),
        turn=row.get("turn", ""),
        content=row.get("content", ""),
        number=int(row.get("number", 0)),
        parts=int(row.get("parts", 0)),
        again=bool(row.get("again", False)),
        attempt=row.get("attempt_id", ""),
        status=row.get("status", ""),
        repaired="repaired" in row or "restored_at" in row,
        found_after=int(row.get("found_after", 0)),
        reason=row.get("reason", ""),
    )


def conversation_of(item: Mapping[str, Any]) -> ConversationRow:  # Any: DynamoDB's values
    """Return a conversation as the auditor needs it."""
    window = json.loads(item.get("messages", "[]"))
    return ConversationRow(person=item["user_id"], window=tuple(str(message.get("key")) for message in window))
