"""InMemoryStorage: the same promises as DynamoDB's, kept in two dictionaries under one lock.

It orders, fences and refuses like the real one and passes the same contract tests; nothing survives the process.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from conversation import costs, journal, window
from conversation.errors import Fenced
from conversation.journal import Entry, Part, PartState, Turn, TurnState
from conversation.models import Conversation, Message, Role, in_milliseconds
from conversation.ports import PAGE, Answer, Binding, Charge, CostPage, Filed, Folding, Page, Reported, Unsettled

#: Rows that one page of costs looks at.
COST_PAGE: Final = 50


class InMemoryStorage:
    """Conversations and the journal in memory."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._conversations: dict[str, Conversation] = {}
        self._turns: dict[tuple[str, str], Turn] = {}
        self._parts: dict[tuple[str, str], Part] = {}
        self._attempts: dict[tuple[str, str], set[str]] = {}
        self._entries: dict[tuple[str, str], Entry] = {}
        self._since: dict[tuple[str, str], datetime] = {}
        self._dead: dict[tuple[str, str], datetime] = {}
        self._second_tries: set[tuple[str, str]] = set()
        self._watermarks: dict[str, datetime] = {}
        self._buried: dict[str, tuple[frozenset[str], datetime]] = {}
        self._memos: list[dict[str, Any]] = []

    def get(self, user_id: str) -> Conversation | None:
        """See `conversation.ports.Conversations.get`."""
        with self._lock:
            return self._conversations.get(user_id)

    def append(self, user_id: str, message: Message, *, now: datetime) -> Conversation:
        """See `conversation.ports.Conversations.append`."""
        if message.key is None:
            raise ValueError("a message needs a key: it is what makes a second call harmless")
        with self._lock:
            was = self._conversations.get(user_id) or Conversation.new(user_id, now)
            if (user_id, message.key) in self._entries:
                return was
            stream_id = str(in_milliseconds(message.timestamp or now))
            self._enter(user_id, message.key, message.role, message.content, journal.arrived(stream_id), "SETTLED")
            return self._write(was, was.saying(message, at=now))

    def reset(self, user_id: str, *, now: datetime, wake: bool = True) -> Conversation:
        """See `conversation.ports.Conversations.reset`."""
        with self._lock:
            was = self._conversations.get(user_id) or Conversation.new(user_id, now)
            fresh = was.forgetting(in_milliseconds(now))
            return self._write(was, replace(fresh, is_active=wake or was.is_active, updated_at=now))

    def page(self, user_id: str, *, cursor: str | None = None, limit: int = PAGE) -> Page:
        """See `conversation.ports.Conversations.page`."""
        with self._lock:
            mine = sorted(
                # a second try says nothing new
                (entry for at, entry in self._entries.items() if at[0] == user_id and at not in self._second_tries),
                key=lambda entry: (entry.arrived, entry.key),
            )
            start = int(cursor or 0)
            end = start + limit
            return Page(entries=tuple(mine[start:end]), cursor=str(end) if end < len(mine) else None)

    def open(self, user_id: str, *, now: datetime) -> Conversation:
        """See `conversation.ports.Journal.open`."""
        with self._lock:
            was = self._conversations.get(user_id) or Conversation.new(user_id, now)
            self._conversations[user_id] = replace(was, fence=was.fence + 1)
            return self._conversations[user_id]

    def file(self, turn: Turn, *, now: datetime) -> Filed:
        """See `conversation.ports.Journal.file`."""
        with self._lock:
            at = (turn.user_id, turn.key)
            if at in self._turns:
                return Filed(turn=self._turns[at], fresh=False)
            self._turns[at] = replace(turn, facts={**turn.facts, "filed_at": now.isoformat()})
            self._since[at] = now
            self._enter(turn.user_id, turn.key, Role.USER, turn.content, turn.arrived, turn.state)
            return Filed(turn=self._turns[at], fresh=True)

    def retry(self, turn: Turn) -> Turn:
        """See `conversation.ports.Journal.retry`."""
        with self._lock:
            was = self._turns[turn.user_id, turn.key]
            if was.state in journal.UNFINISHED_TURNS:
                self._turns[turn.user_id, turn.key] = replace(was, tries=was.tries + 1)
            return self._turns[turn.user_id, turn.key]

    def get_turn(self, user_id: str, sid: str) -> Turn | None:
        """See `conversation.ports.Journal.get_turn`."""
        with self._lock:
            return self._turns.get((user_id, journal.in_key(sid)))

    def settle(self, turn: Turn, state: TurnState, *, reason: str, now: datetime) -> None:
        """See `conversation.ports.Journal.settle`."""
        with self._lock:
            sources = journal.turn_sources(state)
            if self._turns[turn.user_id, turn.key].state in sources:
                self._move_turn(turn, state, reason=reason, facts={"settled_at": now.isoformat()})
                if state is TurnState.DEAD:
                    self._dead[turn.user_id, turn.key] = now

    def opt_out(self, user_id: str, *, now: datetime) -> None:
        """See `conversation.ports.Journal.opt_out`."""
        with self._lock:
            was = self._conversations.get(user_id)
            if was is not None:
                self._conversations[user_id] = replace(was, is_active=False, updated_at=now)

    def set_quiet(self, user_id: str, *, until_ms: int, fence: int, now: datetime) -> None:
        """See `conversation.ports.Journal.set_quiet`."""
        with self._lock:
            was = self._fenced(user_id, fence)
            self._conversations[user_id] = replace(was, quiet_until=until_ms, updated_at=now)

    def forget(self, user_id: str, *, through_ms: int, fence: int, now: datetime) -> Conversation:
        """See `conversation.ports.Journal.forget`."""
        with self._lock:
            was = self._fenced(user_id, fence)
            return self._write(was, replace(was.forgetting(through_ms), updated_at=now))

    def set_active(self, user_id: str, *, active: bool, fence: int, now: datetime) -> None:
        """See `conversation.ports.Journal.set_active`."""
        with self._lock:
            was = self._fenced(user_id, fence)
            self._conversations[user_id] = replace(was, is_active=active, updated_at=now)

    def persist(self, answer: Answer, *, now: datetime) -> Conversation:
        """See `conversation.ports.Journal.persist`."""
        first = answer.turns[0]
        with self._lock:
            stands = self._turns[first.user_id, first.key]
            if stands.state is not TurnState.FILED:
                if stands.token == answer.token:
                    return self._conversations[first.user_id]
                raise Fenced("this turn was settled by another worker")
            was = self._fenced(first.user_id, answer.conversation.fence)
            for part in answer.new_parts():
                self._new_part(part, now)
            for turn in answer.turns:
                facts = {**answer.facts, "answered_at": now.isoformat()}
                self._move_turn(
                    turn, TurnState.ANSWERED,
                    token=answer.token, turn=first.sid, parts=len(answer.parts), facts=facts,
                )  # fmt: skip
            for turn in answer.silent:
                self._move_turn(turn, TurnState.SILENT, reason="superseded")
            return self._write(was, answer.after(was, now))

    def parts(self, user_id: str, sid: str) -> tuple[Part, ...]:
        """See `conversation.ports.Journal.parts`."""
        with self._lock:
            mine = [part for (owner, _), part in self._parts.items() if owner == user_id and part.turn == sid]
            return tuple(sorted(mine, key=lambda part: (part.number, part.again)))

    def claim(self, part: Part, *, fence: int, attempt_id: str, now: datetime) -> Part:
        """See `conversation.ports.Journal.claim`."""
        with self._lock:
            self._fenced(part.user_id, fence)
            was = self._parts[part.user_id, part.key]
            if was.state is PartState.SENDING and was.attempt_id == attempt_id:
                return was
            if was.state not in journal.part_sources(PartState.SENDING):
                raise Fenced("this part is no longer mine to send")
            self._attempts.setdefault((part.user_id, part.key), set()).add(attempt_id)
            return self._move_part(
                was, state=PartState.SENDING, attempt_id=attempt_id, fence=fence, tries=was.tries + 1,
                facts={**was.facts, "claimed_at": now.isoformat()},
            )  # fmt: skip

    def bind(self, part: Part, binding: Binding, *, now: datetime) -> Part:
        """See `conversation.ports.Journal.bind`."""
        with self._lock:
            was = self._parts[part.user_id, part.key]
            same = was.attempt_id == part.attempt_id
            if not same or was.state not in journal.part_sources(binding.state):
                journal.check_refused(was.state, binding.state, same_attempt=same)
                return was
            if binding.state is PartState.FAILED:
                self._dead[was.user_id, was.key] = now
            return self._move_part(
                was,
                state=binding.state,
                sid=binding.sid or was.sid,
                status=was.status or binding.status,
                due=binding.due or was.due,
                unknown_since=binding.unknown_since or was.unknown_since,
                error_code=binding.error_code or was.error_code,
                reason=binding.reason or was.reason,
                segments=binding.segments or was.segments,
                facts={**was.facts, f"{binding.state.lower()}_at": now.isoformat()},
            )

    def report(self, user_id: str, key: str, report: Reported, *, now: datetime) -> Part | None:
        """See `conversation.ports.Journal.report`."""
        with self._lock:
            was = self._parts.get((user_id, key))
            if was is None or report.attempt_id not in self._attempts.get((user_id, key), set()):
                return None
            settled = was.state not in journal.part_sources(PartState.SENT)
            higher = journal.STATUS_RANK.get(report.status, 0) > journal.STATUS_RANK.get(was.status or "", -1)
            if settled and (was.state is not PartState.SENT or not higher):
                return was
            return self._move_part(
                was, state=PartState.SENT, sid=report.sid, status=report.status,
                error_code=report.error_code or was.error_code, facts={**was.facts, "status_at": now.isoformat()},
            )  # fmt: skip

    def charge(self, part: Part, charge: Charge) -> None:
        """See `conversation.ports.Journal.charge`."""
        with self._lock:
            was = self._parts.get((part.user_id, part.key))
            if was is not None and was.price is None:
                self._move_part(was, segments=charge.segments, price=charge.price, price_unit=charge.unit)

    def send_again(self, part: Part, *, now: datetime) -> bool:
        """See `conversation.ports.Journal.send_again`."""
        with self._lock:
            at = (part.user_id, part.key)
            if at in self._parts:
                return False
            self._new_part(part, now)
            self._second_tries.add(at)
            self._since[at] = datetime.fromtimestamp(part.due / 1000, UTC)
            return True

    def newest_parts(self, user_id: str, *, limit: int) -> tuple[Part, ...]:
        """See `conversation.ports.Journal.newest_parts`."""
        with self._lock:
            mine = [part for (owner, _), part in self._parts.items() if owner == user_id]
            return tuple(sorted(mine, key=lambda part: part.arrived, reverse=True)[:limit])

    def known(self, texts: Sequence[tuple[str, str]]) -> frozenset[str]:
        """See `conversation.ports.Journal.known`."""
        with self._lock:
            return frozenset(sid for user_id, sid in texts if (user_id, journal.in_key(sid)) in self._turns)

    def remember(self, folding: Folding, *, now: datetime) -> bool:
        """See `conversation.ports.Journal.remember`."""
        with self._lock:
            was = folding.conversation
            if folding.facts:
                self._memos.append(costs.memo(was.user_id, folding.facts, now))
            stands = self._conversations.get(was.user_id)
            if folding.memory is None or stands is None or stands.metadata != was.metadata or was.foreign:
                return False
            written = stands.remembering(folding.memory)
            self._conversations[was.user_id] = replace(written, noted=written.metadata_json())
            return True

    def bury(self, mark: str, texts: Sequence[str], *, until: datetime) -> None:
        """See `conversation.storage.DynamoDBStorage.bury`."""
        with self._lock:
            self._buried[mark] = (self._buried.get(mark, (frozenset(), until))[0] | frozenset(texts), until)

    def buried(self, mark: str, *, now: datetime) -> frozenset[str]:
        """See `conversation.ports.Journal.buried`."""
        with self._lock:
            kept = [texts for name, (texts, until) in self._buried.items() if name.startswith(mark) and now <= until]
            return frozenset().union(*kept)

    def set_reborn(self, user_id: str, *, fence: int, now: datetime) -> None:
        """See `conversation.ports.Journal.set_reborn`."""
        with self._lock:
            self._conversations[user_id] = replace(self._fenced(user_id, fence), reborn=True, updated_at=now)

    def lift_stop(self, mark: str) -> None:
        """See `conversation.ports.Journal.lift_stop`."""
        with self._lock:
            self._buried.pop(journal.stop_mark(mark), None)

    def unmake(self, user_id: str, *, fence: int) -> bool:
        """See `conversation.ports.Journal.unmake`."""
        with self._lock:
            stands = self._conversations.get(user_id)
            if stands is None:
                return True
            if stands.fence != fence or stands.version or not stands.is_active:
                return False
            del self._conversations[user_id]
            return True

    def talk(self, user_id: str, *, after_ms: int, before_ms: int, limit: int) -> tuple[Entry, ...]:
        """See `conversation.ports.Journal.talk`."""
        with self._lock:
            mine = sorted(
                (
                    entry
                    for at, entry in self._entries.items()
                    if at[0] == user_id
                    and at not in self._second_tries
                    and (not after_ms or journal.milliseconds(entry.arrived) > after_ms)
                    and journal.milliseconds(entry.arrived) < before_ms
                ),
                key=lambda entry: (entry.arrived, entry.key),
            )
            return tuple(mine[-limit:])

    def costs(self, *, since: datetime, cursor: str | None = None) -> CostPage:
        """See `conversation.ports.Journal.costs`."""
        with self._lock:
            rows = [
                *(
                    {**turn.facts, "user_id": user, "message_key": key, "sid": turn.sid, "turn": turn.turn}
                    for (user, key), turn in self._turns.items()
                ),
                *(
                    {
                        **part.facts, "user_id": user, "message_key": key, "state": part.state, "cost": part.cost,
                        "expected": part.expected, "segments": part.segments, "price": part.price,
                        "price_unit": part.price_unit,
                    }
                    for (user, key), part in self._parts.items()
                ),
                *self._memos,
            ]  # fmt: skip
        left = sorted(rows, key=_place)
        if cursor:
            left = [row for row in left if _place(row) > tuple(cursor.split(" ", 1))]
        page, after = left[:COST_PAGE], left[COST_PAGE:]
        found = filter(None, (costs.cost_of(row) for row in page if _is_since(row, since)))
        return CostPage(costs=tuple(found), cursor=" ".join(_place(page[-1])) if after else None)

    def watermark(self, name: str) -> datetime | None:
        """See `conversation.ports.Journal.watermark`."""
        return self._watermarks.get(name)

    def set_watermark(self, name: str, moment: datetime) -> None:
        """See `conversation.ports.Journal.set_watermark`."""
        with self._lock:
            self._watermarks[name] = max(self._watermarks.get(name, moment), moment)

    def note_error(self, turn: Turn, error: str) -> None:
        """See `conversation.ports.Journal.note_error`."""
        with self._lock:
            was = self._turns.get((turn.user_id, turn.key))
            if was is not None:
                self._turns[turn.user_id, turn.key] = replace(was, facts={**was.facts, "error": error})

    def note_duplicates(self, user_id: str, sid: str, times: int, *, now: datetime) -> None:
        """See `conversation.ports.Journal.note_duplicates`."""
        with self._lock:
            at = (user_id, journal.in_key(sid))
            was = self._turns.get(at)
            if was is not None:
                facts = {"duplicates": was.facts.get("duplicates", 0) + times, "duplicate_at": now.isoformat()}
                self._turns[at] = replace(was, facts={**was.facts, **facts})

    def note_restored(self, turn: Turn, *, now: datetime) -> None:
        """See `conversation.ports.Journal.note_restored`."""
        with self._lock:
            was = self._turns.get((turn.user_id, turn.key))
            if was is not None:
                facts = {**was.facts, "restored_at": now.isoformat()}
                self._turns[turn.user_id, turn.key] = replace(was, facts=facts)

    def dead_letters(self) -> Iterator[Unsettled]:
        """See `conversation.ports.Journal.dead_letters`."""
        with self._lock:
            listed = sorted((since, at) for at, since in self._dead.items())
        return (Unsettled(user_id=user_id, key=key) for _, (user_id, key) in listed)

    def revive(self, user_id: str, key: str, *, now: datetime) -> bool:
        """See `conversation.ports.Journal.revive`."""
        with self._lock:
            at = (user_id, key)
            if self._dead.pop(at, None) is None:
                return False
            self._since[at] = now
            if at in self._turns:
                self._turns[at] = replace(self._turns[at], state=TurnState.FILED, tries=0, reason=None)
            else:
                was = self._parts[at]
                facts = {**was.facts, "revived_at": now.isoformat()}
                self._parts[at] = replace(was, state=PartState.RETRY, due=0, reason=None, facts=facts)
                turn = self._turns[user_id, journal.in_key(was.turn)]
                known = {name: fact for name, fact in turn.facts.items() if name != "error"}
                self._turns[user_id, turn.key] = replace(turn, tries=0, facts=known)
            return True

    def discard(self, user_id: str, key: str, *, now: datetime) -> bool:
        """See `conversation.ports.Journal.discard`."""
        with self._lock:
            at = (user_id, key)
            if self._dead.pop(at, None) is None:
                return False
            if at in self._turns:
                self._move_turn(self._turns[at], TurnState.SILENT, facts={"discarded_at": now.isoformat()})
            return True

    def unsettled(self, bucket: str, *, before: datetime, limit: int) -> Iterator[Unsettled]:
        """See `conversation.ports.Journal.unsettled`."""
        with self._lock:
            listed = sorted((since, at) for at, since in self._since.items() if since < before)
            mine = [at for _, at in listed if journal.bucket(at[0]) == bucket]
        del limit
        return (Unsettled(user_id=user_id, key=key) for user_id, key in mine)

    def _fenced(self, user_id: str, fence: int) -> Conversation:
        was = self._conversations[user_id]
        if was.fence != fence:
            raise Fenced("another worker opened this conversation since")
        return was

    def _write(self, was: Conversation, now: Conversation) -> Conversation:
        cut = window.cut(now)
        for number, message in enumerate(cut.unjournaled, start=was.carried):
            moment = message.timestamp or was.created_at
            self._enter(
                was.user_id, f"old#{number:08d}", message.role, message.content,
                journal.arrived(f"{in_milliseconds(moment)}-{number}"), "SETTLED",
            )  # fmt: skip
        self._conversations[was.user_id] = cut.conversation.written(was)
        return self._conversations[was.user_id]

    def _new_part(self, part: Part, now: datetime) -> None:
        self._parts[part.user_id, part.key] = replace(part, facts={**part.facts, "persisted_at": now.isoformat()})
        self._since[part.user_id, part.key] = now
        self._enter(part.user_id, part.key, Role.ASSISTANT, part.content, part.arrived, part.state)

    def _enter(self, user_id: str, key: str, role: str, content: str, arrived: str, state: str) -> None:
        self._entries[user_id, key] = Entry(key=key, role=str(role), content=content, arrived=arrived, state=str(state))

    def _move_turn(
        self, moved: Turn, state: TurnState, *, facts: Mapping[str, Any] | None = None, **changes: Any
    ) -> None:
        at = (moved.user_id, moved.key)
        was = self._turns[at]
        self._turns[at] = replace(was, state=state, facts={**was.facts, **(facts or {})}, **changes)
        self._entries[at] = replace(self._entries[at], state=str(state))
        if state not in journal.UNSETTLED_TURNS:
            self._since.pop(at, None)

    def _move_part(self, was: Part, **changes: Any) -> Part:
        at = (was.user_id, was.key)
        self._parts[at] = replace(was, **changes)
        self._entries[at] = replace(self._entries[at], state=str(self._parts[at].state))
        if self._parts[at].state not in journal.UNSETTLED_PARTS:
            self._since.pop(at, None)
        return self._parts[at]


def _place(row: Mapping[str, Any]) -> tuple[str, str]:  # Any: DynamoDB's values
    return row["user_id"], row["message_key"]


def _is_since(row: Mapping[str, Any], since: datetime) -> bool:  # Any: DynamoDB's values
    when = row.get("answered_at") or row.get("persisted_at")
    return "engine" in row and when is not None and datetime.fromisoformat(when) >= since
