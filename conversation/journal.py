"""Define turns and parts: the states of each text and each reply part, and the moves between them.

A turn is one inbound text (`in#<MessageSid>`). A part is one message of its reply (`out#<MessageSid>#<n>`). A part
that the carrier accepted and then failed may have one sibling (`out#<MessageSid>#<n>r`), a second try with the same
words. Both journal implementations take their write conditions from the two tables below. A move that is in neither
table cannot be written, and asking for one raises `IllegalMove`.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, Self, TypeVar

from conversation.errors import IllegalMove

#: The tombstone of an erased person who had sent STOP.
STILL_STOPPED: Final = "stop"
#: The sparse index is spread over this many partitions, so that no single one takes every write.
BUCKETS: Final = 16
#: A text that is not finished after this many visits becomes a dead letter.
MAX_TRIES: Final = 5
#: A reply that is not sent after this many visits in total becomes one too.
MAX_DELIVERY_TRIES: Final = 2 * MAX_TRIES
#: The sid of an inbox entry that cannot be read begins with this.
UNREADABLE: Final = "unreadable-"

_State = TypeVar("_State", bound=StrEnum)


class TurnState(StrEnum):
    """The state of a text."""

    #: Recorded, not answered: a worker computes the reply, or died doing so.
    FILED = "FILED"
    #: The words of the reply are frozen in its parts.
    ANSWERED = "ANSWERED"
    #: Settled without a reply: a keyword, a limit, a loop, or a person who opted out.
    SILENT = "SILENT"
    #: Too old to answer.
    STALE = "STALE"
    #: A dead letter.
    DEAD = "DEAD"


class PartState(StrEnum):
    """The state of one message of a reply."""

    NEW = "NEW"
    #: Claimed by one attempt. Only the claimant knows whether its request left.
    SENDING = "SENDING"
    SENT = "SENT"
    #: Proven not created; due again later.
    RETRY = "RETRY"
    FAILED = "FAILED"
    #: May have been created: waits for evidence.
    UNKNOWN = "UNKNOWN"
    #: No evidence came in time. It is sent again only if an operator decides so.
    HELD = "HELD"
    #: Not to be sent any more: the person opted out, or the reply is too old.
    SUPPRESSED = "SUPPRESSED"


TURN_MOVES: Final[Mapping[TurnState, frozenset[TurnState]]] = {
    TurnState.FILED: frozenset({TurnState.ANSWERED, TurnState.SILENT, TurnState.STALE, TurnState.DEAD}),
    TurnState.ANSWERED: frozenset(),
    TurnState.SILENT: frozenset(),
    TurnState.STALE: frozenset(),
    TurnState.DEAD: frozenset(),
}

PART_MOVES: Final[Mapping[PartState, frozenset[PartState]]] = {
    # to FAILED if a bug keeps every visit from even claiming it
    PartState.NEW: frozenset({PartState.SENDING, PartState.SUPPRESSED, PartState.FAILED}),
    PartState.SENDING: frozenset({PartState.SENT, PartState.RETRY, PartState.FAILED, PartState.UNKNOWN}),
    PartState.RETRY: frozenset({PartState.SENDING, PartState.SENT, PartState.SUPPRESSED, PartState.FAILED}),
    # back to RETRY or FAILED only if the claimant itself proves that nothing was created
    PartState.UNKNOWN: frozenset({PartState.SENT, PartState.HELD, PartState.RETRY, PartState.FAILED}),
    PartState.HELD: frozenset({PartState.SENT}),
    PartState.SENT: frozenset(),
    PartState.FAILED: frozenset(),
    PartState.SUPPRESSED: frozenset(),
}

#: A status never goes back: reports come late, repeated and out of order, so only a higher rank is kept.
#: https://www.twilio.com/docs/messaging/guides/outbound-message-status-in-status-callbacks (read 2026-11)
STATUS_RANK: Final[Mapping[str, int]] = {
    "accepted": 1,
    "scheduled": 1,
    "queued": 2,
    "sending": 3,
    "sent": 4,
    "canceled": 5,
    "failed": 5,
    "undelivered": 5,
    "delivered": 6,
    "read": 7,
}

#: Moves that only an operator may make with a dead letter: bring it back, or discard it.
OPERATOR_TURN_MOVES: Final[Mapping[TurnState, frozenset[TurnState]]] = {
    TurnState.DEAD: frozenset({TurnState.FILED, TurnState.SILENT}),
}
OPERATOR_PART_MOVES: Final[Mapping[PartState, frozenset[PartState]]] = {
    # it was proven not created, so sending it is no repetition
    PartState.FAILED: frozenset({PartState.RETRY}),
}

#: The partition of the sparse index that lists dead letters: dead turns, and parts that were refused for good.
DEAD_LETTERS: Final = "dead"

#: States in which a turn may still need work: a reply to compute, or to send.
UNFINISHED_TURNS: Final = (TurnState.FILED, TurnState.ANSWERED)
#: States in which the sparse index lists a row.
UNSETTLED_TURNS: Final = frozenset({TurnState.FILED})
UNSETTLED_PARTS: Final = frozenset({PartState.NEW, PartState.SENDING, PartState.RETRY, PartState.UNKNOWN})


def turn_sources(
    target: TurnState, moves: Mapping[TurnState, frozenset[TurnState]] = TURN_MOVES
) -> tuple[TurnState, ...]:
    """Return the states from which a turn may move to `target`. Raises `IllegalMove` if there is none."""
    return _sources(moves, target)


def part_sources(
    target: PartState, moves: Mapping[PartState, frozenset[PartState]] = PART_MOVES
) -> tuple[PartState, ...]:
    """Return the states from which a part may move to `target`. Raises `IllegalMove` if there is none."""
    return _sources(moves, target)


def check_refused(was: PartState, target: PartState, *, same_attempt: bool) -> None:
    """Distinguish a move that came too late from a move that is a bug; raise `IllegalMove` for the latter.

    `was` is the state in which a write to `target` was refused. A refusal is no bug in two cases: another attempt has
    taken the row, or legal moves by other writers led to `was` from a state in which the write was right.
    """
    if same_attempt and was not in _later_than(part_sources(target)):
        raise IllegalMove(f"a part cannot move from {was} to {target}")


def _later_than(states: tuple[PartState, ...]) -> frozenset[PartState]:
    """Return these states and all that follow within one attempt; a new claim starts a new attempt."""
    reachable, queue = set(states), list(states)
    while queue:
        for state in PART_MOVES[queue.pop()] - reachable - {PartState.SENDING}:
            reachable.add(state)
            queue.append(state)
    return frozenset(reachable)


def _sources(moves: Mapping[_State, frozenset[_State]], target: _State) -> tuple[_State, ...]:
    sources = tuple(state for state, targets in moves.items() if target in targets)
    if not sources:
        raise IllegalMove(f"nothing moves to {target}")
    return sources


@dataclass(frozen=True, slots=True)
class RowName:
    """The place of a row in the journal: whose it is, and its key."""

    user_id: str
    key: str

    @property
    def sid(self) -> str:
        """Return the sid in the row's key: of the text, or of the first text that the part answers."""
        return self.key.split("#")[1]

    @property
    def is_turn(self) -> bool:
        """Return whether the row is a text's."""
        return self.key.startswith("in#")

    @property
    def is_part(self) -> bool:
        """Return whether the row is a reply part's."""
        return self.key.startswith("out#")


def in_key(sid: str) -> str:
    """Return the journal key of a text, such as `in#SM1`."""
    return f"in#{sid}"


#: Marks a part's second try, in its key and in its attempt ids.
_AGAIN: Final = "r"
_ATTEMPT: Final = re.compile(r"([^-]+)-([0-9]{1,4})(r?)-.+")


def out_key(sid: str, number: int, *, again: bool = False) -> str:
    """Return the journal key of a reply part, such as `out#SM1#0`, or `out#SM1#0r` for its second try.

    `sid` is the first text that the reply answers; `number` counts from 0.
    """
    return f"out#{sid}#{number}{_AGAIN if again else ''}"


def new_attempt_id(part: Part) -> str:
    """Return a new attempt id, such as `SM1-0-9f86d081884c7d65`.

    With the person's address it leads back to the row.
    """
    return f"{part.turn}-{part.number}{_AGAIN if part.again else ''}-{secrets.token_hex(8)}"


def part_of_attempt(attempt_id: str) -> str | None:
    """Return the journal key of an attempt id, or None if the id is not ours."""
    match = _ATTEMPT.fullmatch(attempt_id)
    if match is None:
        return None
    sid, number, again = match.groups()
    return out_key(sid, int(number), again=bool(again))


def bucket(user_id: str) -> str:
    """Return the partition, such as `07`, of the sparse index that lists this person's unsettled rows."""
    return f"{hashlib.blake2b(user_id.encode(), digest_size=2).digest()[0] % BUCKETS:02d}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One text's row in the journal."""

    user_id: str
    sid: str
    state: TurnState
    #: The inbox's stream id, zero-padded so that text order is arrival order: `1732312345678-000007`.
    arrived: str
    content: str
    to: str
    #: How many visits have started on it.
    tries: int = 1
    #: The text whose sid the reply carries; several texts may share one reply.
    turn: str | None = None
    #: How many parts its reply has.
    parts: int = 0
    #: Set by the worker that froze the words: if the answer to its write is lost, it recognises the write by this.
    token: str | None = None
    reason: str | None = None
    #: Everything else in the row: media, times, engine.
    facts: Mapping[str, Any] = field(default_factory=dict)  # Any: DynamoDB's values

    @property
    def key(self) -> str:
        """Return the row's key."""
        return in_key(self.sid)

    @property
    def arrived_at(self) -> datetime:
        """Return when the text was accepted, by Redis's clock."""
        return _moment(self.arrived)

    @property
    def reply_sid(self) -> str:
        """Return the sid that the keys of its reply's parts carry."""
        return self.turn or self.sid

    @property
    def is_unreadable(self) -> bool:
        """Return whether this records an inbox entry that cannot be read."""
        return self.sid.startswith(UNREADABLE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One message of a reply."""

    user_id: str
    #: The sid of the first text that the reply answers.
    turn: str
    number: int
    state: PartState
    arrived: str
    content: str
    #: Which of our numbers it leaves from, such as `+15005550006`.
    sender: str
    messaging_service_sid: str | None = None
    #: Twilio's id, once there is one.
    sid: str | None = None
    attempt_id: str | None = None
    tries: int = 0
    #: A RETRY is not tried again before this time of Redis's clock, in milliseconds.
    due: int = 0
    #: When it became UNKNOWN, in milliseconds of Redis's clock.
    unknown_since: int = 0
    fence: int = 0
    status: str | None = None
    error_code: int | None = None
    reason: str | None = None
    #: This is the second try at a part that the carrier accepted and then failed.
    again: bool = False
    #: How many segments the carrier counted; 0 until it reports them.
    segments: int = 0
    #: What the carrier charged, in `price_unit`, as it writes it (`-0.00750`); None until it reports it.
    price: str | None = None
    price_unit: str | None = None
    #: The expected segments, and their expected cost in millionths of a US dollar.
    expected: int = 0
    cost: int = 0
    facts: Mapping[str, Any] = field(default_factory=dict)  # Any: DynamoDB's values

    @property
    def key(self) -> str:
        """Return the row's key."""
        return out_key(self.turn, self.number, again=self.again)

    @property
    def arrived_at(self) -> datetime:
        """Return when the text that it answers was accepted, by Redis's clock."""
        return _moment(self.arrived)

    def second_try(self, *, due: int, fresh: bool = False) -> Part:
        """Return the sibling part that tries the same words again, from `due` on.

        `due` is in milliseconds of Redis's clock. `fresh`: its age counts from `due`, because it must wait that long.
        Otherwise it is as old as the text that it answers.
        """
        return Part(
            user_id=self.user_id,
            turn=self.turn,
            number=self.number,
            state=PartState.NEW,
            arrived=arrived(str(due)) if fresh else self.arrived,
            content=self.content,
            sender=self.sender,
            messaging_service_sid=self.messaging_service_sid,
            due=due,
            again=True,
            expected=self.expected,
            cost=self.cost,
            # the engine that wrote the words: the cost is booked under its name
            facts={"engine": self.facts["engine"]} if "engine" in self.facts else {},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of the full transcript, from any kind of row."""

    key: str
    role: str
    content: str
    arrived: str
    state: str | None = None

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:  # Any: DynamoDB's values
        """Read a journal row as a line of the transcript."""
        return cls(
            key=str(row["message_key"]),
            role=str(row.get("role", "user")),
            content=str(row.get("content", "")),
            arrived=str(row.get("arrived", "")),
            state=row.get("state"),
        )


def stop_mark(mark: str) -> str:
    """Return the key of the tombstone that records an erased person's STOP."""
    return f"{mark}#{STILL_STOPPED}"


def milliseconds(arrived_: str) -> int:
    """Return when a row's text was accepted, in milliseconds of Redis's clock."""
    return int(arrived_.partition("-")[0])


def _moment(arrived_: str) -> datetime:
    return datetime.fromtimestamp(milliseconds(arrived_) / 1000, UTC)


def arrived(stream_id: str) -> str:
    """Return a stream id padded so that text order is arrival order: `1732312345678-000007`."""
    milliseconds, _, sequence = stream_id.partition("-")
    return f"{int(milliseconds):013d}-{int(sequence or 0):06d}"
