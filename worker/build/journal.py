"""Build the journal."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from conversation.dynamodb import DynamoDB
from conversation.storage import DynamoDBStorage
from journal.store import Journal
from runtime.settings import Settings

#: Connections to the tables beside one for each conversation: the reconciler's and the receipts'.
SPARE_CONNECTIONS: Final = 16


def build_journal(chosen: Settings) -> Journal:
    """Return the journal in the tables that the settings name."""
    days = chosen.dynamodb.retention_days
    storage = DynamoDBStorage(
        chosen.dynamodb.conversations_table,
        messages_table_name=chosen.dynamodb.messages_table,
        endpoint_url=chosen.dynamodb.endpoint_url,
        region_name=chosen.dynamodb.region,
        retention=timedelta(days=days) if days else None,
        connections=chosen.worker.concurrency + SPARE_CONNECTIONS,
    )
    return Journal.on(storage)


def build_journal_reader(chosen: Settings) -> Journal:
    """Return the journal for a program that only reads it: tables that are missing stay missing."""
    tables = DynamoDB(region_name=chosen.dynamodb.region, endpoint_url=chosen.dynamodb.endpoint_url)
    storage = DynamoDBStorage(
        chosen.dynamodb.conversations_table, messages_table_name=chosen.dynamodb.messages_table, tables=tables
    )
    return Journal.on(storage)
