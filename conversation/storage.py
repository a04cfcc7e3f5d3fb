"""DynamoDBStorage: conversations in the specification's table, one item a person.

    user_id created_at updated_at messages is_active metadata   the specification's attributes
    version fence                       what a write is conditional on
    carried echoes frames quiet_until keyword_at
    replies unintroduced danger reborn  ours, each a field of `Conversation`
    expires                             when DynamoDB deletes the item

No item is put whole, so attributes that other programs keep beside ours survive.
"""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import datetime, timedelta

from conversation import dynamodb_limits, schema, transcript, window
from conversation.contention import CONTENTION_SECONDS, until_it_holds
from conversation.dynamodb import POOL_CONNECTIONS, DynamoDB
from conversation.entries import PAGE, Page
from conversation.errors import ConditionFailed, Fenced
from conversation.memory_table import MemoryTables
from conversation.models import Conversation, Message, in_milliseconds
from conversation.rewrite import rewrite
from conversation.table import Tables
from conversation.transcript import Transcript
from runtime.host import REAL, Host


class DynamoDBStorage:
    """Conversations on DynamoDB, or on a server that speaks its protocol.

    `AWS_ENDPOINT_URL` chooses the server and `AWS_REGION` the region, as the specification names them, unless they are
    given here. Tables that are missing are created at the first call.

    `retention`: rows, and conversations in which nothing is said any more, are deleted by DynamoDB after this time, or
    within days of it (https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/TTL.html). None: they stay.
    `connections`: how many are kept open; give as many as threads use this storage.
    `tables`: other tables than DynamoDB's, such as `conversation.memory_table.MemoryTables`.
    `contention_seconds`: how long writers of one conversation compete before one of them gives up.

    Raises `NotStorable` for a name that no table can have.
    """

    def __init__(  # noqa: PLR0913 - each has a default
        self,
        table_name: str = schema.CONVERSATIONS,
        *,
        messages_table_name: str | None = None,
        endpoint_url: str | None = None,
        region_name: str | None = None,
        retention: timedelta | None = None,
        connections: int = POOL_CONNECTIONS,
        tables: Tables | None = None,
        contention_seconds: float = CONTENTION_SECONDS,
        host: Host = REAL,
    ) -> None:
        self.contention_seconds = contention_seconds
        self.host = host
        messages_name = (
            messages_table_name
            or os.environ.get("DYNAMODB_MESSAGES_TABLE_NAME")
            or (schema.MESSAGES if table_name == schema.CONVERSATIONS else f"{table_name}Messages")
        )
        for name in (table_name, messages_name):
            dynamodb_limits.check_table_name(name)
        self.names = schema.Names(conversations=table_name, messages=messages_name, retention=retention)
        self.tables = tables or DynamoDB(
            region_name=region_name
            or os.environ.get("AWS_REGION")
            or os.environ.get("AWS_DEFAULT_REGION")
            or "us-east-1",
            endpoint_url=endpoint_url,
            connections=connections,
            prepare=lambda admin: schema.ensure(admin, self.names),
        )

    def ensure_tables(self) -> None:
        """Create the tables that are missing. Raises `TableMissing` if one is and may not be created.

        Without the permission to describe a table, it is taken to exist, and the first call tells.
        """
        if isinstance(self.tables, DynamoDB):
            self.tables.ready()

    def get(self, user_id: str) -> Conversation | None:
        """Return the conversation as it stands, read consistently; None if there is none."""
        item = self.tables.get(self.names.conversations, {"user_id": user_id})
        return Conversation.from_item(item, self.host.now()) if item else None

    def append(self, user_id: str, message: Message, *, now: datetime) -> Conversation:
        """Add `message` behind all that was said; create the conversation if there is none.

        The idempotency key is `message.key`: a second call with the same key changes nothing. Raises `ValueError` for a
        message without one.
        """
        row = transcript.message_row(self.names, user_id, message, now=now)

        def attempt() -> Conversation:
            previous = self.get(user_id) or Conversation.new(user_id, now)
            cut = window.cut(previous.saying(message, at=now))
            transcript.carry_over(self.tables, self.names, previous, cut)
            try:
                self.tables.transact(rewrite(self.names, previous, cut.conversation), row)
            except ConditionFailed as failed:
                if failed.rows[1] is not None:  # the row of an earlier attempt, whose answer was lost
                    return self.get(user_id) or previous
                raise
            return cut.conversation.written(previous)

        return until_it_holds(attempt, seconds=self.contention_seconds, host=self.host)

    def reset(self, user_id: str, *, now: datetime, wake: bool = True) -> Conversation:
        """Empty window and memory; the transcript stays. `wake`: end an opt-out, too."""
        return self.begin_anew(user_id, through_ms=in_milliseconds(now), now=now, active=True if wake else None)

    def begin_anew(
        self, user_id: str, *, through_ms: int, now: datetime, fence: int | None = None, active: bool | None = None
    ) -> Conversation:
        """Empty window and memory; no message that arrived up to `through_ms` is folded into the memory again.

        Raises `Fenced` if a `fence` is given and another worker raised it.
        """

        def attempt() -> Conversation:
            previous = self.get(user_id) or Conversation.new(user_id, now)
            if fence is not None and previous.fence != fence:
                raise Fenced
            is_active = previous.is_active if active is None else active
            fresh = replace(previous.forgetting(through_ms), is_active=is_active, updated_at=now)
            cut = window.cut(fresh, forgotten=previous.messages)
            transcript.carry_over(self.tables, self.names, previous, cut)
            self.tables.transact(rewrite(self.names, previous, cut.conversation, fence=fence, active=active))
            return cut.conversation.written(previous)

        return until_it_holds(attempt, seconds=self.contention_seconds, host=self.host)

    def page(self, user_id: str, *, cursor: str | None = None, limit: int = PAGE) -> Page:
        """Return the full transcript, oldest first, a page at a time."""
        return Transcript(self.tables, self.names).page(user_id, cursor=cursor, limit=limit)


class InMemoryStorage(DynamoDBStorage):
    """The same storage on tables in memory: for tests, and for trying things out."""

    def __init__(self, *, retention: timedelta | None = None) -> None:
        tables = MemoryTables(schema.conversations(), schema.messages())
        super().__init__(messages_table_name=schema.MESSAGES, retention=retention, tables=tables)
