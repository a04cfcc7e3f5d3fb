"""The operations of `conversation.table` on DynamoDB, through boto3's client."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import HTTPClientError

from conversation.errors import NotStorable, StoreAway, StoreRefuses, TableMissing
from conversation.expressions import item_of, page_request_of, request_of, row
from conversation.schema import ACTIVE, EXPIRES
from conversation.table import Admin, Check, Delete, Key, Page, Query, Row, Update
from conversation.table_errors import DENIED, translated
from runtime.loopback import is_loopback

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import CreateTableInputTypeDef, TableDescriptionTypeDef

#: DynamoDB answers in single-digit milliseconds; without a connection after this time it cannot be reached.
CONNECT_TIMEOUT_SECONDS: Final = 1.5
#: All attempts at one call, with their timeouts and pauses, end before a lease of 20 s does.
READ_TIMEOUT_SECONDS: Final = 3.5
#: Attempts at one call, the first included. Every write tolerates its own repetition.
ATTEMPTS: Final = 3
#: Connections kept open if the caller does not say how many threads call: a worker's default pool, and spare ones.
POOL_CONNECTIONS: Final = 48
#: What AWS's logs name as the caller; boto3 appends botocore's version.
USER_AGENT: Final = f"dadacat/{version('dadacat')} Boto3/{boto3.__version__}"
#: How long a throttled batch is sent again before the store counts as away, and the pause between two attempts.
BATCH_SECONDS: Final = 30.0
BATCH_PAUSE_SECONDS: Final = 0.1


class DynamoDB:
    """Tables on DynamoDB, or on a server that speaks its protocol.

    `prepare` is called once, before the first operation on rows; if it raises, the next operation calls it again.
    `endpoint_url`: the server's address; None: as boto3 finds it (`AWS_ENDPOINT_URL`, or AWS).
    `connections`: how many are kept open; with fewer than calling threads, some calls make one of their own.
    `attempts`: at one call, the first included.
    """

    def __init__(
        self,
        *,
        region_name: str,
        endpoint_url: str | None = None,
        connections: int = POOL_CONNECTIONS,
        attempts: int = ATTEMPTS,
        prepare: Callable[[Admin], None] = lambda _: None,
    ) -> None:
        self._prepare = prepare
        self._prepared = False
        self._region_name = region_name
        self._endpoint_url = endpoint_url
        self._connections = connections
        self._attempts = attempts
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
                            retries={"total_max_attempts": self._attempts, "mode": "standard"},
                            max_pool_connections=self._connections,
                            tcp_keepalive=True,
                            # None: those of the environment, for AWS
                            proxies={} if is_loopback(self._endpoint_url or "") else None,
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
        with translated(table):
            answer = self.ready().get_item(TableName=table, Key=item_of(key), ConsistentRead=True)
        return row(answer["Item"]) if "Item" in answer else None

    def get_all(self, table: str, keys: Sequence[Key], attributes: Sequence[str]) -> list[Row]:
        """Return those of at most `READ_BATCH` rows that exist, read consistently, in no order."""
        names = {f"#{name}": name for name in attributes}
        request: dict[str, Any] = {
            "Keys": [item_of(key) for key in keys],
            "ConsistentRead": True,
            "ProjectionExpression": ", ".join(names),
            "ExpressionAttributeNames": names,
        }
        rows: list[Row] = []

        def send(waiting: Any) -> Any:
            answer = self.ready().batch_get_item(RequestItems=waiting)
            rows.extend(map(row, answer["Responses"].get(table, [])))
            return answer.get("UnprocessedKeys")

        _send_all({table: request}, send)
        return rows

    def update(self, update: Update) -> Row:
        """Update a row and return it as it stands after. Raises `ConditionFailed`."""
        with translated(update.table):
            answer = self.ready().update_item(**request_of(update), ReturnValues="ALL_NEW")
        return row(answer["Attributes"])

    def delete(self, delete: Delete) -> None:
        """Delete a row. Raises `ConditionFailed`."""
        with translated(delete.table):
            self.ready().delete_item(**request_of(delete))

    def transact(self, *writes: Update | Check) -> None:
        """Carry out all writes or none of them. Raises `ConditionFailed` or `Conflict`."""
        kinds = {Update: "Update", Check: "ConditionCheck"}
        items: list[Any] = [{kinds[type(write)]: request_of(write)} for write in writes]
        with translated(*dict.fromkeys(write.table for write in writes)):
            self.ready().transact_write_items(TransactItems=items)

    def query(self, query: Query) -> Page:
        """Return one page of rows."""
        request = page_request_of(query)
        with translated(query.table):
            answer = self.ready().scan(**request) if query.where is None else self.ready().query(**request)
        end = answer.get("LastEvaluatedKey")
        return Page([row(item) for item in answer["Items"]], row(end) if end else None)

    def put_all(self, table: str, rows: Sequence[Row]) -> None:
        """Put at most `PUT_BATCH` rows, over what stands there."""
        puts = [{"PutRequest": {"Item": item_of(put)}} for put in rows]
        _send_all({table: puts}, lambda left: self.ready().batch_write_item(RequestItems=left).get("UnprocessedItems"))

    def describe(self, name: str) -> str | None:
        """Return a table's status; None if there is no such table.

        Without the permission to look, the table is taken to exist: the first call tells.
        """
        try:
            return self.described(name)["TableStatus"]
        except TableMissing:
            return None
        except StoreRefuses as exc:
            if exc.code in DENIED:
                return ACTIVE
            raise

    def described(self, name: str) -> TableDescriptionTypeDef:
        """Return what DynamoDB says of a table. Raises `TableMissing`, `StoreRefuses`, `StoreAway`."""
        with translated(name):
            return self.client.describe_table(TableName=name)["Table"]

    def expiry(self, name: str) -> str | None:
        """Return the attribute after whose time rows are deleted; None: they stay. Raises as `described`."""
        with translated(name):
            answer = self.client.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
        return answer.get("AttributeName") if answer.get("TimeToLiveStatus") in ("ENABLED", "ENABLING") else None

    def create(self, definition: CreateTableInputTypeDef) -> None:
        """Create a table, unless another process just did. Raises `TableMissing` without the permission."""
        try:
            with translated(definition["TableName"]):
                self.client.create_table(**definition)
        except StoreRefuses as exc:
            if exc.code in DENIED:
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
            with translated(name):
                self.client.update_time_to_live(
                    TableName=name, TimeToLiveSpecification={"Enabled": True, "AttributeName": EXPIRES}
                )
        except (StoreRefuses, NotStorable) as exc:
            # a table on which it is enabled answers that this is no change
            if exc.code not in DENIED | {"ValidationException"}:
                raise


def _send_all(request: Any, send: Callable[[Any], Any]) -> None:  # Any: boto3's own shapes
    """Send a batch until nothing of it is left; `send` returns what is. Raises `StoreAway`."""
    deadline = time.monotonic() + BATCH_SECONDS
    while True:
        with translated(*request):
            left = send(request)
        if not left:
            return
        if time.monotonic() > deadline:
            raise StoreAway(f"the store throttled a batch for {BATCH_SECONDS:.0f} s")
        time.sleep(BATCH_PAUSE_SECONDS)
        request = left


def _require_object(response_dict: Mapping[str, Any], **_: object) -> None:  # Any: botocore's
    """Refuse a success that is not DynamoDB's, such as the page of a gateway.

    botocore takes it for an empty answer: a row that is not there, or a write that took effect.
    """
    body = response_dict["body"]
    if response_dict["status_code"] == HTTPStatus.OK and not (body.startswith(b"{") and body.endswith(b"}")):
        raise HTTPClientError(error="the answer is not a JSON object")
