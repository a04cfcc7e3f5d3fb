"""Costs: every row of the journal that cost something, and what is recorded of memories."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Any

from boto3.dynamodb.conditions import Attr

from conversation.contention import until_it_holds
from conversation.errors import ConditionFailed
from conversation.models import in_milliseconds
from conversation.storage import DynamoDBStorage
from conversation.table import Check, Query, Row, each
from conversation.transcript import SETTLED, from_cursor, new_row, to_cursor
from journal.spending import COSTS, Cost, CostPage, cost_of
from runtime.isolation import BadItem, SetAside, isolated


class Costs:
    """What was spent, read from every row of the messages table."""

    def __init__(self, storage: DynamoDBStorage) -> None:
        self._storage = storage
        self._tables = storage.tables
        self._names = storage.names

    def page(self, *, since: datetime, cursor: str | None = None) -> CostPage:
        """Return what was spent since then, in no order, a page of the table at a time. Read consistently."""
        unreadable: list[BadItem] = []
        page = self._tables.query(replace(self._query(since), after=from_cursor(cursor) if cursor else None))
        costs = tuple(_readable(page.rows, unreadable.append))
        return CostPage(costs=costs, cursor=to_cursor(page.end) if page.end else None, unreadable=tuple(unreadable))

    def since(self, begin: datetime, set_aside: SetAside) -> Iterator[Cost]:
        """Yield all costs since `begin`, in no order. A row that cannot be read is handed to `set_aside`."""
        return _readable(each(self._tables, self._query(begin)), set_aside)

    def _query(self, since: datetime) -> Query:
        begin = since.isoformat()
        return Query(
            table=self._names.messages,
            only=Attr("engine").exists() & (Attr("answered_at").gte(begin) | Attr("persisted_at").gte(begin)),
            attributes=COSTS,
        )

    def record_memory(self, user_id: str, facts: Mapping[str, Any], *, now: datetime) -> None:
        """Record the cost of updating a memory: engine, model, tokens and `model_cost`.

        The row has no `arrived`, because it is not a line of the transcript. A second call records it twice. Without a
        conversation nothing is recorded: the person was erased while the memory was folded.
        """
        key = f"memo#{in_milliseconds(now):013d}#{secrets.token_hex(4)}"
        values = {"state": SETTLED, "answered_at": now.isoformat(), **facts, **self._names.expiry(now)}
        row = new_row(self._names, user_id, key, values)
        known = Check(table=self._names.conversations, key={"user_id": user_id}, when=Attr("user_id").exists())

        def attempt() -> None:
            # a row that stands there is this call's own, whose answer was lost
            with suppress(ConditionFailed):
                self._tables.transact(known, row)

        until_it_holds(attempt, seconds=self._storage.contention_seconds, host=self._storage.host)


def _readable(rows: Iterable[Row], set_aside: SetAside) -> Iterator[Cost]:
    for row in rows:
        cost = None
        with isolated("cost", str(row["message_key"]), set_aside):
            cost = cost_of(row)
        if cost is not None:
            yield cost
