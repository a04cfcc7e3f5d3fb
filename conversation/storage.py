"""DynamoDBStorage: the two tables, every write a conditional update of the attributes that it owns.

Table layout: `conversation.schema`. Rows of the journal carry, besides their key:

    state arrived sid role content     both kinds; `sid` is Twilio's id of that very message
    to sender turn tries parts token   in# rows: which number was texted, whose reply answers it
    attempt_id attempts due fence      out# rows: the standing attempt, and every id it ever had
    expected cost engine               out# rows: segments and price as we expect them, and whose words they are
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
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from conversation import costs, journal, rows, schema, window
from conversation.archive import Archive
from conversation.dynamodb import BATCH, POOL_CONNECTIONS, Database, Refused, Row, Write, translated
from conversation.errors import Fenced, StoreAway
from conversation.journal import Part, PartState, Turn, TurnState
from conversation.models import Conversation, Message, Role, in_milliseconds
from conversation.ports import PAGE, Answer, Binding, Charge, CostPage, Filed, Folding, Page, Reported, Unsettled
from conversation.values import plain

#: DynamoDB reads at most so many items in one batch.
READ_BATCH: Final = 100
#: How much of a traceback a dead letter keeps.
ERROR_CHARACTERS: Final = 6_000

_END_OF_TIME = datetime.max.replace(tzinfo=UTC)
#: Whose rows say how far the carrier's list was looked through, and for what; no telephone is called that.
_RECONCILER = "#reconciler"
#: A conversation is not deleted when its time is over.
_STAYS: Final = " REMOVE #expires"
#: Whose rows are marks of texts of people who are forgotten.
_FORGOTTEN: Final = "#forgotten"
_EPOCH = datetime.fromtimestamp(0, UTC)
#: What is read of a row to tell what it cost.
_COST: Final = (
    "user_id", "message_key", "state", "sid", "turn", "engine", "model_cost", "tokens_in", "tokens_out", "answered_at",
    "persisted_at", "cost", "expected", "segments", "price", "price_unit",
)  # fmt: skip


class DynamoDBStorage:
    """Conversations and the journal on DynamoDB, or on whatever speaks its protocol.

    `AWS_ENDPOINT_URL` chooses the server and `AWS_REGION` the region, as the specification names them, unless they are given
    here. Tables that are missing are created at the first call; where they are found, nothing is ever created.

    `retention`: rows, and conversations in which nothing is said any more, are deleted by DynamoDB after so long, or within days of it
    (https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/TTL.html); nobody is shown them in between. None: they stay.

    `connections`: how many are kept open; as many as threads use this storage, or some of their calls make a new one each time.
    """

    def __init__(
        self,
        table_name: str = schema.CONVERSATIONS,
        *,
        messages_table_name: str | None = None,
        endpoint_url: str | None = None,
        region_name: str | None = None,
        retention: timedelta | None = None,
        connections: int = POOL_CONNECTIONS,
        rng: random.Random | None = None,
    ) -> None:
        self.table_name = table_name
        self._retention = retention
        self.messages_table_name = (
            messages_table_name
            or os.environ.get("DYNAMODB_MESSAGES_TABLE_NAME")
            or (schema.MESSAGES if table_name == schema.CONVERSATIONS else f"{table_name}Messages")
        )
        self._db = Database(
            (schema.conversations(self.table_name), schema.messages(self.messages_table_name)),
            endpoint_url=endpoint_url,
            expiring=retention is not None,
            connections=connections,
            region_name=region_name
            or os.environ.get("AWS_REGION")
            or os.environ.get("AWS_DEFAULT_REGION")
            or "us-east-1",
            rng=rng,
        )

    def archive(self) -> Archive:
        """Both tables as an operator sees them."""
        return Archive(self._db, conversations=self.table_name, messages=self.messages_table_name)

    # Tables

    def ensure_tables(self) -> None:
        """Make sure that both tables are there.

        Describe asks first, and create is called only for what is missing. Where describing is not allowed, the table is taken
        to exist and the first call will tell. Raises `TableMissing` where a table is missing and may not be created.
        """
        self._db.connect()

    # Conversations

    def get(self, user_id: str) -> Conversation | None:
        """See `conversation.ports.Conversations.get`."""
        item = self._db.read(self.table_name, {"user_id": user_id})
        return Conversation.from_item(item, datetime.now(UTC)) if item else None

    def append(self, user_id: str, message: Message, *, now: datetime) -> Conversation:
        """See `conversation.ports.Conversations.append`."""
        key = message.key
        if key is None:
            raise ValueError("a message needs a key: it is what makes a second call harmless")
        row = rows.row_write(
            self.messages_table_name,
            user_id,
            key,
            {
                "role": str(message.role),
                "content": message.content,
                "arrived": journal.arrived(str(in_milliseconds(message.timestamp or now))),
                "state": "SETTLED",
                **self._expiry(now),
            },
        )

        def attempt() -> Conversation:
            was = self.get(user_id) or Conversation.new(user_id, now)
            cut = window.cut(was.saying(message, at=now))
            self._carry_over(was, cut)
            try:
                self._db.transact(self._window_write(was, cut.conversation), row)
            except Refused as refused:
                if refused.rows[1] is not None:  # my own row: an earlier attempt took effect and its answer was lost
                    return self.get(user_id) or was
                raise
            return cut.conversation.written(was)

        return self._db.until_it_holds(attempt)

    def reset(self, user_id: str, *, now: datetime, wake: bool = True) -> Conversation:
        """See `conversation.ports.Conversations.reset`."""
        return self._begin_anew(user_id, through_ms=in_milliseconds(now), now=now, active=True if wake else None)

    def page(self, user_id: str, *, cursor: str | None = None, limit: int = PAGE) -> Page:
        """See `conversation.ports.Conversations.page`."""
        start = {"ExclusiveStartKey": _from_cursor(cursor)} if cursor else {}
        with translated():
            answer = self._db.ask(
                "Query",
                TableName=self.messages_table_name,
                IndexName=schema.BY_ARRIVAL,
                KeyConditionExpression="user_id = :u",
                ExpressionAttributeValues={":u": {"S": user_id}},
                ConsistentRead=True,
                Limit=limit,
                **start,
            )
        found = [row for row in map(plain, answer["Items"]) if not _is_over(row)]
        last = answer.get("LastEvaluatedKey")
        # rows that share one arrival are a text and its reply; by key, `in#` stands before `out#`
        found.sort(key=lambda row: (row["arrived"], row["message_key"]))
        return Page(
            # a second try says nothing new
            entries=tuple(journal.Entry.from_row(row) for row in found if not row.get("again")),
            cursor=_to_cursor(last) if last else None,
        )

    # The journal

    def open(self, user_id: str, *, now: datetime) -> Conversation:
        """See `conversation.ports.Journal.open`."""
        write = Write(
            table=self.table_name,
            key={"user_id": user_id},
            update=(
                "SET #fence = if_not_exists(#fence, :zero) + :one, #created_at = if_not_exists(#created_at, :now), "
                "#updated_at = if_not_exists(#updated_at, :now), #messages = if_not_exists(#messages, :none), "
                "#is_active = if_not_exists(#is_active, :yes)"
            ),
            values={"zero": 0, "one": 1, "now": now.isoformat(), "none": "[]", "yes": True},
        )
        return Conversation.from_item(self._db.update(write), now)

    def file(self, turn: Turn, *, now: datetime) -> Filed:
        """See `conversation.ports.Journal.file`."""
        write = rows.row_write(
            self.messages_table_name,
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
                **rows.listed(turn.user_id, now),
                **self._expiry(now),
            },
        )
        try:
            self._db.update(write)
        except Refused as refused:
            row = refused.rows[0]
            assert row is not None
            return Filed(turn=rows.turn(row), fresh=False)
        return Filed(turn=turn, fresh=True)

    def retry(self, turn: Turn) -> Turn:
        """See `conversation.ports.Journal.retry`."""
        write = Write(
            table=self.messages_table_name,
            key=rows.key(turn),
            update="SET #tries = #tries + :one",
            condition=rows.state_in(journal.UNFINISHED_TURNS),
            values={"one": 1, **rows.states(journal.UNFINISHED_TURNS)},
        )
        try:
            return rows.turn(self._db.update(write))
        except Refused as refused:
            return rows.turn(refused.rows[0]) if refused.rows[0] else turn

    def get_turn(self, user_id: str, sid: str) -> Turn | None:
        """See `conversation.ports.Journal.get_turn`."""
        row = self._row(user_id, journal.in_key(sid))
        return rows.turn(row) if row else None

    def settle(self, turn: Turn, state: TurnState, *, reason: str, now: datetime) -> None:
        """See `conversation.ports.Journal.settle`."""
        try:
            self._db.update(rows.settle_write(self.messages_table_name, turn, state, reason, now))
        except Refused:
            return

    def forget(self, user_id: str, *, through_ms: int, fence: int, now: datetime) -> Conversation:
        """See `conversation.ports.Journal.forget`."""
        return self._begin_anew(user_id, through_ms=through_ms, now=now, fence=fence)

    def set_active(self, user_id: str, *, active: bool, fence: int, now: datetime) -> None:
        """See `conversation.ports.Journal.set_active`."""
        self._set_fenced(user_id, "is_active", active, fence=fence, now=now)

    def opt_out(self, user_id: str, *, now: datetime) -> None:
        """See `conversation.ports.Journal.opt_out`."""
        write = Write(
            table=self.table_name,
            key={"user_id": user_id},
            update=f"SET #is_active = :no, #updated_at = :now{_STAYS}",
            condition="attribute_exists(#user_id)",
            values={"no": False, "now": now.isoformat()},
        )
        self._db.holds(write)

    def set_quiet(self, user_id: str, *, until_ms: int, fence: int, now: datetime) -> None:
        """See `conversation.ports.Journal.set_quiet`."""
        self._set_fenced(user_id, "quiet_until", until_ms, fence=fence, now=now)

    def _set_fenced(self, user_id: str, name: str, value: object, *, fence: int, now: datetime) -> None:
        write = Write(
            table=self.table_name,
            key={"user_id": user_id},
            # who said STOP has said so for good, however long nothing is said any more
            update=f"SET #{name} = :value, #updated_at = :now{_STAYS if value is False else ''}",
            condition="#fence = :fence",
            values={"value": value, "now": now.isoformat(), "fence": fence},
        )
        try:
            self._db.update(write)
        except Refused as refused:
            raise Fenced("another worker opened this conversation since") from refused

    def persist(self, answer: Answer, *, now: datetime) -> Conversation:
        """See `conversation.ports.Journal.persist`."""
        first = answer.turns[0]
        held = answer.conversation
        fixed = [
            *(
                rows.part_write(self.messages_table_name, part, answer.token, now, **self._expiry(now))
                for part in answer.new_parts()
            ),
            *(rows.answered_write(self.messages_table_name, answer, turn, now) for turn in answer.turns),
            *(
                rows.settle_write(self.messages_table_name, turn, TurnState.SILENT, "superseded", now)
                for turn in answer.silent
            ),
        ]
        current = [held]

        def attempt() -> Conversation:
            was = current[0]
            cut = window.cut(answer.after(was, now), forgotten=was.messages if answer.forget else ())
            self._carry_over(was, cut)
            try:
                self._db.transact(self._window_write(was, cut.conversation, fence=held.fence), *fixed)
            except Refused:
                if self._whose(answer, first):
                    return cut.conversation.written(was)
                fresh = self.get(first.user_id)
                if fresh is None or fresh.fence != held.fence:
                    raise Fenced("another worker opened this conversation since") from None
                current[0] = fresh  # another writer of the window alone: merge, the words stay the same
                raise
            return cut.conversation.written(was)

        return self._db.until_it_holds(attempt)

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
        found = self._db.walk(
            "Scan",
            TableName=self.messages_table_name,
            FilterExpression="sid = :s",
            ProjectionExpression="user_id, message_key",
            ExpressionAttributeValues={":s": {"S": sid}},
        )
        row = next(found, None)
        return (row["user_id"], row["message_key"]) if row else None

    def parts(self, user_id: str, sid: str) -> tuple[Part, ...]:
        """See `conversation.ports.Journal.parts`."""
        with translated():
            answer = self._db.ask(
                "Query",
                TableName=self.messages_table_name,
                KeyConditionExpression="user_id = :u AND begins_with(message_key, :k)",
                ExpressionAttributeValues={":u": {"S": user_id}, ":k": {"S": f"out#{sid}#"}},
                ConsistentRead=True,
            )
        found = [rows.part(plain(item)) for item in answer["Items"]]
        return tuple(sorted(found, key=lambda part: (part.number, part.again)))

    def claim(self, part: Part, *, fence: int, attempt_id: str, now: datetime) -> Part:
        """See `conversation.ports.Journal.claim`."""
        sources = journal.part_sources(PartState.SENDING)
        claimed = Write(
            table=self.messages_table_name,
            key=rows.key(part),
            update=(
                "SET #state = :sending, #attempt_id = :attempt, #fence = :fence, #claimed_at = :now, "
                f"#tries = if_not_exists(#tries, :zero) + :one, {rows.LOG} ADD #attempts :attempts"
            ),
            condition=rows.state_in(sources),
            values={
                "sending": str(PartState.SENDING),
                "attempt": attempt_id,
                "fence": fence,
                "now": now.isoformat(),
                "zero": 0,
                "one": 1,
                "attempts": {attempt_id},
                **rows.logged(at=now.isoformat(), state="SENDING", attempt=attempt_id, fence=fence),
                **rows.states(sources),
            },
        )
        mine = Write(
            table=self.table_name,
            key={"user_id": part.user_id},
            condition="#fence = :fence",
            values={"fence": fence},
        )

        def attempt() -> Part:
            try:
                self._db.transact(mine, claimed)
            except (Refused, StoreAway) as exc:
                row = self._row(part.user_id, part.key)
                if row and row.get("attempt_id") == attempt_id and row.get("state") == PartState.SENDING:
                    return rows.part(row)  # the claim took effect and its answer was lost
                if isinstance(exc, StoreAway):
                    raise
                raise Fenced("this part is no longer mine to send") from exc
            return replace(part, state=PartState.SENDING, attempt_id=attempt_id, fence=fence, tries=part.tries + 1)

        return self._db.until_it_holds(attempt)

    def bind(self, part: Part, binding: Binding, *, now: datetime) -> Part:
        """See `conversation.ports.Journal.bind`."""
        sources = journal.part_sources(binding.state)
        values: dict[str, Any] = {"state": str(binding.state), "now": now.isoformat(), **rows.states(sources)}
        standing = "attribute_not_exists(#attempt_id)"
        if part.attempt_id is not None:
            standing, values["attempt"] = "#attempt_id = :attempt", part.attempt_id
        sets = ["#state = :state", f"#{binding.state.lower()}_at = :now", rows.LOG]
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
        write = Write(
            table=self.messages_table_name,
            key=rows.key(part),
            update=f"SET {', '.join(sets)}{rows.listing(binding.state)}",
            condition=f"{standing} AND {rows.state_in(sources)}",
            values={
                **values,
                **rows.listing_values(binding.state),
                **rows.logged(
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
            return rows.part(self._db.update(write))
        except Refused as refused:
            if refused.rows[0] is None:
                return part
            stands = rows.part(refused.rows[0])
            journal.check_refused(stands.state, binding.state, same_attempt=stands.attempt_id == part.attempt_id)
            return stands

    def report(self, user_id: str, key: str, report: Reported, *, now: datetime) -> Part | None:
        """See `conversation.ports.Journal.report`."""
        status, attempt_id = report.status, report.attempt_id
        rank = journal.STATUS_RANK.get(status, 0)
        sets = ["#sid = :sid", "#status = :status", "#rank = :rank", "#status_at = :now", "#state = :sent", rows.LOG]
        sources = (*journal.part_sources(PartState.SENT), PartState.SENT)
        values: dict[str, Any] = {
            "sid": report.sid,
            "status": status,
            "rank": rank,
            "now": now.isoformat(),
            "sent": str(PartState.SENT),
            "attempt": attempt_id,
            **rows.states(sources),
            **rows.logged(
                at=now.isoformat(), report=status, attempt=attempt_id, code=report.error_code, sid=report.sid,
                evidence=report.evidence,
            ),
        }  # fmt: skip
        if report.error_code is not None:
            sets.append("#error_code = :code")
            values["code"] = report.error_code
        write = Write(
            table=self.messages_table_name,
            key={"user_id": user_id, "message_key": key},
            update=f"SET {', '.join(sets)}, #{status}_at = if_not_exists(#{status}_at, :now){rows.OFF_THE_LIST}",
            condition=(
                f"contains(#attempts, :attempt) AND {rows.state_in(sources)} AND "
                "(attribute_not_exists(#rank) OR #rank < :rank OR #state <> :sent)"
            ),
            values=values,
        )
        try:
            return rows.part(self._db.update(write))
        except Refused as refused:
            row = refused.rows[0]
            if row is None or attempt_id not in row.get("attempts", ()):
                return None
            return rows.part(row)

    def charge(self, part: Part, charge: Charge) -> None:
        """See `conversation.ports.Journal.charge`."""
        write = Write(
            table=self.messages_table_name,
            key=rows.key(part),
            update="SET #segments = :segments, #price = :price, #price_unit = :unit",
            condition="attribute_exists(#user_id) AND attribute_not_exists(#price)",
            values={"segments": charge.segments, "price": charge.price, "unit": charge.unit},
        )
        self._db.holds(write)

    def send_again(self, part: Part, *, now: datetime) -> bool:
        """See `conversation.ports.Journal.send_again`."""
        due = datetime.fromtimestamp(part.due / 1000, UTC)
        write = rows.part_write(self.messages_table_name, part, "", now, **self._expiry(now))
        values = {**write.values, "again": True, "due": part.due, "since": due.isoformat()}
        return self._db.wins(replace(write, update=f"{write.update}, #again = :again, #due = :due", values=values))

    def newest_parts(self, user_id: str, *, limit: int) -> tuple[Part, ...]:
        """See `conversation.ports.Journal.newest_parts`."""
        with translated():
            answer = self._db.ask(
                "Query",
                TableName=self.messages_table_name,
                IndexName=schema.BY_ARRIVAL,
                KeyConditionExpression="user_id = :u",
                ExpressionAttributeValues={":u": {"S": user_id}},
                ConsistentRead=True,
                ScanIndexForward=False,
                Limit=limit,
            )
        found = map(plain, answer["Items"])
        return tuple(rows.part(row) for row in found if row["message_key"].startswith("out#"))

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
                with translated():
                    answer = self._db.ask("BatchGetItem", RequestItems=waiting)
                read = answer["Responses"].get(self.messages_table_name, [])
                found |= {plain(row)["message_key"].removeprefix("in#") for row in read}
                waiting = answer.get("UnprocessedKeys")
                if waiting:
                    self._db.pause()
        return frozenset(found)

    def remember(self, folding: Folding, *, now: datetime) -> bool:
        """See `conversation.ports.Journal.remember`."""
        was = folding.conversation
        if folding.facts:
            self._db.put_all(self.messages_table_name, [costs.memo(was.user_id, folding.facts, now)])
        written = was if folding.memory is None else was.remembering(folding.memory)
        if written is was:
            return False
        standing = "attribute_not_exists(#metadata)" if was.noted is None else "#metadata = :was"
        write = Write(
            table=self.table_name,
            key={"user_id": was.user_id},
            update="SET #metadata = :metadata",
            condition=f"attribute_exists(#user_id) AND {standing}",
            values={"metadata": written.metadata_json(), **({} if was.noted is None else {"was": was.noted})},
        )
        return self._db.holds(write)

    def bury(self, mark: str, texts: Sequence[str], *, until: datetime) -> None:
        """Keep marks of what somebody sent who is forgotten, under a mark of his own. A second call adds to them."""
        row = {"user_id": _FORGOTTEN, "message_key": mark}
        known = self._db.read(self.messages_table_name, row) or {}
        kept = sorted({*known.get("texts", ()), *texts})
        if kept:
            stays = {"texts": kept, "until": until.isoformat(), "expires": int(until.timestamp())}
            self._db.put_all(self.messages_table_name, [{**row, **stays}])

    def buried(self, mark: str, *, now: datetime) -> frozenset[str]:
        """See `conversation.ports.Journal.buried`."""
        found = self._db.walk(
            "Query",
            TableName=self.messages_table_name,
            KeyConditionExpression="user_id = :u AND begins_with(message_key, :k)",
            ExpressionAttributeValues={":u": {"S": _FORGOTTEN}, ":k": {"S": mark}},
            ConsistentRead=True,
        )
        kept = [row for row in found if datetime.fromisoformat(row["until"]) >= now]
        return frozenset(text for row in kept for text in row["texts"])

    def set_reborn(self, user_id: str, *, fence: int, now: datetime) -> None:
        """See `conversation.ports.Journal.set_reborn`."""
        self._set_fenced(user_id, "reborn", True, fence=fence, now=now)

    def lift_stop(self, mark: str) -> None:
        """See `conversation.ports.Journal.lift_stop`."""
        key = {"user_id": _FORGOTTEN, "message_key": journal.stop_mark(mark)}
        self._db.delete(Write(table=self.messages_table_name, key=key))

    def unmake(self, user_id: str, *, fence: int) -> bool:
        """See `conversation.ports.Journal.unmake`."""
        return self._db.delete(
            Write(
                table=self.table_name,
                key={"user_id": user_id},
                # where there is none, an earlier delete took it, whose answer was lost
                condition="attribute_not_exists(#user_id) OR (#fence = :fence AND #is_active = :yes"
                " AND (attribute_not_exists(#version) OR #version = :none))",
                values={"fence": fence, "yes": True, "none": 0},
            )
        )

    def talk(self, user_id: str, *, after_ms: int, before_ms: int, limit: int) -> tuple[journal.Entry, ...]:
        """See `conversation.ports.Journal.talk`."""
        if before_ms <= after_ms:
            return ()  # DynamoDB refuses a stretch that ends before it begins
        with translated():
            answer = self._db.ask(
                "Query",
                TableName=self.messages_table_name,
                IndexName=schema.BY_ARRIVAL,
                KeyConditionExpression="user_id = :u AND arrived BETWEEN :a AND :b",
                ExpressionAttributeValues={
                    ":u": {"S": user_id},
                    ":a": {"S": f"{after_ms + 1:013d}-" if after_ms else "0"},
                    ":b": {"S": f"{before_ms:013d}-"},
                },
                ConsistentRead=True,
                ScanIndexForward=False,
                Limit=limit,
            )
        found = [row for row in map(plain, answer["Items"]) if not _is_over(row)]
        found.sort(key=lambda row: (row["arrived"], row["message_key"]))
        return tuple(journal.Entry.from_row(row) for row in found if not row.get("again"))

    def costs(self, *, since: datetime, cursor: str | None = None) -> CostPage:
        """See `conversation.ports.Journal.costs`."""
        start = {"ExclusiveStartKey": _from_cursor(cursor)} if cursor else {}
        with translated():
            answer = self._db.ask(
                "Scan",
                TableName=self.messages_table_name,
                FilterExpression="attribute_exists(#engine) AND (#answered_at >= :since OR #persisted_at >= :since)",
                ProjectionExpression=", ".join(f"#{name}" for name in _COST),
                ExpressionAttributeNames={f"#{name}": name for name in _COST},
                ExpressionAttributeValues={":since": {"S": since.isoformat()}},
                # what was persisted a moment ago is spent
                ConsistentRead=True,
                **start,
            )
        last = answer.get("LastEvaluatedKey")
        found = filter(None, (costs.cost_of(plain(item)) for item in answer["Items"]))
        return CostPage(costs=tuple(found), cursor=_to_cursor(last) if last else None)

    def watermark(self, name: str) -> datetime | None:
        """See `conversation.ports.Journal.watermark`."""
        row = self._db.read(self.messages_table_name, {"user_id": _RECONCILER, "message_key": name})
        return datetime.fromisoformat(row["at"]) if row else None

    def set_watermark(self, name: str, moment: datetime) -> None:
        """See `conversation.ports.Journal.set_watermark`."""
        write = Write(
            table=self.messages_table_name,
            key={"user_id": _RECONCILER, "message_key": name},
            update="SET #at = :at",
            condition="attribute_not_exists(#at) OR #at < :at",
            values={"at": moment.astimezone(UTC).isoformat()},
        )
        with suppress(Refused):
            self._db.update(write)

    def note_error(self, turn: Turn, error: str) -> None:
        """See `conversation.ports.Journal.note_error`."""
        write = Write(
            table=self.messages_table_name,
            key=rows.key(turn),
            update="SET #error = :error",
            condition="attribute_exists(#user_id)",
            values={"error": error[:ERROR_CHARACTERS]},
        )
        with suppress(Refused):
            self._db.update(write)

    def note_duplicates(self, user_id: str, sid: str, times: int, *, now: datetime) -> None:
        """See `conversation.ports.Journal.note_duplicates`."""
        write = Write(
            table=self.messages_table_name,
            key={"user_id": user_id, "message_key": journal.in_key(sid)},
            update="SET #duplicate_at = :now ADD #duplicates :times",
            condition="attribute_exists(#user_id)",
            values={"times": times, "now": now.isoformat()},
        )
        with suppress(Refused):
            self._db.update(write)

    def note_restored(self, turn: Turn, *, now: datetime) -> None:
        """See `conversation.ports.Journal.note_restored`."""
        write = Write(
            table=self.messages_table_name,
            key=rows.key(turn),
            update="SET #restored_at = :now",
            condition="attribute_exists(#user_id)",
            values={"now": now.isoformat()},
        )
        with suppress(Refused):
            self._db.update(write)

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
        write = Write(
            table=self.messages_table_name,
            key={"user_id": user_id, "message_key": key},
            update=f"SET #state = :to, #unsettled = :bucket, #since = :now, #revived_at = :now, {again} REMOVE #reason",
            condition=f"{rows.state_in(sources)} AND #unsettled = :dead",
            values={
                "to": str(target),
                "bucket": journal.bucket(user_id),
                "now": now.isoformat(),
                "zero": 0,
                "dead": journal.DEAD_LETTERS,
                **rows.states(sources),
            },
        )
        if not self._db.wins(write):
            return False
        if target == PartState.RETRY:
            tries = Write(
                table=self.messages_table_name,
                key={"user_id": user_id, "message_key": journal.in_key(key.split("#")[1])},
                update="SET #tries = :zero REMOVE #error",
                condition="attribute_exists(#user_id)",
                values={"zero": 0},
            )
            self._db.holds(tries)
        return True

    def discard(self, user_id: str, key: str, *, now: datetime) -> bool:
        """See `conversation.ports.Journal.discard`."""
        turn = key.startswith("in#")
        write = Write(
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
        return self._db.wins(write)

    def unsettled(self, bucket: str, *, before: datetime, limit: int) -> Iterator[Unsettled]:
        """See `conversation.ports.Journal.unsettled`."""
        found = self._db.walk(
            "Query",
            TableName=self.messages_table_name,
            IndexName=schema.UNSETTLED,
            KeyConditionExpression="unsettled = :b AND since < :t",
            ExpressionAttributeValues={":b": {"S": bucket}, ":t": {"S": before.isoformat()}},
            Limit=limit,
        )
        return (Unsettled(user_id=row["user_id"], key=row["message_key"]) for row in found)

    # Writes

    def _begin_anew(
        self, user_id: str, *, through_ms: int, now: datetime, fence: int | None = None, active: bool | None = None
    ) -> Conversation:
        """Empty window and memory, under a fence if one is given; awake, if that is said, else as it was."""

        def attempt() -> Conversation:
            was = self.get(user_id) or Conversation.new(user_id, now)
            if fence is not None and was.fence != fence:
                raise Fenced("another worker opened this conversation since")
            awake = was.is_active if active is None else active
            fresh = replace(was.forgetting(through_ms), is_active=awake, updated_at=now)
            cut = window.cut(fresh, forgotten=was.messages)
            self._carry_over(was, cut)
            self._db.transact(self._window_write(was, cut.conversation, fence=fence, active=active))
            return cut.conversation.written(was)

        return self._db.until_it_holds(attempt)

    def _window_write(
        self, was: Conversation, now: Conversation, *, fence: int | None = None, active: bool | None = None
    ) -> Write:
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
        if now.echoes:
            sets.append("#echoes = :echoes")
            values["echoes"] = "".join(now.echoes)
        for name, count in (("carried", now.carried), ("replies", now.replies)):
            if count:
                sets.append(f"#{name} = :{name}")
                values[name] = count
        if self._retention is not None and now.is_active:
            sets.append("#expires = :expires")
            values |= self._expiry(now.updated_at)
        if now.unintroduced != was.unintroduced:
            sets.append("#unintroduced = :unintroduced")
            values["unintroduced"] = now.unintroduced
        if now.metadata != was.metadata:
            sets.append("#metadata = :metadata")
            values["metadata"] = now.metadata_json()
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
        return Write(
            table=self.table_name,
            key={"user_id": was.user_id},
            update=f"SET {', '.join(sets)}",
            condition=" AND ".join(conditions),
            values=values,
        )

    def _carry_over(self, was: Conversation, cut: window.Cut) -> None:
        """Copy what leaves the window, and lies nowhere else, into the journal, before the window is cut.

        The idempotency key is the message's number and digest: writers that carry over the same messages write the same rows.
        """
        # an undated message stands right behind what was said before it; undated ones at the very beginning stand first of all
        start = _EPOCH
        number = was.carried
        unjournaled = []
        for message in cut.evicted:
            start = max(start, message.timestamp or start)
            if message.key is not None:
                continue
            digest = hashlib.blake2b(json.dumps(message.to_json(), sort_keys=True).encode(), digest_size=6)
            unjournaled.append(
                {
                    "user_id": was.user_id,
                    "message_key": f"old#{number:08d}#{digest.hexdigest()}",
                    "arrived": f"{in_milliseconds(start):013d}-{number:06d}",
                    "role": str(message.role),
                    "content": message.content,
                    "state": "SETTLED",
                    "original": json.dumps(message.to_json(), ensure_ascii=False),
                    **self._expiry(was.updated_at),
                }
            )
            number += 1
        for at in range(0, len(unjournaled), BATCH):
            self._db.put_all(self.messages_table_name, unjournaled[at : at + BATCH])

    def _expiry(self, moment: datetime) -> dict[str, int]:
        """When what is written now is to be deleted, as DynamoDB's time to live reads it."""
        return {} if self._retention is None else {"expires": int((moment + self._retention).timestamp())}

    def _row(self, user_id: str, key: str) -> Row | None:
        return self._db.read(self.messages_table_name, {"user_id": user_id, "message_key": key})


def _is_over(row: Row) -> bool:
    """Whether a row's time is over; DynamoDB deletes it within days."""
    return "expires" in row and row["expires"] < time.time()


def _to_cursor(key: Mapping[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(key).encode()).decode()


def _from_cursor(cursor: str) -> dict[str, Any]:
    key = json.loads(base64.urlsafe_b64decode(cursor))
    assert isinstance(key, dict)
    return key
