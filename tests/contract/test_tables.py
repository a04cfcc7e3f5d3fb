"""Tables in memory do what DynamoDB does: random operations on both have the same outcome."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

import pytest
from boto3.dynamodb.conditions import Attr, ConditionBase, Key
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conversation import schema
from conversation.dynamodb import DynamoDB
from conversation.errors import ConditionFailed, Conflict, TableMissing
from conversation.memory_table import MemoryTables
from conversation.table import Append, Check, Delete, IfMissing, Plus, Query, Row, Tables, Update

T = "Tables"
KEYS = [{"user_id": user, "message_key": key} for user in ("ann", "ben") for key in ("in#1", "out#1", "out#2")]

numbers, strings = st.integers(-3, 3), st.sampled_from(["", "a", "ab", "b"])
sets = st.frozensets(st.sampled_from("abc"), min_size=1).map(set)
arrivals = st.sampled_from("123")
limits = st.one_of(st.none(), st.integers(1, 3))
values = {"n": numbers, "s": strings, "set": sets}


def _comparisons() -> st.SearchStrategy[ConditionBase]:
    verbs = ("eq", "ne", "lt", "lte", "gt", "gte")
    number = st.builds(lambda verb, value: getattr(Attr("n"), verb)(value), st.sampled_from(verbs), numbers)
    string = st.builds(lambda verb, value: getattr(Attr("s"), verb)(value), st.sampled_from(verbs), strings)
    one_of = st.lists(st.one_of(numbers, strings), min_size=1, max_size=3).map(lambda chosen: Attr("n").is_in(chosen))
    between = st.tuples(numbers, numbers).map(lambda pair: Attr("n").between(min(pair), max(pair)))
    begins = strings.filter(bool).map(lambda prefix: Attr("s").begins_with(prefix))
    contains = st.sampled_from("abc").map(lambda member: Attr("set").contains(member))
    names = st.sampled_from(["n", "s", "set", "list", "user_id"])
    exists = st.one_of(names.map(lambda name: Attr(name).exists()), names.map(lambda name: Attr(name).not_exists()))
    return st.one_of(number, string, one_of, between, begins, contains, exists)


conditions = st.recursive(
    _comparisons(),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda pair: pair[0] & pair[1]),
        st.tuples(inner, inner).map(lambda pair: pair[0] | pair[1]),
        inner.map(lambda condition: ~condition),
    ),
    max_leaves=4,
)
maybe = st.one_of(st.none(), conditions)


@st.composite
def updates(draw: Any) -> Update:
    """An update of one row. DynamoDB refuses two changes of one attribute, so each has one at most."""
    assigned: dict[str, Any] = {}
    added: dict[str, Any] = {}
    removed: list[str] = []
    for name, strategy in values.items():
        way = draw(st.sampled_from(["leave", "set", "once", "remove", "add"]))
        if way == "set":
            assigned[name] = draw(strategy)
        elif way == "once":
            assigned[name] = IfMissing(draw(strategy))
        elif way == "remove":
            removed.append(name)
        elif way == "add" and name != "s":
            added[name] = frozenset(draw(sets)) if name == "set" else draw(numbers)
    if draw(st.booleans()):
        assigned["list"] = Append({"event": draw(strings)})
    if draw(st.booleans()):
        assigned["count"] = Plus(draw(numbers))
    if draw(st.booleans()):
        assigned |= {"unsettled": "00", "since": draw(st.sampled_from("123"))}
    assigned["arrived"] = draw(arrivals)
    return Update(table=T, key=draw(st.sampled_from(KEYS)), set=assigned, add=added, remove=removed, when=draw(maybe))


@dataclass(frozen=True)
class Reads:
    """Several rows read at once."""

    keys: Sequence[dict[str, str]]
    attributes: Sequence[str]


@dataclass(frozen=True)
class Puts:
    """Several rows put at once."""

    rows: Sequence[Row]


@st.composite
def puts(draw: Any) -> Puts:
    """Rows over what stands there. DynamoDB refuses two puts of one row in a batch."""
    rows = []
    for key in draw(st.lists(st.sampled_from(KEYS), min_size=1, max_size=4, unique_by=str)):
        names = draw(st.sets(st.sampled_from(sorted(values))))
        index = {"unsettled": "00", "since": draw(st.sampled_from("123"))} if draw(st.booleans()) else {}
        rows.append({**key, **{name: draw(values[name]) for name in sorted(names)}, **index, "arrived": draw(arrivals)})
    return Puts(rows)


checks = st.builds(Check, table=st.just(T), key=st.sampled_from(KEYS), when=conditions)
deletes = st.builds(Delete, table=st.just(T), key=st.sampled_from(KEYS), when=maybe)
transactions = st.lists(st.one_of(updates(), checks), min_size=1, max_size=3, unique_by=lambda write: str(write.key))
queries = st.builds(
    Query,
    table=st.just(T),
    where=st.sampled_from(
        [
            None,
            Key("user_id").eq("ann"),
            Key("user_id").eq("ann") & Key("message_key").begins_with("out#"),
        ]
    ),
    only=maybe,
    newest_first=st.booleans(),
    limit=limits,
)
by_arrival = st.builds(
    Query,
    table=st.just(T),
    index=st.just(schema.BY_ARRIVAL),
    where=st.sampled_from([Key("user_id").eq("ben"), Key("user_id").eq("ben") & Key("arrived").between("1", "2")]),
    only=maybe,
    newest_first=st.booleans(),
    limit=limits,
)
unsettled = st.builds(
    Query,
    table=st.just(T),
    index=st.just(schema.UNSETTLED),
    where=st.just(Key("unsettled").eq("00") & Key("since").lt("3")),
    limit=limits,
    consistent=st.just(False),
)
reads = st.builds(
    Reads,
    keys=st.lists(st.sampled_from(KEYS), min_size=1, max_size=4, unique_by=str),
    attributes=st.just(("user_id", "message_key", "n", "list")),
)
operations = st.one_of(updates(), deletes, transactions, puts(), reads, queries, by_arrival, unsettled)
#: What two tables show in the end.
EVERYTHING = Query(table=T)


def outcome(tables: Tables, operation: Any) -> object:
    """Carry out an operation; return what the caller sees, in a form that can be compared."""
    try:
        match operation:
            case Update():
                return tables.update(operation)
            case Query():
                return _pages(tables, operation)
            case Reads():
                return _sorted(tables.get_all(T, operation.keys, operation.attributes))
            case Puts():
                tables.put_all(T, operation.rows)
            case Delete():
                tables.delete(operation)
            case _:
                tables.transact(*operation)
    except ConditionFailed as failed:
        return ("condition failed", failed.rows)
    return None


def _pages(tables: Tables, query: Query) -> object:
    """Follow a query to its end; return the rows, and in how many pages of how many rows they came.

    The last page may be empty: DynamoDB says that there may be more rows where the limit is reached.
    """
    pages = [tables.query(query)]
    while pages[-1].end is not None:
        assert len(pages) <= len(KEYS), "a page must begin behind the one before"
        pages.append(tables.query(replace(query, after=pages[-1].end)))
    rows = [row for page in pages for row in page.rows]
    has_order = query.where is not None and query.index is None
    sizes = [len(page.rows) for page in pages if page.rows]
    # rows of an equal sort key have no order of their own, so a filter may leave more or fewer on a page
    return (rows if has_order else _sorted(rows)), (sizes if has_order or query.only is None else None)


def _sorted(rows: Sequence[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: (row["user_id"], row["message_key"]))


@pytest.fixture(params=["embedded", *(["dynamodb-local"] if os.environ.get("DYNAMODB_LOCAL_DIR") else [])])
def real(request: pytest.FixtureRequest) -> Callable[[], DynamoDB]:
    url = request.getfixturevalue("dynamodb_url" if request.param == "embedded" else "dynamodb_local_url")
    tables = DynamoDB(region_name="us-east-1", endpoint_url=url)

    def emptied() -> DynamoDB:
        if tables.describe(T) is None:
            tables.create(schema.messages(T))
            while tables.describe(T) != schema.ACTIVE:
                time.sleep(0.01)
        for row in tables.query(Query(table=T)).rows:
            tables.delete(Delete(table=T, key={name: row[name] for name in ("user_id", "message_key")}))
        return tables

    return emptied


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
@given(sequence=st.lists(operations, min_size=4, max_size=12))
def test_random_operations_have_the_same_outcome(real: Callable[[], DynamoDB], sequence: list[Any]) -> None:
    dynamodb, memory = real(), MemoryTables(schema.messages(T))

    for operation in sequence:
        assert outcome(memory, operation) == outcome(dynamodb, operation), operation
    assert outcome(memory, EVERYTHING) == outcome(dynamodb, EVERYTHING)


FULL, EMPTY = KEYS[:2]


def test_transactions_of_several_writers_take_effect_whole_or_not_at_all(real: Callable[[], DynamoDB]) -> None:
    """Move units between two rows from four threads, and try again what conflicts."""
    for tables in (real(), MemoryTables(schema.messages(T))):
        tables.put_all(T, [{**FULL, "n": 20, "arrived": "1"}, {**EMPTY, "n": 0, "arrived": "1"}])

        def move(_: int, tables: Tables = tables) -> int:
            refused = 0
            while True:
                stands = (tables.get(T, FULL) or {})["n"]
                take = Update(table=T, key=FULL, add={"n": -1}, when=Attr("n").eq(stands))
                try:
                    tables.transact(take, Update(table=T, key=EMPTY, add={"n": 1}))
                except (ConditionFailed, Conflict):
                    refused += 1
                else:
                    return refused

        with ThreadPoolExecutor(4) as threads:
            refused = sum(threads.map(move, range(20)))

        assert [row["n"] for key in (FULL, EMPTY) if (row := tables.get(T, key))] == [0, 20]
        assert refused or isinstance(tables, MemoryTables), "writers that never meet prove nothing"


def test_a_refused_transaction_changes_no_row_and_names_those_that_refused(real: Callable[[], DynamoDB]) -> None:
    for tables in (real(), MemoryTables(schema.messages(T))):
        tables.put_all(T, [{**KEYS[0], "n": 1, "arrived": "1"}])
        before = outcome(tables, EVERYTHING)

        with pytest.raises(ConditionFailed) as refused:
            tables.transact(
                Update(table=T, key=KEYS[1], set={"n": 1}),
                Check(table=T, key=KEYS[0], when=Attr("n").eq(2)),
                Update(table=T, key=KEYS[2], set={"n": 1}, when=Attr("n").exists()),
            )

        assert refused.value.rows == [None, {**KEYS[0], "n": 1, "arrived": "1"}, None]
        assert outcome(tables, EVERYTHING) == before


def rows_of(count: int) -> list[dict[str, Any]]:
    return [{"user_id": "ann", "message_key": f"in#{n:03d}", "arrived": f"{n // 2:03d}"} for n in range(count)]


@pytest.mark.parametrize("newest_first", [False, True])
def test_pages_follow_one_another_in_the_same_way(real: Callable[[], DynamoDB], *, newest_first: bool) -> None:
    for tables in (real(), MemoryTables(schema.messages(T))):
        tables.put_all(T, rows_of(10))
        keys: list[str] = []
        query: Query | None = Query(
            table=T, where=Key("user_id").eq("ann"), limit=3, newest_first=newest_first, attributes=("message_key",)
        )
        pages = 0
        while query is not None:
            page = tables.query(query)
            keys += [row["message_key"] for row in page.rows]
            pages += 1
            query = None if page.end is None else Query(**{**_fields(query), "after": page.end})

        expected = [row["message_key"] for row in rows_of(10)]
        assert keys == (expected[::-1] if newest_first else expected)
        assert pages == 4


def _fields(query: Query) -> dict[str, Any]:
    return {name: getattr(query, name) for name in Query.__slots__}


def test_several_rows_are_read_at_once(real: Callable[[], DynamoDB]) -> None:
    for tables in (real(), MemoryTables(schema.messages(T))):
        tables.put_all(T, rows_of(3))

        rows = tables.get_all(T, [*({"user_id": "ann", "message_key": f"in#{n:03d}"} for n in (0, 2, 7))], ["arrived"])

        assert sorted(row["arrived"] for row in rows) == ["000", "001"]


def test_a_table_that_is_missing_is_said_to_be(real: Callable[[], DynamoDB]) -> None:
    for tables in (real(), MemoryTables()):
        name = f"None{uuid4().hex[:8]}"
        assert tables.describe(name) is None
        with pytest.raises(TableMissing):
            tables.get(name, KEYS[0])


def test_an_index_may_lag_behind_its_table() -> None:
    tables = MemoryTables(schema.messages(T))
    listed = Query(
        table=T, index=schema.UNSETTLED, where=Key("unsettled").eq("00") & Key("since").lt("9"), consistent=False
    )
    add = Update(table=T, key=KEYS[0], set={"unsettled": "00", "since": "1", "arrived": "1"})

    with tables.hold_index(T):
        tables.update(add)
        assert tables.query(listed).rows == []

    assert len(tables.query(listed).rows) == 1


def test_what_a_caller_changes_afterwards_does_not_change_the_table() -> None:
    tables = MemoryTables(schema.messages(T))
    event = {"state": "NEW"}
    row = tables.update(Update(table=T, key=KEYS[0], set={"list": Append(event)}))

    event["state"] = "SENT"
    row["list"].append("more")

    assert (tables.get(T, KEYS[0]) or {})["list"] == [{"state": "NEW"}]
