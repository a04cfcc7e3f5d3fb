"""DynamoDBStorage: the two tables, every write a conditional update of the attributes that it owns.

Table layout: `conversation.schema`. Rows of the journal carry, besides their key:

    state arrived sid role content     both kinds; `sid` is Twilio's id of that very message
    to sender turn tries parts token   in# rows: which number was texted, whose reply answers it
    attempt_id attempts due fence      out# rows: the standing attempt, and every id it ever had
    status rank error_code reason      what became of it
    segments price price_unit          what the carrier counted and charged
    unsettled since                    only while unsettled: the sparse index

No item is ever put whole, so attributes that others keep beside ours survive. Writes are conditional and carry a mark of their
writer, because an answer can be lost after the write took effect: the mark read back says whose it was.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import random
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

import boto3
from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, NoCredentialsError

from conversation import journal, schema, window
from conversation.errors import Fenced, StoreAway, TableMissing, TooMuchContention
from conversation.journal import Part, PartState, Turn, TurnState
from conversation.models import Conversation, Message, Role
from conversation.ports import Answer, Binding, Charge, Filed, Page, Reported, Unsettled

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

#: DynamoDB answers in single-digit milliseconds; two seconds without a connection means it is not there.
CONNECT_TIMEOUT_SECONDS: Final = 2.0
#: One slow answer must not outlast a lease of 20 s, even when it is tried three times.
READ_TIMEOUT_SECONDS: Final = 4.0
#: The client's own attempts at one call; every write here tolerates having happened before.
ATTEMPTS: Final = 3
#: Connections kept open: one for each thread of a worker's default pool, and a few for the reconciler.
POOL_CONNECTIONS: Final = 48
#: How long writers of one conversation fight for their turn before one of them is told.
CONTENTION_SECONDS: Final = 30.0
#: The longest pause between two attempts in such a fight; the actual one is drawn evenly below it.
CONTENTION_PAUSE_SECONDS: Final = 0.25
#: A new table is ready within seconds on AWS.
TABLE_READY_SECONDS: Final = 60.0
#: DynamoDB takes at most this many puts in one batch.
BATCH: Final = 25
#: And reads at most so many items in one.
READ_BATCH: Final = 100
#: How much of a traceback a dead letter keeps.
ERROR_CHARACTERS: Final = 6_000

_THROTTLES = frozenset(
    {
        "ThrottlingException",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "InternalServerError",
        "ServiceUnavailable",
        "LimitExceededException",
    }
)
_DENIED = frozenset({"AccessDeniedException", "AccessDenied", "UnrecognizedClientException"})
_NAMES = re.compile(r"#(\w+)")
_END_OF_TIME = datetime.max.replace(tzinfo=UTC)
#: Whose rows say how far the carrier's list was looked through, and for what; no telephone is called that.
_RECONCILER = "#reconciler"
_OFF_THE_LIST = " REMOVE #unsettled, #since"
_LOG = "#log = list_append(if_not_exists(#log, :nolog), :event)"
_EPOCH = datetime.fromtimestamp(0, UTC)
_serialize = TypeSerializer().serialize
_deserialize = TypeDeserializer().deserialize

_Done = TypeVar("_Done")

Row = Mapping[str, Any]  # Any: DynamoDB's values, as boto3 deserializes them


@dataclass(frozen=True, slots=True, kw_only=True)
class _Write:
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
            out["ExpressionAttributeValues"] = {f":{name}": _serialize(value) for name, value in self.values.items()}
        return out


class _Refused(Exception):
    """A condition did not hold; `rows` are the rows as they were, in the order of the writes (None: it held)."""

    def __init__(self, rows: Sequence[Row | None]) -> None:
        super().__init__("a condition did not hold")
        self.rows = rows


class _Conflict(Exception):
    """Another transaction was at the same rows; nothing happened."""


class DynamoDBStorage:
    """Conversations and the journal on DynamoDB, or on whatever speaks its protocol.

    `AWS_ENDPOINT_URL` chooses the server and `AWS_REGION` the region, as the specification names them, unless they are given
    here. Tables that are missing are created at the first call; where they are found, nothing is ever created.
    """

    def __init__(
        self,
        table_name: str = schema.CONVERSATIONS,
        *,
        messages_table_name: str | None = None,
        endpoint_url: str | None = None,
        region_name: str | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self.table_name = table_name
        self.messages_table_name = (
            messages_table_name
            or os.environ.get("DYNAMODB_MESSAGES_TABLE_NAME")
            or (schema.MESSAGES if table_name == schema.CONVERSATIONS else f"{table_name}Messages")
        )
        self._endpoint_url = endpoint_url
        self._region_name = (
            region_name or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
        )
        self._rng = rng or random.Random()  # noqa: S311 - jitter, not cryptography
        self._lock = threading.Lock()
        self._client: DynamoDBClient | None = None

    # Tables

    def ensure_tables(self) -> None:
        """Make sure that both tables are there.

        Describe asks first, and create is called only for what is missing. Where describing is not allowed, the table is taken
        to exist and the first call will tell. Raises `TableMissing` where a table is missing and may not be created.
        """
        self._connected()

    def _connected(self) -> DynamoDBClient:
        if self._client is None:
            with self._lock:
                if self._client is None:
                    client = self._new_client()
                    for table in (
                        schema.conversations(self.table_name),
                        schema.messages(self.messages_table_name),
                    ):
                        _ensure(client, table)
                    self._client = client
        return self._client

    def _new_client(self) -> DynamoDBClient:
        # a session of its own: boto3's default session is not safe to share between threads that create clients
        return boto3.session.Session().client(
            "dynamodb",
            endpoint_url=self._endpoint_url,
            region_name=self._region_name,
            config=Config(
                connect_timeout=CONNECT_TIMEOUT_SECONDS,
                read_timeout=READ_TIMEOUT_SECONDS,
                retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
                max_pool_connections=POOL_CONNECTIONS,
                tcp_keepalive=True,
            ),
        )

    # Conversations

    def get(self, user_id: str) -> Conversation | None:
        """See `conversation.ports.Conversations.get`."""
        item = self._read(self.table_name, {"user_id": user_id})
        return Conversation.from_item(item, datetime.now(UTC)) if item else None

    def append(self, user_id: str, message: Message, *, now: datetime) -> Conversation:
        """See `conversation.ports.Conversations.append`."""
        key = message.key
        if key is None:
            raise ValueError("a message needs a key: it is what makes a second call harmless")
        row = self._row_write(
            user_id,
            key,
            {
                "role": str(message.role),
                "content": message.content,
                "arrived": journal.arrived(str(int((message.timestamp or now).timestamp() * 1000))),
                "state": "SETTLED",
            },
        )

        def attempt() -> Conversation:
            was = self.get(user_id) or Conversation.new(user_id, now)
            cut = window.cut(was.saying(message, at=now))
            self._carry_over(was, cut)
            try:
                self._transact(self._window_write(was, cut.conversation), row)
            except _Refused as refused:
                if refused.rows[1] is not None:  # my own row: an earlier attempt took effect and its answer was lost
                    return self.get(user_id) or was
                raise
            return cut.conversation.written(was)

        return self._until_it_holds(attempt)

    def reset(self, user_id: str, *, now: datetime) -> Conversation:
        """See `conversation.ports.Conversations.reset`."""

        def attempt() -> Conversation:
            was = self.get(user_id) or Conversation.new(user_id, now)
            fresh = replace(was, messages=(), is_active=True, updated_at=now)
            cut = window.cut(fresh, forgotten=was.messages)
            self._carry_over(was, cut)
            self._transact(self._window_write(was, cut.conversation, active=True))
            return cut.conversation.written(was)

        return self._until_it_holds(attempt)

    def page(self, user_id: str, *, cursor: str | None = None, limit: int = 100) -> Page:
        """See `conversation.ports.Conversations.page`."""
        start = {"ExclusiveStartKey": _from_cursor(cursor)} if cursor else {}
        with _translated():
            answer = self._connected().query(
                TableName=self.messages_table_name,
                IndexName=schema.BY_ARRIVAL,
                KeyConditionExpression="user_id = :u",
                ExpressionAttributeValues={":u": {"S": user_id}},
                ConsistentRead=True,
                Limit=limit,
                **start,  # type: ignore[arg-type]  # a key of strings, in the client's own wide type
            )
        rows = [_plain(item) for item in answer["Items"]]
        last = answer.get("LastEvaluatedKey")
        # rows that share one arrival are a text and its reply; by key, `in#` stands before `out#`
        rows.sort(key=lambda row: (row["arrived"], row["message_key"]))
        return Page(
            # a second try says nothing new
            entries=tuple(journal.Entry.from_row(row) for row in rows if not row.get("again")),
            cursor=_to_cursor(last) if last else None,
        )

    # The journal

    def open(self, user_id: str, *, now: datetime) -> Conversation:
        """See `conversation.ports.Journal.open`."""
        write = _Write(
            table=self.table_name,
            key={"user_id": user_id},
            update=(
                "SET #fence = if_not_exists(#fence, :zero) + :one, #created_at = if_not_exists(#created_at, :now), "
                "#updated_at = if_not_exists(#updated_at, :now), #messages = if_not_exists(#messages, :none), "
                "#is_active = if_not_exists(#is_active, :yes)"
            ),
            values={"zero": 0, "one": 1, "now": now.isoformat(), "none": "[]", "yes": True},
        )
        return Conversation.from_item(self._update(write), now)

    def file(self, turn: Turn, *, now: datetime) -> Filed:
        """See `conversation.ports.Journal.file`."""
        write = self._row_write(
            turn.user_id,
            turn.key,
            {
                **turn.facts,
                "state": str(turn.state),
                "arrived": turn.arrived,
                "sid": turn.sid,
                "role": str(Role.USER),
                "content": turn.content,
                "to": turn.to,
                "tries": turn.tries,
                "filed_at": now.isoformat(),
                **_listed(turn.user_id, now),
            },
        )
        try:
            self._update(write)
        except _Refused as refused:
            row = refused.rows[0]
            assert row is not None
            return Filed(turn=_turn(row), fresh=False)
        return Filed(turn=turn, fresh=True)

    def retry(self, turn: Turn) -> Turn:
        """See `conversation.ports.Journal.retry`."""
        write = _Write(
            table=self.messages_table_name,
            key=_key(turn),
            update="SET #tries = #tries + :one",
            condition="#state = :filed",
            values={"one": 1, "filed": str(TurnState.FILED)},
        )
        try:
            return _turn(self._update(write))
        except _Refused as refused:
            return _turn(refused.rows[0]) if refused.rows[0] else turn

    def get_turn(self, user_id: str, sid: str) -> Turn | None:
        """See `conversation.ports.Journal.get_turn`."""
        row = self._row(user_id, journal.in_key(sid))
        return _turn(row) if row else None

    def settle(self, turn: Turn, state: TurnState, *, reason: str, now: datetime) -> None:
        """See `conversation.ports.Journal.settle`."""
        try:
            self._update(self._settle_write(turn, state, reason, now))
        except _Refused:
            return

    def set_active(self, user_id: str, *, active: bool, fence: int, now: datetime) -> None:
        """See `conversation.ports.Journal.set_active`."""
        self._set_fenced(user_id, "is_active", active, fence=fence, now=now)

    def set_quiet(self, user_id: str, *, until_ms: int, fence: int, now: datetime) -> None:
        """See `conversation.ports.Journal.set_quiet`."""
        self._set_fenced(user_id, "quiet_until", until_ms, fence=fence, now=now)

    def _set_fenced(self, user_id: str, name: str, value: object, *, fence: int, now: datetime) -> None:
        write = _Write(
            table=self.table_name,
            key={"user_id": user_id},
            update=f"SET #{name} = :value, #updated_at = :now",
            condition="#fence = :fence",
            values={"value": value, "now": now.isoformat(), "fence": fence},
        )
        try:
            self._update(write)
        except _Refused as refused:
            raise Fenced("another worker opened this conversation since") from refused

    def persist(self, answer: Answer, *, now: datetime) -> Conversation:
        """See `conversation.ports.Journal.persist`."""
        first = answer.turns[0]
        held = answer.conversation
        said = answer.said(now)
        fixed = [
            *(self._part_write(part, answer.token, now) for part in answer.new_parts()),
            *(self._answered_write(answer, turn, now) for turn in answer.turns),
            *(self._settle_write(turn, TurnState.SILENT, "superseded", now) for turn in answer.silent),
        ]
        current = [held]

        def attempt() -> Conversation:
            was = current[0]
            kept, forgotten = (replace(was, messages=()), was.messages) if answer.forget else (was, ())
            cut = window.cut(kept.saying(*said, at=now), forgotten=forgotten)
            self._carry_over(was, cut)
            try:
                self._transact(self._window_write(was, cut.conversation, fence=held.fence), *fixed)
            except _Refused:
                if self._whose(answer, first):
                    return cut.conversation.written(was)
                fresh = self.get(first.user_id)
                if fresh is None or fresh.fence != held.fence:
                    raise Fenced("another worker opened this conversation since") from None
                current[0] = fresh  # another writer of the window alone: merge, the words stay the same
                raise
            return cut.conversation.written(was)

        return self._until_it_holds(attempt)

    def _whose(self, answer: Answer, first: Turn) -> bool:
        """Whether my own earlier attempt took effect. Raises `Fenced` when another's did."""
        turn = self.get_turn(first.user_id, first.sid)
        if turn is None or turn.state is TurnState.FILED:
            return False
        if turn.token == answer.token:
            return True
        raise Fenced("this turn was settled by another worker")

    def find(self, sid: str) -> tuple[str, str] | None:
        """User id and key of the row of a text or a reply, by looking at every row: for a person's question, not for the road."""
        start: dict[str, Any] = {}
        while True:
            with _translated():
                answer = self._connected().scan(
                    TableName=self.messages_table_name,
                    FilterExpression="sid = :s",
                    ProjectionExpression="user_id, message_key",
                    ExpressionAttributeValues={":s": {"S": sid}},
                    **start,
                )
            for row in map(_plain, answer["Items"]):
                return row["user_id"], row["message_key"]
            if "LastEvaluatedKey" not in answer:
                return None
            start = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}

    def parts(self, user_id: str, sid: str) -> tuple[Part, ...]:
        """See `conversation.ports.Journal.parts`."""
        with _translated():
            answer = self._connected().query(
                TableName=self.messages_table_name,
                KeyConditionExpression="user_id = :u AND begins_with(message_key, :k)",
                ExpressionAttributeValues={":u": {"S": user_id}, ":k": {"S": f"out#{sid}#"}},
                ConsistentRead=True,
            )
        found = [_part(_plain(item)) for item in answer["Items"]]
        return tuple(sorted(found, key=lambda part: (part.number, part.again)))

    def claim(self, part: Part, *, fence: int, attempt_id: str, now: datetime) -> Part:
        """See `conversation.ports.Journal.claim`."""
        sources = journal.part_sources(PartState.SENDING)
        claimed = _Write(
            table=self.messages_table_name,
            key=_key(part),
            update=(
                "SET #state = :sending, #attempt_id = :attempt, #fence = :fence, #claimed_at = :now, "
                f"#tries = if_not_exists(#tries, :zero) + :one, {_LOG} ADD #attempts :attempts"
            ),
            condition=_state_in(sources),
            values={
                "sending": str(PartState.SENDING),
                "attempt": attempt_id,
                "fence": fence,
                "now": now.isoformat(),
                "zero": 0,
                "one": 1,
                "attempts": {attempt_id},
                **_logged(at=now.isoformat(), state="SENDING", attempt=attempt_id, fence=fence),
                **_states(sources),
            },
        )
        mine = _Write(
            table=self.table_name,
            key={"user_id": part.user_id},
            condition="#fence = :fence",
            values={"fence": fence},
        )

        def attempt() -> Part:
            try:
                self._transact(mine, claimed)
            except (_Refused, StoreAway) as exc:
                row = self._row(part.user_id, part.key)
                if row and row.get("attempt_id") == attempt_id and row.get("state") == PartState.SENDING:
                    return _part(row)  # the claim took effect and its answer was lost
                if isinstance(exc, StoreAway):
                    raise
                raise Fenced("this part is no longer mine to send") from exc
            return replace(part, state=PartState.SENDING, attempt_id=attempt_id, fence=fence, tries=part.tries + 1)

        return self._until_it_holds(attempt)

    def bind(self, part: Part, binding: Binding, *, now: datetime) -> Part:
        """See `conversation.ports.Journal.bind`."""
        sources = journal.part_sources(binding.state)
        values: dict[str, Any] = {"state": str(binding.state), "now": now.isoformat(), **_states(sources)}
        standing = "attribute_not_exists(#attempt_id)"
        if part.attempt_id is not None:
            standing, values["attempt"] = "#attempt_id = :attempt", part.attempt_id
        sets = ["#state = :state", f"#{binding.state.lower()}_at = :now", _LOG]
        optional = {
            "sid": binding.sid,
            "due": binding.due or None,
            "unknown_since": binding.unknown_since or None,
            "error_code": binding.error_code,
            "reason": binding.reason,
            "segments": binding.segments or None,
        }
        for name, value in optional.items():
            if value is not None:
                sets.append(f"#{name} = :{name}")
                values[name] = value
        if binding.status is not None:
            sets += ["#status = if_not_exists(#status, :status)", "#rank = if_not_exists(#rank, :rank)"]
            values |= {"status": binding.status, "rank": journal.STATUS_RANK.get(binding.status, 0)}
        write = _Write(
            table=self.messages_table_name,
            key=_key(part),
            update=f"SET {', '.join(sets)}{_listing(binding.state)}",
            condition=f"{standing} AND {_state_in(sources)}",
            values={
                **values,
                **_listing_values(binding.state),
                **_logged(
                    at=now.isoformat(),
                    state=str(binding.state),
                    attempt=part.attempt_id,
                    code=binding.error_code,
                    reason=binding.reason,
                    sid=binding.sid,
                    evidence=binding.evidence or None,
                ),
            },
        )
        try:
            return _part(self._update(write))
        except _Refused as refused:
            if refused.rows[0] is None:
                return part
            stands = _part(refused.rows[0])
            journal.check_refused(stands.state, binding.state, same_attempt=stands.attempt_id == part.attempt_id)
            return stands

    def report(self, user_id: str, key: str, report: Reported, *, now: datetime) -> Part | None:
        """See `conversation.ports.Journal.report`."""
        status, attempt_id = report.status, report.attempt_id
        rank = journal.STATUS_RANK.get(status, 0)
        sets = ["#sid = :sid", "#status = :status", "#rank = :rank", "#status_at = :now", "#state = :sent", _LOG]
        sources = (*journal.part_sources(PartState.SENT), PartState.SENT)
        values: dict[str, Any] = {
            "sid": report.sid,
            "status": status,
            "rank": rank,
            "now": now.isoformat(),
            "sent": str(PartState.SENT),
            "attempt": attempt_id,
            **_states(sources),
            **_logged(
                at=now.isoformat(), report=status, attempt=attempt_id, code=report.error_code, sid=report.sid,
                evidence=report.evidence,
            ),
        }  # fmt: skip
        if report.error_code is not None:
            sets.append("#error_code = :code")
            values["code"] = report.error_code
        write = _Write(
            table=self.messages_table_name,
            key={"user_id": user_id, "message_key": key},
            update=f"SET {', '.join(sets)}, #{status}_at = if_not_exists(#{status}_at, :now){_OFF_THE_LIST}",
            condition=(
                f"contains(#attempts, :attempt) AND {_state_in(sources)} AND "
                "(attribute_not_exists(#rank) OR #rank < :rank OR #state <> :sent)"
            ),
            values=values,
        )
        try:
            return _part(self._update(write))
        except _Refused as refused:
            row = refused.rows[0]
            if row is None or attempt_id not in row.get("attempts", ()):
                return None
            return _part(row)

    def charge(self, part: Part, charge: Charge) -> None:
        """See `conversation.ports.Journal.charge`."""
        write = _Write(
            table=self.messages_table_name,
            key=_key(part),
            update="SET #segments = :segments, #price = :price, #price_unit = :unit",
            condition="attribute_exists(#user_id) AND attribute_not_exists(#price)",
            values={"segments": charge.segments, "price": charge.price, "unit": charge.unit},
        )
        self._holds(write)

    def send_again(self, part: Part, *, now: datetime) -> bool:
        """See `conversation.ports.Journal.send_again`."""
        due = datetime.fromtimestamp(part.due / 1000, UTC)
        write = self._part_write(part, "", now)
        values = {**write.values, "again": True, "due": part.due, "since": due.isoformat()}
        return self._holds(replace(write, update=f"{write.update}, #again = :again, #due = :due", values=values))

    def newest_parts(self, user_id: str, *, limit: int) -> tuple[Part, ...]:
        """See `conversation.ports.Journal.newest_parts`."""
        with _translated():
            answer = self._connected().query(
                TableName=self.messages_table_name,
                IndexName=schema.BY_ARRIVAL,
                KeyConditionExpression="user_id = :u",
                ExpressionAttributeValues={":u": {"S": user_id}},
                ConsistentRead=True,
                ScanIndexForward=False,
                Limit=limit,
            )
        rows = map(_plain, answer["Items"])
        return tuple(_part(row) for row in rows if row["message_key"].startswith("out#"))

    def known(self, texts: Sequence[tuple[str, str]]) -> frozenset[str]:
        """See `conversation.ports.Journal.known`."""
        found: set[str] = set()
        keys = [{"user_id": {"S": user}, "message_key": {"S": journal.in_key(sid)}} for user, sid in texts]
        for at in range(0, len(keys), READ_BATCH):
            waiting: Any = {
                self.messages_table_name: {
                    "Keys": keys[at : at + READ_BATCH],
                    "ConsistentRead": True,
                    "ProjectionExpression": "message_key",
                }
            }
            while waiting:
                with _translated():
                    answer = self._connected().batch_get_item(RequestItems=waiting)
                rows = answer["Responses"].get(self.messages_table_name, [])
                found |= {_plain(row)["message_key"].removeprefix("in#") for row in rows}
                waiting = answer.get("UnprocessedKeys")
                if waiting:
                    self._pause()
        return frozenset(found)

    def watermark(self, name: str) -> datetime | None:
        """See `conversation.ports.Journal.watermark`."""
        row = self._read(self.messages_table_name, {"user_id": _RECONCILER, "message_key": name})
        return datetime.fromisoformat(row["at"]) if row else None

    def set_watermark(self, name: str, moment: datetime) -> None:
        """See `conversation.ports.Journal.set_watermark`."""
        write = _Write(
            table=self.messages_table_name,
            key={"user_id": _RECONCILER, "message_key": name},
            update="SET #at = :at",
            condition="attribute_not_exists(#at) OR #at < :at",
            values={"at": moment.astimezone(UTC).isoformat()},
        )
        with suppress(_Refused):
            self._update(write)

    def note_error(self, turn: Turn, error: str) -> None:
        """See `conversation.ports.Journal.note_error`."""
        write = _Write(
            table=self.messages_table_name,
            key=_key(turn),
            update="SET #error = :error",
            condition="attribute_exists(#user_id)",
            values={"error": error[:ERROR_CHARACTERS]},
        )
        with suppress(_Refused):
            self._update(write)

    def note_duplicates(self, user_id: str, sid: str, times: int, *, now: datetime) -> None:
        """See `conversation.ports.Journal.note_duplicates`."""
        write = _Write(
            table=self.messages_table_name,
            key={"user_id": user_id, "message_key": journal.in_key(sid)},
            update="SET #duplicate_at = :now ADD #duplicates :times",
            condition="attribute_exists(#user_id)",
            values={"times": times, "now": now.isoformat()},
        )
        with suppress(_Refused):
            self._update(write)

    def note_restored(self, turn: Turn, *, now: datetime) -> None:
        """See `conversation.ports.Journal.note_restored`."""
        write = _Write(
            table=self.messages_table_name,
            key=_key(turn),
            update="SET #restored_at = :now",
            condition="attribute_exists(#user_id)",
            values={"now": now.isoformat()},
        )
        with suppress(_Refused):
            self._update(write)

    def dead_letters(self) -> Iterator[Unsettled]:
        """See `conversation.ports.Journal.dead_letters`."""
        return self.unsettled(journal.DEAD_LETTERS, before=_END_OF_TIME, limit=READ_BATCH)

    def revive(self, user_id: str, key: str, *, now: datetime) -> bool:
        """See `conversation.ports.Journal.revive`."""
        target: str
        sources: Sequence[str]
        if key.startswith("in#"):
            target, again = TurnState.FILED, "#tries = :zero"
            sources = journal.turn_sources(TurnState.FILED, journal.OPERATOR_TURN_MOVES)
        else:
            target, again = PartState.RETRY, "#due = :zero"
            sources = journal.part_sources(PartState.RETRY, journal.OPERATOR_PART_MOVES)
        write = _Write(
            table=self.messages_table_name,
            key={"user_id": user_id, "message_key": key},
            update=f"SET #state = :to, #unsettled = :bucket, #since = :now, #revived_at = :now, {again} REMOVE #reason",
            condition=f"{_state_in(sources)} AND #unsettled = :dead",
            values={
                "to": str(target),
                "bucket": journal.bucket(user_id),
                "now": now.isoformat(),
                "zero": 0,
                "dead": journal.DEAD_LETTERS,
                **_states(sources),
            },
        )
        return self._holds(write)

    def discard(self, user_id: str, key: str, *, now: datetime) -> bool:
        """See `conversation.ports.Journal.discard`."""
        turn = key.startswith("in#")
        write = _Write(
            table=self.messages_table_name,
            key={"user_id": user_id, "message_key": key},
            update="SET #state = :to, #discarded_at = :now REMOVE #unsettled, #since",
            condition="#state = :from AND #unsettled = :dead",
            values={
                "to": str(TurnState.SILENT if turn else PartState.FAILED),
                "from": str(TurnState.DEAD if turn else PartState.FAILED),
                "now": now.isoformat(),
                "dead": journal.DEAD_LETTERS,
            },
        )
        return self._holds(write)

    def _holds(self, write: _Write) -> bool:
        try:
            self._update(write)
        except _Refused:
            return False
        return True

    def unsettled(self, bucket: str, *, before: datetime, limit: int) -> Iterator[Unsettled]:
        """See `conversation.ports.Journal.unsettled`."""
        start: Any = {}
        while True:
            with _translated():
                answer = self._connected().query(
                    TableName=self.messages_table_name,
                    IndexName=schema.UNSETTLED,
                    KeyConditionExpression="unsettled = :b AND since < :t",
                    ExpressionAttributeValues={":b": {"S": bucket}, ":t": {"S": before.isoformat()}},
                    Limit=limit,
                    **start,
                )
            for row in map(_plain, answer["Items"]):
                yield Unsettled(user_id=row["user_id"], key=row["message_key"])
            if "LastEvaluatedKey" not in answer:
                return
            start = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}

    # Writes

    def _window_write(
        self, was: Conversation, now: Conversation, *, fence: int | None = None, active: bool | None = None
    ) -> _Write:
        """Write the window of `now` over that of `was`, if nobody wrote since; under a fence, if it still holds."""
        sets = [
            "#messages = :messages",
            "#updated_at = :updated",
            "#version = :next",
            "#created_at = if_not_exists(#created_at, :created)",
            "#is_active = :active" if active is not None else "#is_active = if_not_exists(#is_active, :active)",
        ]
        values: dict[str, Any] = {
            "messages": now.messages_json(),
            "updated": now.updated_at.isoformat(),
            "created": now.created_at.isoformat(),
            "next": was.version + 1,
            "active": True if active is None else active,
        }
        if now.carried:
            sets.append("#carried = :carried")
            values["carried"] = now.carried
        if fence is not None:
            values["fence"] = fence
        # an older program may rewrite the item at any time, with or without our version: its `updated_at` gives it away
        conditions = [
            "#version = :version" if was.version else "(attribute_not_exists(#version) OR #version = :version)",
            "#updated_at = :stamp"
            if was.stamp is not None
            else "(attribute_not_exists(#updated_at) OR #updated_at = :stamp)",
            *(["#fence = :fence"] if fence is not None else []),
        ]
        values |= {"version": was.version, "stamp": was.stamp}
        return _Write(
            table=self.table_name,
            key={"user_id": was.user_id},
            update=f"SET {', '.join(sets)}",
            condition=" AND ".join(conditions),
            values=values,
        )

    def _row_write(self, user_id: str, key: str, attributes: Mapping[str, Any]) -> _Write:
        """Make a row, if there is none."""
        return _Write(
            table=self.messages_table_name,
            key={"user_id": user_id, "message_key": key},
            update="SET " + ", ".join(f"#{name} = :{name}" for name in attributes),
            condition="attribute_not_exists(#user_id)",
            values=dict(attributes),
        )

    def _part_write(self, part: Part, token: str, now: datetime) -> _Write:
        service = part.messaging_service_sid
        return self._row_write(
            part.user_id,
            part.key,
            {
                "state": str(part.state),
                "arrived": part.arrived,
                "role": str(Role.ASSISTANT),
                "content": part.content,
                "turn": part.turn,
                "number": part.number,
                "sender": part.sender,
                "persisted_at": now.isoformat(),
                "token": token,
                **({"messaging_service_sid": service} if service else {}),
                **_listed(part.user_id, now),
            },
        )

    def _answered_write(self, answer: Answer, turn: Turn, now: datetime) -> _Write:
        sources = journal.turn_sources(TurnState.ANSWERED)
        facts = {**answer.facts, "answered_at": now.isoformat(), "fence": answer.conversation.fence}
        return _Write(
            table=self.messages_table_name,
            key=_key(turn),
            update=(
                "SET #state = :answered, #token = :token, #turn = :turn, #parts = :parts, "
                + ", ".join(f"#{name} = :{name}" for name in facts)
                + _OFF_THE_LIST
            ),
            condition=_state_in(sources),
            values={
                "answered": str(TurnState.ANSWERED),
                "token": answer.token,
                "turn": answer.turns[0].sid,
                "parts": len(answer.parts),
                **facts,
                **_states(sources),
            },
        )

    def _settle_write(self, turn: Turn, state: TurnState, reason: str, now: datetime) -> _Write:
        sources = journal.turn_sources(state)
        return _Write(
            table=self.messages_table_name,
            key=_key(turn),
            update=f"SET #state = :state, #reason = :reason, #settled_at = :now{_listing(state)}",
            condition=_state_in(sources),
            values={
                "state": str(state),
                "reason": reason,
                "now": now.isoformat(),
                **_states(sources),
                **_listing_values(state),
            },
        )

    def _carry_over(self, was: Conversation, cut: window.Cut) -> None:
        """Copy what leaves the window, and lies nowhere else, into the journal, before the window is cut.

        The idempotency key is the message's number and digest: writers that carry over the same messages write the same rows.
        """
        # an undated message stands right behind what was said before it; undated ones at the very beginning stand first of all
        start = _EPOCH
        number = was.carried
        rows = []
        for message in cut.evicted:
            start = max(start, message.timestamp or start)
            if message.key is not None:
                continue
            digest = hashlib.blake2b(json.dumps(message.to_json(), sort_keys=True).encode(), digest_size=6)
            rows.append(
                {
                    "user_id": was.user_id,
                    "message_key": f"old#{number:08d}#{digest.hexdigest()}",
                    "arrived": f"{int(start.timestamp() * 1000):013d}-{number:06d}",
                    "role": str(message.role),
                    "content": message.content,
                    "state": "SETTLED",
                    "original": json.dumps(message.to_json(), ensure_ascii=False),
                }
            )
            number += 1
        for at in range(0, len(rows), BATCH):
            self._put_all(rows[at : at + BATCH])

    def _put_all(self, rows: Sequence[Row]) -> None:
        waiting: Any = {
            self.messages_table_name: [
                {"PutRequest": {"Item": {name: _serialize(value) for name, value in row.items()}}} for row in rows
            ]
        }
        deadline = time.monotonic() + CONTENTION_SECONDS
        while waiting:
            with _translated():
                answer = self._connected().batch_write_item(RequestItems=waiting)
            waiting = answer.get("UnprocessedItems")
            if waiting:
                if time.monotonic() > deadline:
                    raise StoreAway("the store throttles a batch for too long")
                self._pause()

    # Calls

    def _read(self, table: str, key: Mapping[str, str]) -> Row | None:
        with _translated():
            answer = self._connected().get_item(
                TableName=table,
                Key={name: {"S": value} for name, value in key.items()},
                ConsistentRead=True,
            )
        return _plain(answer["Item"]) if "Item" in answer else None

    def _row(self, user_id: str, key: str) -> Row | None:
        return self._read(self.messages_table_name, {"user_id": user_id, "message_key": key})

    def _update(self, write: _Write) -> Row:
        """Carry out one write; return the row after it. Raises `_Refused` with the row as it was."""
        with _translated():
            try:
                answer = self._connected().update_item(**write.request(), ReturnValues="ALL_NEW")
            except ClientError as exc:
                if _code(exc) != "ConditionalCheckFailedException":
                    raise
                old = cast("Mapping[str, Any] | None", exc.response.get("Item"))
                row = _plain(old) if old else self._read(write.table, write.key)
                raise _Refused([row]) from None
        return _plain(answer["Attributes"])

    def _transact(self, *writes: _Write) -> None:
        """Carry out all writes or none. Raises `_Refused` or `_Conflict`."""
        items: list[Any] = [{("Update" if write.update else "ConditionCheck"): write.request()} for write in writes]
        with _translated():
            try:
                self._connected().transact_write_items(TransactItems=items)
            except ClientError as exc:
                code = _code(exc)
                if code in {"TransactionConflictException", "TransactionInProgressException"}:
                    raise _Conflict from None
                if code != "TransactionCanceledException":
                    raise
                _cancelled(exc)

    def _until_it_holds(self, attempt: Callable[[], _Done]) -> _Done:
        """Try again, with jitter, while other writers are faster: a refused or conflicting write did not happen.

        Raises `TooMuchContention` when they are faster for `CONTENTION_SECONDS`.
        """
        deadline = time.monotonic() + CONTENTION_SECONDS
        while True:
            try:
                return attempt()
            except (_Refused, _Conflict):
                if time.monotonic() > deadline:
                    raise TooMuchContention("other writers changed this conversation too often") from None
                self._pause()

    def _pause(self) -> None:
        time.sleep(self._rng.uniform(0, CONTENTION_PAUSE_SECONDS))


def _listed(user_id: str, now: datetime) -> dict[str, str]:
    return {"unsettled": journal.bucket(user_id), "since": now.isoformat()}


def _listing(state: str) -> str:
    """What becomes of a row's place in the sparse index when it comes to `state`."""
    if state in (TurnState.DEAD, PartState.FAILED):
        return ", #unsettled = :dead, #since = :now"
    return "" if state in journal.UNSETTLED_PARTS else _OFF_THE_LIST


def _listing_values(state: str) -> dict[str, str]:
    return {"dead": journal.DEAD_LETTERS} if state in (TurnState.DEAD, PartState.FAILED) else {}


def _logged(**event: Any) -> dict[str, Any]:
    """The values of `_LOG`, an event added to a part's log."""
    return {"nolog": [], "event": [{name: value for name, value in event.items() if value is not None}]}


def _key(row: Turn | Part) -> dict[str, str]:
    return {"user_id": row.user_id, "message_key": row.key}


def _state_in(states: Sequence[str]) -> str:
    return f"#state IN ({', '.join(f':from_{state}' for state in states)})"


def _states(states: Sequence[str]) -> dict[str, str]:
    return {f"from_{state}": str(state) for state in states}


def _plain(item: Mapping[str, Any]) -> Row:
    return {name: _number(_deserialize(value)) for name, value in item.items()}


def _number(value: Any) -> Any:
    """DynamoDB's decimals as Python's numbers, however deep they lie."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, list):
        return [_number(item) for item in value]
    if isinstance(value, dict):
        return {name: _number(item) for name, item in value.items()}
    return value


_TURN_FIELDS = frozenset(
    {"user_id", "message_key", "sid", "state", "arrived", "content", "to", "tries", "turn", "parts", "token", "reason"}
)
_PART_FIELDS = frozenset(
    {
        "user_id",
        "message_key",
        "turn",
        "number",
        "state",
        "arrived",
        "content",
        "sender",
        "messaging_service_sid",
        "sid",
        "attempt_id",
        "tries",
        "due",
        "unknown_since",
        "fence",
        "status",
        "error_code",
        "reason",
        "again",
        "segments",
        "price",
        "price_unit",
    }
)


def _turn(row: Row) -> Turn:
    return Turn(
        state=TurnState(row["state"]),
        facts={name: value for name, value in row.items() if name not in _TURN_FIELDS},
        **{name: row[name] for name in _TURN_FIELDS - {"message_key", "state"} if name in row},
    )


def _part(row: Row) -> Part:
    return Part(
        state=PartState(row["state"]),
        facts={name: value for name, value in row.items() if name not in _PART_FIELDS},
        **{name: row[name] for name in _PART_FIELDS - {"message_key", "state"} if name in row},
    )


def _to_cursor(key: Mapping[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(key).encode()).decode()


def _from_cursor(cursor: str) -> dict[str, Any]:
    key = json.loads(base64.urlsafe_b64decode(cursor))
    assert isinstance(key, dict)
    return key


def _code(exc: ClientError) -> str:
    return str(exc.response.get("Error", {}).get("Code", ""))


def _cancelled(exc: ClientError) -> None:
    reasons: Sequence[Mapping[str, Any]] = exc.response.get("CancellationReasons", [])
    codes = {reason.get("Code") for reason in reasons}
    if "ConditionalCheckFailed" in codes:
        raise _Refused([_plain(reason["Item"]) if reason.get("Item") else None for reason in reasons]) from None
    if "TransactionConflict" in codes:
        raise _Conflict from None
    if codes & {"ThrottlingError", "ProvisionedThroughputExceeded"}:
        raise StoreAway("the store throttles") from exc
    raise exc


@contextmanager
def _translated() -> Iterator[None]:
    """Say what went wrong in this package's words."""
    try:
        yield
    except ClientError as exc:
        code = _code(exc)
        if code in _THROTTLES:
            raise StoreAway(f"the store refuses for now: {code}") from exc
        if code == "ResourceNotFoundException":
            raise TableMissing("a table is missing; `dadacat doctor` says which") from exc
        raise
    except NoCredentialsError:
        raise
    except (HTTPClientError, BotoCoreError) as exc:
        raise StoreAway(f"the store cannot be reached: {type(exc).__name__}") from exc


def _ensure(client: DynamoDBClient, table: Any) -> None:
    """Find the table, or make it. `table` is a request to create it, as `conversation.schema` has it."""
    name = table["TableName"]
    with _translated():
        status: str
        try:
            status = client.describe_table(TableName=name)["Table"]["TableStatus"]
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
                client.create_table(**table)
            except ClientError as exc:
                if _code(exc) in _DENIED:
                    raise TableMissing(
                        f"table {name} does not exist and may not be created: create it, or grant dynamodb:CreateTable"
                    ) from exc
                if _code(exc) != "ResourceInUseException":  # another process was faster
                    raise
    _await_active(client, name)


def _await_active(client: DynamoDBClient, name: str) -> None:
    deadline = time.monotonic() + TABLE_READY_SECONDS
    while True:
        with _translated():
            if client.describe_table(TableName=name)["Table"]["TableStatus"] == "ACTIVE":
                return
        if time.monotonic() > deadline:
            raise StoreAway(f"table {name} is not ready after {TABLE_READY_SECONDS:.0f} s")
        time.sleep(0.2)
