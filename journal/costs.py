"""Costs: every row of the journal that cost something, and what is recorded of memories."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from boto3.dynamodb.conditions import Attr

from conversation.models import in_milliseconds
from conversation.storage import DynamoDBStorage
from conversation.table import Query
from conversation.transcript import SETTLED, from_cursor, to_cursor
from journal.spending import COSTS, Cost, CostPage, cost_of
from runtime.isolation import BadItem, SetAside, isolated


class Costs:
    """What was spent, read from every row of the messages table."""

    def __init__(self, storage: DynamoDBStorage) -> None:
        self._tables = storage.tables
        self._names = storage.names

    def page(self, *, since: datetime, cursor: str | None = None) -> CostPage:
        """Return what was spent since then, in no order, a page of the table at a time. Read consistently."""
        page = self._tables.query(
            Query(
                table=self._names.messages,
                only=Attr("engine").exists()
                & (Attr("answered_at").gte(since.isoformat()) | Attr("persisted_at").gte(since.isoformat())),
                attributes=COSTS,
                after=from_cursor(cursor) if cursor else None,
            )
        )
        costs: list[Cost] = []
        unreadable: list[BadItem] = []
        for row in page.rows:
            with isolated("cost", str(row["message_key"]), unreadable.append):
                cost = cost_of(row)
                costs += [cost] if cost is not None else []
        return CostPage(
            costs=tuple(costs), cursor=to_cursor(page.end) if page.end else None, unreadable=tuple(unreadable)
        )

    def since(self, begin: datetime, set_aside: SetAside) -> Iterator[Cost]:
        """Yield all costs since `begin`, in no order. A row that cannot be read is handed to `set_aside`."""
        cursor: str | None = None
        while True:
            page = self.page(since=begin, cursor=cursor)
            yield from page.costs
            for item in page.unreadable:
                set_aside(item)
            cursor = page.cursor
            if cursor is None:
                return

    def record_memory(self, user_id: str, facts: Mapping[str, Any], *, now: datetime) -> None:
        """Record the cost of updating a memory: engine, model, tokens and `model_cost`.

        The row has no `arrived`, because it is not a line of the transcript. A second call records it twice.
        """
        key = f"memo#{in_milliseconds(now):013d}#{secrets.token_hex(4)}"
        row = {"user_id": user_id, "message_key": key, "state": SETTLED, "answered_at": now.isoformat(), **facts}
        self._tables.put_all(self._names.messages, [row])
