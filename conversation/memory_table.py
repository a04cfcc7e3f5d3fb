"""The operations of `conversation.table` on tables in a dict: what the real stores are tested on.

It evaluates the very conditions and updates that DynamoDB is sent, one call at a time. Rows are copied on the way in
and on the way out. A global index is kept up with every write, unless `hold_index` makes it lag, as DynamoDB's may.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from operator import eq, ge, gt, le, lt
from typing import TYPE_CHECKING, Any, Final

from boto3.dynamodb.conditions import AttributeBase, ConditionBase

from conversation.errors import ConditionFailed, TableMissing
from conversation.table import (
    PUT_BATCH,
    READ_BATCH,
    Append,
    Check,
    Delete,
    IfMissing,
    Key,
    Page,
    Plus,
    Query,
    Row,
    Update,
)

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import CreateTableInputTypeDef

#: Rows of a page, some 300 bytes each, before it reaches a megabyte.
PAGE_ROWS: Final = 3_000
_MISSING: Final = object()
#: Values that never change, so that a copy can share them.
_ATOMS: Final = (str, int, float, bool, bytes, type(None))


class _Table:
    """One table: its rows by partition and sort key, and the names of its keys and indexes."""

    def __init__(self, definition: CreateTableInputTypeDef) -> None:
        self.key = _key_names(definition["KeySchema"])
        local, global_ = definition.get("LocalSecondaryIndexes", ()), definition.get("GlobalSecondaryIndexes", ())
        self.indexes = {index["IndexName"]: _key_names(index["KeySchema"]) for index in (*local, *global_)}
        self.lagging = frozenset(index["IndexName"] for index in global_)
        #: The attributes that an index holds beside the keys; an index that holds all is not listed.
        self.projections: dict[str, Sequence[str]] = {
            index["IndexName"]: index["Projection"]["NonKeyAttributes"]
            for index in (*local, *global_)
            if index["Projection"].get("ProjectionType") == "INCLUDE"
        }
        self.partitions: dict[str, dict[str, dict[str, Any]]] = {}
        self.held: list[dict[str, Any]] | None = None

    def place(self, key: Mapping[str, Any]) -> tuple[str, str]:
        """Partition and sort key of a row; a table without a sort key has one row a partition."""
        return key[self.key[0]], key[self.key[1]] if len(self.key) > 1 else ""

    def find(self, key: Mapping[str, Any]) -> dict[str, Any] | None:
        partition, sort = self.place(key)
        return self.partitions.get(partition, {}).get(sort)

    def put(self, row: dict[str, Any]) -> None:
        partition, sort = self.place(row)
        self.partitions.setdefault(partition, {})[sort] = row

    def drop(self, key: Mapping[str, Any]) -> None:
        partition, sort = self.place(key)
        self.partitions.get(partition, {}).pop(sort, None)

    def rows(self) -> Iterator[dict[str, Any]]:
        for partition in self.partitions.values():
            yield from partition.values()


class MemoryTables:
    """Tables in memory, for tests and for trying things out. Safe to share between threads.

    `page_rows`: how many rows a page holds at most; DynamoDB's ends at a megabyte.
    """

    def __init__(self, *definitions: CreateTableInputTypeDef, page_rows: int = PAGE_ROWS) -> None:
        self.page_rows = page_rows
        self._lock = threading.Lock()
        self._tables: dict[str, _Table] = {}
        for definition in definitions:
            self.create(definition)

    def describe(self, name: str) -> str | None:
        """Return a table's status; None if there is no such table."""
        return "ACTIVE" if name in self._tables else None

    def create(self, definition: CreateTableInputTypeDef) -> None:
        """Create a table, unless it exists."""
        self._tables.setdefault(definition["TableName"], _Table(definition))

    def expire(self, name: str) -> None:
        """Accept that rows expire; as in DynamoDB, a row may outlive its time, so readers filter."""
        self._table(name)

    @contextmanager
    def hold_index(self, table: str) -> Iterator[None]:
        """Make global indexes answer with what they held when the block began."""
        held = self._table(table)
        with self._lock:
            held.held = [copy.deepcopy(row) for row in held.rows()]
        try:
            yield
        finally:
            held.held = None

    def get(self, table: str, key: Key) -> Row | None:
        """Return one row."""
        with self._lock:
            row = self._table(table).find(key)
            return None if row is None else _row(row)

    def get_all(self, table: str, keys: Sequence[Key], attributes: Sequence[str]) -> list[Row]:
        """Return those of at most `READ_BATCH` rows that exist."""
        assert len(keys) <= READ_BATCH, "DynamoDB refuses a larger batch"
        rows = (self.get(table, key) for key in keys)
        return [_projected(row, attributes) for row in rows if row is not None]

    def update(self, update: Update) -> Row:
        """Update a row and return it as it stands after. Raises `ConditionFailed`."""
        with self._lock:
            self._check([update])
            return _row(self._apply(update))

    def delete(self, delete: Delete) -> None:
        """Delete a row. Raises `ConditionFailed`."""
        with self._lock:
            self._check([delete])
            self._table(delete.table).drop(delete.key)

    def transact(self, *writes: Update | Check) -> None:
        """Carry out all writes or none of them. Raises `ConditionFailed`."""
        with self._lock:
            places = {(write.table, *self._table(write.table).place(write.key)) for write in writes}
            assert len(places) == len(writes), "DynamoDB refuses two writes to one row in a transaction"
            self._check(writes)
            for write in writes:
                if isinstance(write, Update):
                    self._apply(write)

    def query(self, query: Query) -> Page:
        """Return one page of rows."""
        with self._lock:
            table = self._table(query.table)
            names = table.key if query.index is None else table.indexes[query.index]
            lags = query.index in table.lagging
            assert not (lags and query.consistent), "DynamoDB refuses a consistent read of a global index"
            source = self._source(table, query, lags=lags)
            rows = [row for row in source if all(name in row for name in names) and _holds(query.where, row)]
            # rows with an equal sort key of an index come by the table's own key
            order = (*names[1:], *table.key)
            rows.sort(key=lambda row: tuple(row[name] for name in order), reverse=query.newest_first)
            if query.after is not None:
                rows = _behind(rows, query, order)
            page = rows[: min(query.limit or self.page_rows, self.page_rows)]
            end = {name: page[-1][name] for name in {*table.key, *names}} if len(page) < len(rows) else None
            attributes = query.attributes
            if query.index in table.projections:
                attributes = [*table.key, *names, *table.projections[query.index]]
            return Page([_projected(row, attributes) for row in page if _holds(query.only, row)], end)

    def put_all(self, table: str, rows: Sequence[Row]) -> None:
        """Put at most `PUT_BATCH` rows, over what stands there."""
        assert len(rows) <= PUT_BATCH, "DynamoDB refuses a larger batch"
        with self._lock:
            for row in rows:
                self._table(table).put(_row(row))

    def _table(self, name: str) -> _Table:
        try:
            return self._tables[name]
        except KeyError:
            raise TableMissing(f"table {name} does not exist") from None

    def _source(self, table: _Table, query: Query, *, lags: bool) -> Iterator[dict[str, Any]]:
        if lags and table.held is not None:
            return iter(table.held)
        partition = _partition(query.where, table.key[0])
        if partition is not None:
            return iter(table.partitions.get(partition, {}).values())
        return table.rows()

    def _check(self, writes: Sequence[Update | Check | Delete]) -> None:
        """Raise `ConditionFailed`, with the rows as they stand, unless every condition holds."""
        rows = [self._table(write.table).find(write.key) for write in writes]
        held = [_holds(write.when, row or {}) for write, row in zip(writes, rows, strict=True)]
        if not all(held):
            failed = zip(rows, held, strict=True)
            raise ConditionFailed([None if holds or row is None else _row(row) for row, holds in failed])

    def _apply(self, update: Update) -> dict[str, Any]:
        table = self._table(update.table)
        before = table.find(update.key) or dict(update.key)
        after = dict(before)
        for name, value in update.set.items():
            after[name] = _assigned(before.get(name, _MISSING), value)
        for name, addend in update.add.items():
            old = before.get(name)
            after[name] = set(addend) | (old or set()) if isinstance(addend, frozenset) else (old or 0) + addend
        for name in update.remove:
            after.pop(name, None)
        table.put(after)
        return after


def _key_names(key_schema: Sequence[Any]) -> tuple[str, ...]:
    return tuple(part["AttributeName"] for part in sorted(key_schema, key=lambda part: part["KeyType"] != "HASH"))


def _row(row: Row) -> dict[str, Any]:
    return {name: _copy(value) for name, value in row.items()}


def _copy(value: Any) -> Any:
    """A copy that shares nothing that can change; tuples become lists, as they would on the wire."""
    if isinstance(value, _ATOMS):
        return value
    match value:
        case Mapping():
            return {name: _copy(held) for name, held in value.items()}
        case set() | frozenset():
            return set(value)
        case list() | tuple():
            return [_copy(held) for held in value]
    raise TypeError(f"DynamoDB has no type for {type(value).__name__}")


def _projected(row: Row, attributes: Sequence[str]) -> dict[str, Any]:
    names = attributes or row
    return {name: _copy(row[name]) for name in names if name in row}


def _assigned(old: Any, value: Any) -> Any:
    match value:
        case IfMissing(held):
            return _copy(held) if old is _MISSING else old
        case Plus(by):
            return by if old is _MISSING else old + by
        case Append(item):
            return [*(() if old is _MISSING else old), _copy(item)]
    return _copy(value)


def _behind(rows: list[dict[str, Any]], query: Query, order: Sequence[str]) -> list[dict[str, Any]]:
    assert query.after is not None
    end = tuple(query.after[name] for name in order)

    def is_behind(row: Mapping[str, Any]) -> bool:
        place = tuple(row[name] for name in order)
        return place < end if query.newest_first else place > end

    return [row for row in rows if is_behind(row)]


def _partition(where: ConditionBase | None, name: str) -> Any:
    """The partition that a key condition names, or None if it names another attribute's."""
    if where is None:
        return None
    expression = where.get_expression()
    values = expression["values"]
    if expression["operator"] == "AND":
        return _partition(values[0], name)
    return values[1] if expression["operator"] == "=" and values[0].name == name else None


def _holds(condition: ConditionBase | None, row: Mapping[str, Any]) -> bool:
    if condition is None:
        return True
    expression = condition.get_expression()
    operator, values = expression["operator"], expression["values"]
    if operator == "AND":
        return _holds(values[0], row) and _holds(values[1], row)
    if operator == "OR":
        return _holds(values[0], row) or _holds(values[1], row)
    if operator == "NOT":
        return not _holds(values[0], row)
    left = row.get(values[0].name, _MISSING) if isinstance(values[0], AttributeBase) else values[0]
    return _OPERATORS[operator](left, *values[1:])


def _compared(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    """A comparison that is false, as DynamoDB's is, for a missing attribute and between two types."""

    def compares(left: Any, right: Any) -> bool:
        return left is not _MISSING and _kind(left) == _kind(right) and compare(left, right)

    return compares


def _kind(value: Any) -> str:
    match value:
        case bool():
            return "BOOL"
        case int() | float():
            return "N"
        case str():
            return "S"
    return type(value).__name__


_is_equal: Final = _compared(eq)
_OPERATORS: Final[Mapping[str, Callable[..., bool]]] = {
    "=": _is_equal,
    # an attribute that does not exist differs from every value
    "<>": lambda left, right: not _is_equal(left, right),
    "<": _compared(lt),
    "<=": _compared(le),
    ">": _compared(gt),
    ">=": _compared(ge),
    "IN": lambda left, choices: any(_is_equal(left, choice) for choice in choices),
    "BETWEEN": lambda left, low, high: _compared(lambda value, _: low <= value <= high)(left, low),
    "begins_with": lambda left, prefix: isinstance(left, str) and left.startswith(prefix),
    "contains": lambda left, right: isinstance(left, str | set | list) and right in left,
    "attribute_exists": lambda left: left is not _MISSING,
    "attribute_not_exists": lambda left: left is _MISSING,
}
