"""Operations on DynamoDB through boto3's client; updates and conditions are data.

    get, get_all     one item, or up to 100 items, read consistently
    update, delete   one conditional write
    transact         several conditional writes and checks: all of them or none
    query            one page of a query, or of a scan if no key is given
    put_all          puts without a condition, up to 25
    create, describe, expire   the tables themselves

A condition is an expression of boto3's own, such as `Attr("fence").eq(3) & Attr("state").is_in(["NEW"])`
(https://docs.aws.amazon.com/boto3/latest/reference/customizations/dynamodb.html). `conversation.memory_table`
evaluates the same values in memory.

boto3 may send a write twice: once more if the answer to the first was lost. The second one then finds what the first
wrote. Every caller therefore either writes what makes the repetition harmless, or leaves a token and reads it back.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from http import HTTPStatus
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final, Protocol

import boto3
from boto3.dynamodb.conditions import ConditionBase, ConditionExpressionBuilder
from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    HTTPClientError,
    NoCredentialsError,
    PartialCredentialsError,
    TokenRetrievalError,
)

from conversation.errors import ConditionFailed, Conflict, NotStorable, StoreAway, StoreRefuses, TableMissing
from conversation.schema import ACTIVE, EXPIRES

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import CreateTableInputTypeDef, TableDescriptionTypeDef

#: DynamoDB answers in single-digit milliseconds; without a connection after this time it cannot be reached.
CONNECT_TIMEOUT_SECONDS: Final = 1.5
#: All attempts at one call, with their timeouts and pauses, end before a lease of 20 s does.
READ_TIMEOUT_SECONDS: Final = 3.5
#: Attempts at one call, the first included. Every write tolerates its own repetition.
ATTEMPTS: Final = 3
#: botocore pauses for a random time below 2^(n-1) s before attempt n+1 in its standard mode: 1 s and 2 s at most.
LONGEST_PAUSES_SECONDS: Final = 3.0
#: Connections kept open if the caller does not say how many threads call: a worker's default pool, and spare ones.
POOL_CONNECTIONS: Final = 48
#: What AWS's logs name as the caller.
USER_AGENT: Final = f"dadacat/{version('dadacat')} Boto3/{boto3.__version__}"
#: DynamoDB takes at most this many puts, and this many reads, in one batch.
PUT_BATCH: Final = 25
READ_BATCH: Final = 100
#: How long a throttled batch is sent again before the store counts as away, and the pause between two attempts.
BATCH_SECONDS: Final = 30.0
BATCH_PAUSE_SECONDS: Final = 0.1

_DENIED: Final = frozenset({"AccessDeniedException", "AccessDenied", "UnrecognizedClientException"})
#: Error codes that another moment may answer differently; so may every status from 500 on.
_THROTTLED: Final = frozenset(
    {
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottledException",
        "ThrottlingException",
        "ThrottledException",
        "TooManyRequestsException",
        "LimitExceededException",
        "InternalServerError",
        "ServiceUnavailable",
    }
)
_SERVER_ERROR: Final = 500
#: A request that no other moment, no permission and no table makes right.
_NOT_STORABLE: Final = frozenset(
    {"ValidationException", "ValidationError", "SerializationException", "ItemCollectionSizeLimitExceededException",
     "ItemCollectionSizeLimitExceeded"}
)  # fmt: skip
#: Words of a ValidationException that blames the table, not the request.
_WRONG_TABLE: Final = ("does not have the specified index", "does not match the schema")
_CONFLICTS: Final = frozenset({"TransactionConflictException", "TransactionInProgressException"})

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


class DynamoDB:
    """Tables on DynamoDB, or on a server that speaks its protocol.

    `prepare` is called once, before the first operation on rows; if it raises, the next operation calls it again.
    `endpoint_url`: the server's address; None: as boto3 finds it (`AWS_ENDPOINT_URL`, or AWS).
    `connections`: how many are kept open; with fewer than calling threads, some calls make one of their own.
    """

    def __init__(
        self,
        *,
        region_name: str,
        endpoint_url: str | None = None,
        connections: int = POOL_CONNECTIONS,
        prepare: Callable[[Admin], None] = lambda _: None,
    ) -> None:
        self._prepare = prepare
        self._prepared = False
        self._region_name = region_name
        self._endpoint_url = endpoint_url
        self._connections = connections
        self._lock = threading.RLock()
        self._made: DynamoDBClient | None = None

    @property
    def client(self) -> DynamoDBClient:
        """boto3's client, made once. It is safe to share between threads."""
        if self._made is None:
            with self._lock:
                if self._made is None:
                    # a session of its own: sessions are not safe to share between threads while they make clients
                    made = boto3.session.Session().client(
                        "dynamodb",
                        region_name=self._region_name,
                        endpoint_url=self._endpoint_url,
                        config=Config(
                            connect_timeout=CONNECT_TIMEOUT_SECONDS,
                            read_timeout=READ_TIMEOUT_SECONDS,
                            # given here, so that neither AWS_MAX_ATTEMPTS nor a profile changes them
                            retries={"total_max_attempts": ATTEMPTS, "mode": "standard"},
                            max_pool_connections=self._connections,
                            tcp_keepalive=True,
                            # the requests are built below and covered by tests; checking each costs CPU
                            parameter_validation=False,
                            # a fixed one: botocore would put its own together from its parts twice for each call
                            user_agent=USER_AGENT,
                        ),
                    )
                    made.meta.events.register("before-parse.dynamodb", _require_object)
                    self._made = made
        return self._made

    def ready(self) -> DynamoDBClient:
        """Return boto3's client once the tables are prepared."""
        if not self._prepared:
            with self._lock:
                if not self._prepared:
                    self._prepare(self)
                    self._prepared = True
        return self.client

    def get(self, table: str, key: Key) -> Row | None:
        """Return one row, read consistently."""
        with _translated(table):
            answer = self.ready().get_item(TableName=table, Key=_item(key), ConsistentRead=True)
        return _row(answer["Item"]) if "Item" in answer else None

    def get_all(self, table: str, keys: Sequence[Key], attributes: Sequence[str]) -> list[Row]:
        """Return those of at most `READ_BATCH` rows that exist, read consistently, in no order."""
        names = {f"#{name}": name for name in attributes}
        request: dict[str, Any] = {
            "Keys": [_item(key) for key in keys],
            "ConsistentRead": True,
            "ProjectionExpression": ", ".join(names),
            "ExpressionAttributeNames": names,
        }
        rows: list[Row] = []
        for waiting in _batches({table: request}):
            with _translated(table):
                answer = self.ready().batch_get_item(RequestItems=waiting["now"])
            rows += map(_row, answer["Responses"].get(table, []))
            waiting["now"] = answer.get("UnprocessedKeys") or {}
        return rows

    def update(self, update: Update) -> Row:
        """Update a row and return it as it stands after. Raises `ConditionFailed`."""
        with _translated(update.table):
            answer = self.ready().update_item(**_request(update), ReturnValues="ALL_NEW")
        return _row(answer["Attributes"])

    def delete(self, delete: Delete) -> None:
        """Delete a row. Raises `ConditionFailed`."""
        with _translated(delete.table):
            self.ready().delete_item(**_request(delete))

    def transact(self, *writes: Update | Check) -> None:
        """Carry out all writes or none of them. Raises `ConditionFailed` or `Conflict`."""
        kinds = {Update: "Update", Check: "ConditionCheck"}
        items: list[Any] = [{kinds[type(write)]: _request(write)} for write in writes]
        with _translated(*dict.fromkeys(write.table for write in writes)):
            self.ready().transact_write_items(TransactItems=items)

    def query(self, query: Query) -> Page:
        """Return one page of rows."""
        request = _page_request(query)
        with _translated(query.table):
            answer = self.ready().scan(**request) if query.where is None else self.ready().query(**request)
        end = answer.get("LastEvaluatedKey")
        return Page([_row(item) for item in answer["Items"]], _row(end) if end else None)

    def put_all(self, table: str, rows: Sequence[Row]) -> None:
        """Put at most `PUT_BATCH` rows, over what stands there."""
        for waiting in _batches({table: [{"PutRequest": {"Item": _item(row)}} for row in rows]}):
            with _translated(table):
                answer = self.ready().batch_write_item(RequestItems=waiting["now"])
            waiting["now"] = answer.get("UnprocessedItems") or {}

    def describe(self, name: str) -> str | None:
        """Return a table's status; None if there is no such table.

        Without the permission to look, the table is taken to exist: the first call tells.
        """
        try:
            return self.described(name)["TableStatus"]
        except TableMissing:
            return None
        except StoreRefuses as exc:
            if exc.code in _DENIED:
                return ACTIVE
            raise

    def described(self, name: str) -> TableDescriptionTypeDef:
        """Return what DynamoDB says of a table. Raises `TableMissing`, `StoreRefuses`, `StoreAway`."""
        with _translated(name):
            return self.client.describe_table(TableName=name)["Table"]

    def create(self, definition: CreateTableInputTypeDef) -> None:
        """Create a table, unless another process just did. Raises `TableMissing` without the permission."""
        try:
            with _translated(definition["TableName"]):
                self.client.create_table(**definition)
        except StoreRefuses as exc:
            if exc.code in _DENIED:
                name = definition["TableName"]
                raise TableMissing(
                    f"table {name} does not exist and may not be created: create it, or grant dynamodb:CreateTable"
                ) from exc
            if exc.code != "ResourceInUseException":
                raise

    def expire(self, name: str) -> None:
        """Have rows deleted after the time in their attribute `expires`. A second call changes nothing.

        Without the permission, skip it: a process that has it enables the deletion.
        """
        try:
            with _translated(name):
                self.client.update_time_to_live(
                    TableName=name, TimeToLiveSpecification={"Enabled": True, "AttributeName": EXPIRES}
                )
        except (StoreRefuses, NotStorable) as exc:
            # a table on which it is enabled answers that this is no change
            if exc.code not in _DENIED | {"ValidationException"}:
                raise


_serializer: Final = TypeSerializer()
_deserializer: Final = TypeDeserializer()


def _item(row: Row) -> dict[str, Any]:
    return {name: _serializer.serialize(value) for name, value in row.items()}


def _row(item: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _plain(_deserializer.deserialize(value)) for name, value in item.items()}


def _plain(value: Any) -> Any:
    """Return whole numbers as int, others as float: boto3 reads every number as a Decimal."""
    match value:
        case Decimal():
            return int(value) if value == value.to_integral_value() else float(value)
        case dict():
            return {name: _plain(held) for name, held in value.items()}
        case list():
            return [_plain(held) for held in value]
        case set():
            return {_plain(held) for held in value}
    return value


def _request(write: Update | Check | Delete) -> dict[str, Any]:
    names: dict[str, str] = {}
    values: dict[str, Any] = {}
    request: dict[str, Any] = {
        "TableName": write.table,
        "Key": _item(write.key),
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }
    if isinstance(write, Update):
        request["UpdateExpression"] = _update_expression(write, names, values)
    if write.when is not None:
        request["ConditionExpression"] = _render(ConditionExpressionBuilder(), write.when, names, values)
    return request | _placeholders(names, values)


def _update_expression(update: Update, names: dict[str, str], values: dict[str, Any]) -> str:
    sets, adds = [], []
    for name, value in update.set.items():
        names[f"#{name}"] = name
        match value:
            case IfMissing(held):
                values[f":{name}"] = held
                sets.append(f"#{name} = if_not_exists(#{name}, :{name})")
            case Plus(by):
                values |= {f":{name}": by, ":zero": 0}
                sets.append(f"#{name} = if_not_exists(#{name}, :zero) + :{name}")
            case Append(held):
                values |= {f":{name}": [held], ":empty": []}
                sets.append(f"#{name} = list_append(if_not_exists(#{name}, :empty), :{name})")
            case _:
                values[f":{name}"] = value
                sets.append(f"#{name} = :{name}")
    for name, addend in update.add.items():
        names[f"#{name}"] = name
        values[f":{name}"] = addend
        adds.append(f"#{name} :{name}")
    names |= {f"#{name}": name for name in update.remove}
    clauses = {"SET": sets, "ADD": adds, "REMOVE": [f"#{name}" for name in update.remove]}
    return " ".join(f"{verb} {', '.join(parts)}" for verb, parts in clauses.items() if parts)


def _page_request(query: Query) -> dict[str, Any]:
    names: dict[str, str] = {}
    values: dict[str, Any] = {}
    builder = ConditionExpressionBuilder()
    request: dict[str, Any] = {"TableName": query.table, "ConsistentRead": query.consistent}
    if query.where is not None:
        request["KeyConditionExpression"] = _render(builder, query.where, names, values, is_key_condition=True)
        request["ScanIndexForward"] = not query.newest_first
    if query.only is not None:
        request["FilterExpression"] = _render(builder, query.only, names, values)
    if query.attributes:
        names |= {f"#{name}": name for name in query.attributes}
        request["ProjectionExpression"] = ", ".join(f"#{name}" for name in query.attributes)
    optional = {"IndexName": query.index, "Limit": query.limit}
    request |= {name: value for name, value in optional.items() if value is not None}
    if query.after is not None:
        request["ExclusiveStartKey"] = _item(query.after)
    return request | _placeholders(names, values)


def _render(
    builder: ConditionExpressionBuilder,
    condition: ConditionBase,
    names: dict[str, str],
    values: dict[str, Any],
    *,
    is_key_condition: bool = False,
) -> str:
    built = builder.build_expression(condition, is_key_condition=is_key_condition)
    names |= built.attribute_name_placeholders
    values |= built.attribute_value_placeholders
    return str(built.condition_expression)


def _placeholders(names: Mapping[str, str], values: Mapping[str, Any]) -> dict[str, Any]:
    filled: dict[str, Any] = {}
    if names:
        filled["ExpressionAttributeNames"] = dict(names)
    if values:
        filled["ExpressionAttributeValues"] = _item(values)
    return filled


def _batches(request: Any) -> Iterator[dict[str, Any]]:
    """Yield what is still to be sent, until nothing is. Raises `StoreAway` if that takes too long."""
    waiting = {"now": request}
    deadline = time.monotonic() + BATCH_SECONDS
    yield waiting
    while waiting["now"]:
        if time.monotonic() > deadline:
            raise StoreAway(f"the store throttled a batch for {BATCH_SECONDS:.0f} s")
        time.sleep(BATCH_PAUSE_SECONDS)
        yield waiting


def _require_object(response_dict: Mapping[str, Any], **_: object) -> None:  # Any: botocore's
    """Refuse a success that is not DynamoDB's, such as the page of a gateway.

    botocore takes it for an empty answer: a row that is not there, or a write that took effect.
    """
    body = response_dict["body"]
    if response_dict["status_code"] == HTTPStatus.OK and not (body.startswith(b"{") and body.endswith(b"}")):
        raise HTTPClientError(error="the answer is not a JSON object")


@contextmanager
def _translated(*tables: str) -> Iterator[None]:
    """Raise what went wrong in this package's words. `tables`: those that the request names."""
    try:
        yield
    except ClientError as exc:
        raise _translation(exc, tables) from exc
    except NoCredentialsError as exc:
        raise StoreRefuses(
            "there are no AWS credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the machine a role"
        ) from exc
    except (CredentialRetrievalError, PartialCredentialsError, TokenRetrievalError) as exc:
        raise StoreRefuses(f"the AWS credentials cannot be used: {type(exc).__name__}") from exc
    except (HTTPClientError, BotoCoreError) as exc:
        raise StoreAway(f"the store cannot be reached: {type(exc).__name__}") from exc


def _translation(exc: ClientError, tables: Sequence[str]) -> Exception:
    error, response = exc.response.get("Error", {}), exc.response
    code, message = str(error.get("Code", "")), str(error.get("Message", ""))
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code == "ConditionalCheckFailedException":
        old: Any = response.get("Item")
        return ConditionFailed([_row(old) if old else None])
    if code in _CONFLICTS:
        return Conflict("another transaction holds the same rows")
    if code == "TransactionCanceledException":
        return _cancellation(exc, tables)
    if code in _THROTTLED or status >= _SERVER_ERROR:
        return StoreAway(f"the store refuses for now: {code}")
    names = " and ".join(tables)
    if code == "ResourceNotFoundException":
        return TableMissing(f"table {names} is missing; `dadacat doctor` says more", code=code)
    sentence = f"DynamoDB refuses {exc.operation_name} on {names}: {code}: {message}".rstrip(": ")
    if code in _NOT_STORABLE and not any(words in message for words in _WRONG_TABLE):
        return NotStorable(sentence, code=code)
    return StoreRefuses(sentence, code=code)


def _cancellation(exc: ClientError, tables: Sequence[str]) -> Exception:
    reasons: Any = exc.response.get("CancellationReasons", [])
    codes = {reason.get("Code") for reason in reasons}
    if "ConditionalCheckFailed" in codes:
        return ConditionFailed([_row(reason["Item"]) if reason.get("Item") else None for reason in reasons])
    if "TransactionConflict" in codes:
        return Conflict("another transaction holds the same rows")
    if codes & {"ThrottlingError", "ProvisionedThroughputExceeded"}:
        return StoreAway("the store throttles")
    why: Any = next((reason for reason in reasons if reason.get("Code") not in ("None", None)), {})
    code = str(why.get("Code", ""))
    names = " and ".join(tables)
    sentence = f"DynamoDB cancels a transaction on {names}: {code}: {why.get('Message', '')}".rstrip(": ")
    return (NotStorable if code in _NOT_STORABLE else StoreRefuses)(sentence, code=code)
