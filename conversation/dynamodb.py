"""Calls to DynamoDB: one client, conditional writes as values, and what can go wrong in this package's words.

Every write that is made here tolerates having happened before, so the client may try a call again by itself; an answer that was lost is read back by
whoever wrote, who left a mark in what he wrote.
"""

from __future__ import annotations

import random
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, TypeVar, cast

import botocore.session
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, NoCredentialsError

from conversation.endpoint import Answer, Endpoint, is_momentary
from conversation.errors import StoreAway, TableMissing, TooMuchContention
from conversation.values import plain, serialize

#: DynamoDB answers in single-digit milliseconds; two seconds without a connection means it is not there.
CONNECT_TIMEOUT_SECONDS: Final = 2.0
#: One slow answer must not outlast a lease of 20 s, even when it is tried three times.
READ_TIMEOUT_SECONDS: Final = 4.0
#: The client's own attempts at one call; every write here tolerates having happened before.
ATTEMPTS: Final = 3
#: Connections kept open where nobody says how many threads there are: one for each of a worker's default pool, and a few for the reconciler.
POOL_CONNECTIONS: Final = 48
#: How long writers of one conversation fight for their turn before one of them is told.
CONTENTION_SECONDS: Final = 30.0
#: The longest pause between two attempts in such a fight; the actual one is drawn evenly below it.
CONTENTION_PAUSE_SECONDS: Final = 0.25
#: A new table is ready within seconds on AWS.
TABLE_READY_SECONDS: Final = 60.0
#: DynamoDB takes at most this many puts in one batch.
BATCH: Final = 25

_DENIED = frozenset({"AccessDeniedException", "AccessDenied", "UnrecognizedClientException"})
_NAMES = re.compile(r"#(\w+)")

_Done = TypeVar("_Done")

Row = Mapping[str, Any]  # Any: DynamoDB's values, as boto3 deserializes them


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """One conditional update; `#name` in its expressions stands for the attribute `name`."""

    table: str
    key: Mapping[str, str]
    update: str = ""
    condition: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)

    def request(self) -> dict[str, Any]:
        """The request's members, as `update_item` and a transaction's `Update` take them."""
        names = set(_NAMES.findall(f"{self.update} {self.condition}"))
        out: dict[str, Any] = {
            "TableName": self.table,
            "Key": {name: {"S": value} for name, value in self.key.items()},
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
        if self.update:
            out["UpdateExpression"] = self.update
        if self.condition:
            out["ConditionExpression"] = self.condition
        if names:
            out["ExpressionAttributeNames"] = {f"#{name}": name for name in sorted(names)}
        if self.values:
            out["ExpressionAttributeValues"] = {f":{name}": serialize(value) for name, value in self.values.items()}
        return out


class Refused(Exception):
    """A condition did not hold; `rows` are the rows as they were, in the order of the writes (None: it held)."""

    def __init__(self, rows: Sequence[Row | None]) -> None:
        super().__init__("a condition did not hold")
        self.rows = rows


class Conflict(Exception):
    """Another transaction was at the same rows; nothing happened."""


class Database:
    """The tables `tables`, each a request to create it, on DynamoDB or on whatever speaks its protocol.

    Tables that are missing are created at the first call; where they are found, nothing is ever created.
    """

    def __init__(
        self,
        tables: Sequence[Any],
        *,
        endpoint_url: str | None,
        region_name: str,
        rng: random.Random | None,
        expiring: bool = False,
        connections: int = POOL_CONNECTIONS,
    ) -> None:
        self._tables = tables
        self._connections = connections
        self._expiring = expiring
        self._endpoint_url = endpoint_url
        self._region_name = region_name
        self._rng = rng or random.Random()  # noqa: S311 - jitter, not cryptography
        self._lock = threading.Lock()
        self._endpoint: Endpoint | None = None

    def ask(self, operation: str, **request: Any) -> Answer:  # Any: DynamoDB's own members
        """Carry out an operation, once the tables are there. Raises what `Endpoint.ask` raises; `TableMissing`."""
        return (self._endpoint or self.connect()).ask(operation, request)

    def connect(self) -> Endpoint:
        """Where the tables are, once they are there. Raises `TableMissing` where one is not and may not be created."""
        if self._endpoint is None:
            with self._lock:
                if self._endpoint is None:
                    self._endpoint = self._new_endpoint()
        return self._endpoint

    def _new_endpoint(self) -> Endpoint:
        # a session of its own: botocore's sessions are not safe to share between threads that set them up
        session = botocore.session.get_session()
        endpoint = Endpoint(
            session,
            url=self._endpoint_url or self._address(session),
            region=self._region_name,
            connect_seconds=CONNECT_TIMEOUT_SECONDS,
            read_seconds=READ_TIMEOUT_SECONDS,
            attempts=ATTEMPTS,
            connections=self._connections,
        )
        for table in self._tables:
            _ensure(endpoint, table)
            if self._expiring:
                _let_expire(endpoint, table["TableName"])
        return endpoint

    def _address(self, session: botocore.session.Session) -> str:
        """Where DynamoDB is in our region, as the stock client finds it: by the environment, the shared configuration, or AWS's own rules."""
        return str(session.create_client("dynamodb", region_name=self._region_name).meta.endpoint_url)

    def read(self, table: str, key: Mapping[str, str]) -> Row | None:
        """One item, read consistently."""
        with translated():
            answer = self.ask(
                "GetItem",
                TableName=table,
                Key={name: {"S": value} for name, value in key.items()},
                ConsistentRead=True,
            )
        return plain(answer["Item"]) if "Item" in answer else None

    def walk(self, verb: Literal["Scan", "Query"], **asked: Any) -> Iterator[Row]:  # Any: the client's own parameters
        """Every row that a scan or a query finds, page by page, each page read when it is needed."""
        start: dict[str, Any] = {}
        while True:
            with translated():
                answer = self.ask(verb, **asked, **start)
            yield from map(plain, answer["Items"])
            if "LastEvaluatedKey" not in answer:
                return
            start = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}

    def update(self, write: Write) -> Row:
        """Carry out one write; return the row after it. Raises `Refused` with the row as it was."""
        with translated():
            try:
                answer = self.ask("UpdateItem", **write.request(), ReturnValues="ALL_NEW")
            except ClientError as exc:
                if _code(exc) != "ConditionalCheckFailedException":
                    raise
                old = cast("Mapping[str, Any] | None", exc.response.get("Item"))
                row = plain(old) if old else self.read(write.table, write.key)
                raise Refused([row]) from None
        return plain(answer["Attributes"])

    def delete(self, write: Write) -> bool:
        """Delete a row under a condition; whether it held."""
        with translated():
            try:
                self.ask("DeleteItem", **write.request())
            except ClientError as exc:
                if _code(exc) != "ConditionalCheckFailedException":
                    raise
                return False
        return True

    def transact(self, *writes: Write) -> None:
        """Carry out all writes or none. Raises `Refused` or `Conflict`."""
        items: list[Any] = [{("Update" if write.update else "ConditionCheck"): write.request()} for write in writes]
        with translated():
            try:
                self.ask("TransactWriteItems", TransactItems=items)
            except ClientError as exc:
                code = _code(exc)
                if code in {"TransactionConflictException", "TransactionInProgressException"}:
                    raise Conflict from None
                if code != "TransactionCanceledException":
                    raise
                _cancelled(exc)

    def until_it_holds(self, attempt: Callable[[], _Done]) -> _Done:
        """Try again, with jitter, while other writers are faster: a refused or conflicting write did not happen.

        Raises `TooMuchContention` when they are faster for `CONTENTION_SECONDS`.
        """
        deadline = time.monotonic() + CONTENTION_SECONDS
        while True:
            try:
                return attempt()
            except (Refused, Conflict):
                if time.monotonic() > deadline:
                    raise TooMuchContention("other writers changed this conversation too often") from None
                self.pause()

    def pause(self) -> None:
        """Let others go first, for a time drawn evenly below `CONTENTION_PAUSE_SECONDS`."""
        time.sleep(self._rng.uniform(0, CONTENTION_PAUSE_SECONDS))

    def holds(self, write: Write) -> bool:
        """Carry out one write; whether its condition held."""
        try:
            self.update(write)
        except Refused:
            return False
        return True

    def wins(self, write: Write) -> bool:
        """Carry out one write that can be done once; whether it was this one.

        A write whose answer was lost is sent again, and finds what it wrote itself: it knows its own by a token that it leaves in `won_by`.
        """
        token = uuid.uuid4().hex
        signed = replace(
            write,
            update=write.update.replace("SET ", "SET #won_by = :won_by, ", 1),
            values={**write.values, "won_by": token},
        )
        assert signed.update != write.update, "a write that sets nothing leaves no token"
        try:
            self.update(signed)
        except Refused as refused:
            row = refused.rows[0]
            return row is not None and row.get("won_by") == token
        return True

    def put_all(self, table: str, rows: Sequence[Row]) -> None:
        """Put at most `BATCH` items. Raises `StoreAway` where they are throttled for too long."""
        waiting: Any = {
            table: [{"PutRequest": {"Item": {name: serialize(value) for name, value in row.items()}}} for row in rows]
        }
        deadline = time.monotonic() + CONTENTION_SECONDS
        while waiting:
            with translated():
                answer = self.ask("BatchWriteItem", RequestItems=waiting)
            waiting = answer.get("UnprocessedItems")
            if waiting:
                if time.monotonic() > deadline:
                    raise StoreAway("the store throttles a batch for too long")
                self.pause()


def _code(exc: ClientError) -> str:
    return str(exc.response.get("Error", {}).get("Code", ""))


def _cancelled(exc: ClientError) -> None:
    reasons: Sequence[Mapping[str, Any]] = exc.response.get("CancellationReasons", [])
    codes = {reason.get("Code") for reason in reasons}
    if "ConditionalCheckFailed" in codes:
        raise Refused([plain(reason["Item"]) if reason.get("Item") else None for reason in reasons]) from None
    if "TransactionConflict" in codes:
        raise Conflict from None
    if codes & {"ThrottlingError", "ProvisionedThroughputExceeded"}:
        raise StoreAway("the store throttles") from exc
    raise exc


@contextmanager
def translated() -> Iterator[None]:
    """Say what went wrong in this package's words."""
    try:
        yield
    except ClientError as exc:
        code = _code(exc)
        if is_momentary(exc):
            raise StoreAway(f"the store refuses for now: {code}") from exc
        if code == "ResourceNotFoundException":
            raise TableMissing("a table is missing; `dadacat doctor` says which") from exc
        raise
    except NoCredentialsError:
        raise
    except (HTTPClientError, BotoCoreError) as exc:
        raise StoreAway(f"the store cannot be reached: {type(exc).__name__}") from exc


def _ensure(endpoint: Endpoint, table: Any) -> None:
    """Find the table, or make it. `table` is a request to create it, as `conversation.schema` has it."""
    name = table["TableName"]
    with translated():
        status: str
        try:
            status = endpoint.ask("DescribeTable", {"TableName": name})["Table"]["TableStatus"]
        except ClientError as exc:
            if _code(exc) in _DENIED:
                return  # not allowed to look: taken to exist, and the first call will tell
            if _code(exc) != "ResourceNotFoundException":
                raise
            status = "MISSING"
        if status == "ACTIVE":
            return
        if status == "MISSING":
            try:
                endpoint.ask("CreateTable", table)
            except ClientError as exc:
                if _code(exc) in _DENIED:
                    raise TableMissing(
                        f"table {name} does not exist and may not be created: create it, or grant dynamodb:CreateTable"
                    ) from exc
                if _code(exc) != "ResourceInUseException":  # another process was faster
                    raise
    _await_active(endpoint, name)


def _let_expire(endpoint: Endpoint, name: str) -> None:
    """Have DynamoDB delete rows when their time, in the attribute `expires`, is over. A second call changes nothing."""
    try:
        with translated():
            endpoint.ask(
                "UpdateTimeToLive",
                {"TableName": name, "TimeToLiveSpecification": {"Enabled": True, "AttributeName": "expires"}},
            )
    except ClientError as exc:
        # a table that does so already says that this is no change; who may not ask for it leaves it to whoever may
        if _code(exc) not in _DENIED | {"ValidationException"}:
            raise


def _await_active(endpoint: Endpoint, name: str) -> None:
    deadline = time.monotonic() + TABLE_READY_SECONDS
    while True:
        with translated():
            if endpoint.ask("DescribeTable", {"TableName": name})["Table"]["TableStatus"] == "ACTIVE":
                return
        if time.monotonic() > deadline:
            raise StoreAway(f"table {name} is not ready after {TABLE_READY_SECONDS:.0f} s")
        time.sleep(0.2)
