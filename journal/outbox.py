"""The rows of reply parts: claimed before the request leaves, bound to its outcome, and reported on.

out#<MessageSid>#<n>   state turn number content sender            frozen when the reply was persisted
                       attempt_id attempts tries fence claimed_at  the latest attempt, and the ids of all
                       sid status rank error_code reason due       what became of it
                       segments price price_unit                   what the carrier counted and charged
                       log                                         each event with its time
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any, Final

from boto3.dynamodb.conditions import Attr, ConditionBase, Key

from conversation import schema
from conversation.contention import holds, until_it_holds
from conversation.errors import ConditionFailed, Fenced, NotStorable, StoreAway
from conversation.fenced import fence_stands
from conversation.models import in_milliseconds
from conversation.storage import DynamoDBStorage
from conversation.table import Append, IfMissing, Plus, Query, Row, Tables, Update, each
from conversation.transcript import by_arrival
from journal import codec, listing, states
from journal.model import Binding, Charge, ReplyPart, Reported, RowName, row_key
from journal.states import PartState

#: Fields of a binding that are written in a way of their own.
_OWN_WAY: Final = {"state", "status", "evidence"}
#: What a claim adds to, and does not return.
_GROWING: Final = frozenset({"log", "attempts"})
#: A log of more events is shortened at the next claim to its first and latest ones and those that name a message: a
#: row has 400 KB at most, and a reply to a person in danger is tried for as long as the account is refused.
_LONG: Final = 100
_FIRST: Final = 10
_LATEST: Final = 40
#: The states of a claim whose outcome is not known yet: UNKNOWN if another worker doubts it.
_CLAIMED: Final = (PartState.SENDING, PartState.UNKNOWN)


class Outbox:
    """Reply parts in the messages table. `now` is always a time of Redis's clock."""

    def __init__(self, storage: DynamoDBStorage) -> None:
        self._tables = storage.tables
        self._names = storage.names
        self._storage = storage

    def parts(self, user_id: str, sid: str) -> tuple[ReplyPart, ...]:
        """Return the parts of the reply that carries `sid`, in order, read consistently."""
        query = Query(
            table=self._names.messages,
            where=Key("user_id").eq(user_id) & Key("message_key").begins_with(f"out#{sid}#"),
        )
        rows = (codec.decode(ReplyPart, row) for row in each(self._tables, query))
        return tuple(sorted(rows, key=lambda part: (part.number, part.again)))

    def part(self, row: RowName) -> ReplyPart | None:
        """Return the part of this row; None if there is none."""
        return row.among(self.parts(row.user_id, row.sid))

    def newest_parts(self, user_id: str, *, limit: int) -> tuple[ReplyPart, ...]:
        """Return the parts among the person's newest rows, newest first; `limit` counts rows.

        Raises `UnreadableRow`.
        """
        return tuple(codec.decode(ReplyPart, row) for row in newest_rows(self._tables, self._names, user_id, limit))

    def claim(self, part: ReplyPart, *, fence: int, attempt_id: str, now: datetime) -> ReplyPart:
        """Move a NEW or RETRY part to SENDING. The idempotency key is `attempt_id`.

        The claim takes effect at most once, however late a repeated copy of it arrives. If it took effect it is the
        caller's, even if another worker found it and doubts it by now: that worker never sends under this `attempt_id`.
        Raises `Fenced` if another worker opened the conversation since, or another attempt has the part.
        """
        stamp = now.isoformat()
        event = {"at": stamp, "state": "SENDING", "attempt": attempt_id, "fence": fence}
        log = _shortened(part.facts.get("log", ()))
        attempts = frozenset(str(kept["attempt"]) for kept in log if "attempt" in kept) | {attempt_id}
        update = self._update(
            part,
            {
                "state": str(PartState.SENDING),
                "attempt_id": attempt_id,
                "fence": fence,
                "claimed_at": stamp,
                "tries": Plus(1),
                **({"log": [*log, event], "attempts": attempts} if log else {"log": _event(**event)}),
            },
            when=_state_in(*states.part_sources(PartState.SENDING)) & ~Attr("attempts").contains(attempt_id),
            attempt_id=None if log else attempt_id,
        )
        check = fence_stands(self._names, part.user_id, fence)

        def attempt() -> ReplyPart:
            try:
                self._tables.transact(check, update)
            except (ConditionFailed, StoreAway) as exc:
                row = self._row(part)
                if row and row.get("attempt_id") == attempt_id and row.get("state") in _CLAIMED:
                    return codec.decode(ReplyPart, row)  # the claim took effect and its answer was lost
                if isinstance(exc, StoreAway):
                    raise
                raise Fenced("another worker opened the conversation, or another attempt has this part") from exc
            row = {**codec.encode(part), **row_key(part.user_id, part.key), **update.set, "tries": part.tries + 1}
            return codec.decode(ReplyPart, {name: value for name, value in row.items() if name not in _GROWING})

        return until_it_holds(attempt, seconds=self._storage.contention_seconds, host=self._storage.host)

    def bind(self, part: ReplyPart, binding: Binding, *, now: datetime) -> ReplyPart:
        """Write an attempt's outcome, if that attempt still stands in the row and the move is legal.

        The idempotency key is the part's `attempt_id`. If evidence or another attempt was faster, the row is returned
        as it is. Raises `IllegalMove` for a move that no table holds.
        """
        stamp = now.isoformat()
        same_attempt: ConditionBase = Attr("attempt_id").not_exists()
        if part.attempt_id is not None:
            same_attempt = Attr("attempt_id").eq(part.attempt_id)
        values: dict[str, Any] = {
            "state": str(binding.state),
            f"{binding.state.lower()}_at": stamp,
            "log": _event(
                at=stamp,
                state=str(binding.state),
                attempt=part.attempt_id,
                code=binding.error_code,
                reason=binding.reason,
                sid=binding.sid,
                evidence=binding.evidence or None,
            ),
            **{name: value for name, value in asdict(binding).items() if value and name not in _OWN_WAY},
        }
        if binding.status is not None:
            # a report that overtook the answer to the POST knows more
            rank = states.STATUS_RANK.get(binding.status, 0)
            values |= {"status": IfMissing(binding.status), "rank": IfMissing(rank)}
        when = same_attempt & _state_in(*states.part_sources(binding.state))
        update = listing.moved(self._update(part, values, when=when), binding.state, now)
        if binding.state is PartState.SENT:
            update = _without_past_failures(update)
        try:
            row = self._updated(update)
        except ConditionFailed as failed:
            if failed.rows[0] is None:
                return part
            stands = codec.decode(ReplyPart, failed.rows[0])
            states.check_refused(stands.state, binding.state, same_attempt=stands.attempt_id == part.attempt_id)
            return stands
        return codec.decode(ReplyPart, row)

    def prove_unsent(self, user_id: str, key: str, *, attempt_id: str, fence: int, now: datetime) -> ReplyPart | None:
        """Make a part due again of which it is proven that `attempt_id` created nothing; return its row.

        `fence` is that of the attempt. It is raised first if it still stands, so that no late copy of the claim can
        take effect afterwards. A HELD part stays HELD, because its operator may have acted on that; it only shows the
        proof. A part that another attempt has, or that was settled, is returned as it is. A second call changes
        nothing more.
        """
        raised = Update(
            table=self._names.conversations,
            key={"user_id": user_id},
            set={"fence": Plus(1)},
            when=Attr("fence").eq(fence),
        )
        holds(self._tables, raised)
        stamp = now.isoformat()
        proven: dict[str, Any] = {"proven_unsent": attempt_id}
        event = {"at": stamp, "attempt": attempt_id, "reason": "proven unsent", "evidence": "mark"}
        due = {"state": str(PartState.RETRY), "retry_at": stamp, "due": in_milliseconds(now), "reason": "proven unsent"}
        to_retry = {**proven, **due, "log": _event(state=str(PartState.RETRY), **event)}
        unproven = Attr("proven_unsent").not_exists() | Attr("proven_unsent").ne(attempt_id)
        noted = {**proven, "log": _event(**event)}
        row: Row | None = None
        for values, when in ((to_retry, _state_in(*_CLAIMED)), (noted, _state_in(PartState.HELD) & unproven)):
            update = Update(
                table=self._names.messages,
                key=row_key(user_id, key),
                set=values,
                when=Attr("attempt_id").eq(attempt_id) & when,
            )
            try:
                row = self._tables.update(update)
                break
            except ConditionFailed as failed:
                row = failed.rows[0]
        return codec.decode(ReplyPart, row) if row is not None else None

    def report(self, user_id: str, key: str, report: Reported, *, now: datetime) -> ReplyPart | None:
        """Write what the carrier reported of an attempt; None if the part never made that attempt.

        A status of no higher rank changes nothing, so a second call does not. SENDING, RETRY, UNKNOWN, HELD,
        SUPPRESSED and FAILED become SENT.
        """
        stamp = now.isoformat()
        rank = states.STATUS_RANK.get(report.status, 0)
        values: dict[str, Any] = {
            "sid": report.sid,
            "status": report.status,
            "rank": rank,
            "status_at": stamp,
            "state": str(PartState.SENT),
            **({f"{report.status}_at": IfMissing(stamp)} if rank else {}),
            "log": _event(
                at=stamp,
                report=report.status,
                attempt=report.attempt_id,
                code=report.error_code,
                sid=report.sid,
                evidence=report.evidence,
            ),
        }
        if report.error_code is not None:
            values["error_code"] = report.error_code
        is_news = Attr("rank").not_exists() | Attr("rank").lt(rank) | Attr("state").ne(str(PartState.SENT))
        # one that was refused for good, and of which no attempt in doubt was repeated, was never created
        repeated = Attr("resent").exists() | Attr("word").eq("resend")
        may_be = Attr("state").ne(str(PartState.FAILED)) | repeated
        update = Update(
            table=self._names.messages,
            key=row_key(user_id, key),
            set=values,
            remove=listing.ATTRIBUTES,
            when=Attr("attempts").contains(report.attempt_id)
            & _state_in(*states.part_sources(PartState.SENT), PartState.SENT)
            & is_news
            & may_be,
        )
        try:
            return codec.decode(ReplyPart, self._tables.update(_without_past_failures(update)))
        except ConditionFailed as failed:
            row = failed.rows[0]
            if row is None or report.attempt_id not in row.get("attempts", ()):
                return None
            return codec.decode(ReplyPart, row)

    def charge(self, part: ReplyPart, charge: Charge) -> None:
        """Record what the carrier charged for a part's message. A second call changes nothing."""
        values = {"segments": charge.segments, "price": charge.price, "price_unit": charge.unit}
        when = Attr("user_id").exists() & Attr("price").not_exists()
        holds(self._tables, self._update(part, values, when=when))

    def send_again(self, part: ReplyPart, *, now: datetime) -> bool:
        """Write down a second try (`ReplyPart.second_try`), NEW; False, and nothing changed, if there is one.

        So it is if the first part is gone: its person was erased meanwhile, and the words must not come back. The
        sparse index lists the second try from its due time on, so that the reconciler finds it when it may be sent.
        The token `won_by` tells this call's own write, whose answer was lost, from another's.
        """
        since, token = datetime.fromtimestamp(part.due / 1000, UTC).isoformat(), uuid.uuid4().hex
        second = listing.new_part(self._names, part, "", now, since=since, won_by=token)
        first = self._update(
            replace(part, again=False), {"second_try_at": now.isoformat()}, when=Attr("state").exists()
        )

        def attempt() -> bool:
            try:
                self._tables.transact(second, first)
            except ConditionFailed as failed:
                row = failed.rows[0]
                return row is not None and row.get("won_by") == token
            return True

        return until_it_holds(attempt, seconds=self._storage.contention_seconds, host=self._storage.host)

    def _updated(self, update: Update) -> Row:
        """Update a row; without the event if the row has no room for it, as an earlier release left it."""
        try:
            return self._tables.update(update)
        except NotStorable:
            return self._tables.update(replace(update, set={k: v for k, v in update.set.items() if k != "log"}))

    def _row(self, part: ReplyPart) -> Row | None:
        return self._tables.get(self._names.messages, row_key(part.user_id, part.key))

    def _update(
        self, part: ReplyPart, values: dict[str, Any], *, when: ConditionBase, attempt_id: str | None = None
    ) -> Update:
        add: dict[str, int | frozenset[str]] = {"attempts": frozenset({attempt_id})} if attempt_id else {}
        return Update(table=self._names.messages, key=row_key(part.user_id, part.key), set=values, add=add, when=when)


def _without_past_failures(update: Update) -> Update:
    """Remove the code and the reason of a failure that is over, unless this update writes new ones."""
    over = [name for name in ("error_code", "reason") if name not in update.set]
    return replace(update, remove=(*update.remove, *over))


def newest_rows(tables: Tables, names: schema.Names, user_id: str, limit: int) -> list[Row]:
    """Return the rows of reply parts among a person's newest rows, newest first; `limit` counts rows."""
    query = replace(by_arrival(names, user_id), newest_first=True, limit=limit)
    return [row for row in tables.query(query).rows if row["message_key"].startswith("out#")]


def _state_in(*sources: PartState) -> ConditionBase:
    return Attr("state").is_in([str(state) for state in sources])


def _shortened(log: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return what stays of a long log; nothing of one that is not long."""
    if len(log) <= _LONG:
        return []
    between = [event for event in log[_FIRST:-_LATEST] if event.get("sid")]
    return [*log[:_FIRST], *between, *log[-_LATEST:]]


def _event(**event: Any) -> Append:
    """Append an event to a part's log, without what is not known."""
    return Append({name: value for name, value in event.items() if value is not None})
