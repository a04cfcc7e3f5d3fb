"""Operations on tables, as data; `conversation.dynamodb` and `conversation.memory_table` do them.

    get, get_all     one item, or up to 100 items, read consistently
    update, delete   one conditional write
    transact         several conditional writes and checks: all of them or none
    query            one page of a query, or of a scan if no key is given
    put_all          puts without a condition, up to 25
    create, describe, expire   the tables themselves

A condition is an expression of boto3's own, such as `Attr("fence").eq(3) & Attr("state").is_in(["NEW"])`
(https://docs.aws.amazon.com/boto3/latest/reference/customizations/dynamodb.html).

A write may be sent twice: once more if the answer to the first was lost. The second one then finds what the first
wrote. Every caller therefore either writes what makes the repetition harmless, or leaves a token and reads it back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Protocol

from boto3.dynamodb.conditions import ConditionBase

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import CreateTableInputTypeDef

#: DynamoDB takes at most this many puts, and this many reads, in one batch.
PUT_BATCH: Final = 25
READ_BATCH: Final = 100
Row = Mapping[str, Any]  # Any: DynamoDB's values in Python's types
Key = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class IfMissing:
    """Set this value only if the attribute does not exist yet."""

    value: Any


@dataclass(frozen=True, slots=True)
class Plus:
    """Set the attribute's number plus `by`; a missing attribute counts as 0."""

    by: int


@dataclass(frozen=True, slots=True)
class Append:
    """Append `item` to the attribute's list; a missing attribute counts as empty."""

    item: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """A conditional update of one row, which is created if it does not exist.

    For example `Update(table="T", key={"user_id": "+15551230001"}, set={"fence": Plus(1)})`.
    """

    table: str
    key: Key
    #: New values by attribute: a plain value, or `IfMissing`, `Plus`, `Append`.
    set: Mapping[str, Any] = field(default_factory=dict)
    #: Numbers to add and sets to unite with, by attribute.
    add: Mapping[str, int | frozenset[str]] = field(default_factory=dict)
    remove: Sequence[str] = ()
    when: ConditionBase | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A condition on a row that a transaction does not write."""

    table: str
    key: Key
    when: ConditionBase


@dataclass(frozen=True, slots=True, kw_only=True)
class Delete:
    """A conditional delete of one row. Deleting a row that does not exist succeeds if the condition holds."""

    table: str
    key: Key
    when: ConditionBase | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One page of a table or an index, in the order of its sort key; without `where`, a scan in no order."""

    table: str
    #: The condition on the key, made of boto3's `Key(...)`.
    where: ConditionBase | None = None
    index: str | None = None
    #: Rows for which this does not hold are left out; they still count towards `limit`.
    only: ConditionBase | None = None
    #: The attributes to read; empty: all.
    attributes: Sequence[str] = ()
    newest_first: bool = False
    limit: int | None = None
    #: Where the page before this one ended.
    after: Key | None = None
    #: A global index can only be read eventually consistently.
    consistent: bool = True


@dataclass(frozen=True, slots=True)
class Page:
    """Rows of one page, and where it ended; `end` None: there are no more."""

    rows: list[Row]
    end: Key | None


class Tables(Protocol):
    """Rows of tables. Every call may raise `StoreAway` and `TableMissing`."""

    def get(self, table: str, key: Key) -> Row | None:
        """Return one row, read consistently."""

    def get_all(self, table: str, keys: Sequence[Key], attributes: Sequence[str]) -> list[Row]:
        """Return those of at most `READ_BATCH` rows that exist, read consistently, in no order."""

    def update(self, update: Update) -> Row:
        """Update a row and return it as it stands after. Raises `ConditionFailed`."""

    def delete(self, delete: Delete) -> None:
        """Delete a row. Raises `ConditionFailed`."""

    def transact(self, *writes: Update | Check) -> None:
        """Carry out all writes or none of them. Raises `ConditionFailed` or `Conflict`."""

    def query(self, query: Query) -> Page:
        """Return one page of rows."""

    def put_all(self, table: str, rows: Sequence[Row]) -> None:
        """Put at most `PUT_BATCH` rows, over what stands there."""


class Admin(Protocol):
    """The tables themselves."""

    def describe(self, name: str) -> str | None:
        """Return a table's status, such as `ACTIVE`; None if there is no such table."""

    def create(self, definition: CreateTableInputTypeDef) -> None:
        """Create a table, unless another process just did. Raises `TableMissing` without the permission."""

    def expire(self, name: str) -> None:
        """Have rows deleted after the time in their attribute `expires`. A second call changes nothing."""


def each(tables: Tables, query: Query) -> Iterator[Row]:
    """Every row that a query finds, page by page; a page is read when its first row is asked for."""
    end = query.after
    while True:
        page = tables.query(replace(query, after=end))
        yield from page.rows
        end = page.end
        if end is None:
            return
