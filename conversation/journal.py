"""Turns and parts: what state each text and each reply is in, and which moves are allowed.

A turn is one inbound text (`in#<MessageSid>`); a part is one message of its reply (`out#<MessageSid>#<n>`). A part that the carrier took and
then failed may have one sibling (`out#<MessageSid>#<n>r`), a second try with the same words. Both keepers of the journal take their
conditions from the two tables below, so a move that stands in neither cannot be written, and asking for one raises `IllegalMove`.
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

#: The mark of somebody who was forgotten after he had said STOP.
STILL_STOPPED: Final = "stop"
#: The sparse index is spread over this many partitions, so that no single one takes every write.
BUCKETS: Final = 16
#: A text that cannot be finished in this many visits leaves the road.
MAX_TRIES: Final = 5
#: And a reply that could not be brought on its way in as many more.
MAX_DELIVERY_TRIES: Final = 2 * MAX_TRIES


_State = TypeVar("_State", bound=StrEnum)


class TurnState(StrEnum):
    """What has become of a text."""

    #: Known, not answered: some worker thinks, or died thinking.
    FILED = "FILED"
    #: The words of its reply are frozen in its parts.
    ANSWERED = "ANSWERED"
    #: Settled without a reply: a keyword, a limit, a loop, somebody who opted out.
    SILENT = "SILENT"
    #: Too old to answer.
    STALE = "STALE"
    #: A dead letter.
    DEAD = "DEAD"


class PartState(StrEnum):
    """What has become of one message of a reply."""

    NEW = "NEW"
    #: Claimed by one attempt; whether its request left is known to the claimant alone.
    SENDING = "SENDING"
    SENT = "SENT"
    #: Proven not created; due again later.
    RETRY = "RETRY"
    FAILED = "FAILED"
    #: May have been created: waits for evidence.
    UNKNOWN = "UNKNOWN"
    #: No evidence came in time. A person decides; it is never sent again by itself.
    HELD = "HELD"
    #: Not to be sent any more: the person opted out, or the words came too late.
    SUPPRESSED = "SUPPRESSED"


TURN_MOVES: Final[Mapping[TurnState, frozenset[TurnState]]] = {
    TurnState.FILED: frozenset({TurnState.ANSWERED, TurnState.SILENT, TurnState.STALE, TurnState.DEAD}),
    TurnState.ANSWERED: frozenset(),
    TurnState.SILENT: frozenset(),
    TurnState.STALE: frozenset(),
    TurnState.DEAD: frozenset(),
}

PART_MOVES: Final[Mapping[PartState, frozenset[PartState]]] = {
    # to FAILED when a bug keeps every visit from even claiming it
    PartState.NEW: frozenset({PartState.SENDING, PartState.SUPPRESSED, PartState.FAILED}),
    PartState.SENDING: frozenset({PartState.SENT, PartState.RETRY, PartState.FAILED, PartState.UNKNOWN}),
    PartState.RETRY: frozenset({PartState.SENDING, PartState.SENT, PartState.SUPPRESSED, PartState.FAILED}),
    # back to RETRY or FAILED only when the claimant itself proves that nothing was created
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

#: What an operator may do with a dead letter, and nobody else: bring it back, or let it rest.
OPERATOR_TURN_MOVES: Final[Mapping[TurnState, frozenset[TurnState]]] = {
    TurnState.DEAD: frozenset({TurnState.FILED, TurnState.SILENT}),
}
OPERATOR_PART_MOVES: Final[Mapping[PartState, frozenset[PartState]]] = {
    # it was proven not created, so sending it is no repetition
    PartState.FAILED: frozenset({PartState.RETRY}),
}

#: The partition of the sparse index that lists dead letters: dead turns, and parts that were refused for good.
DEAD_LETTERS: Final = "dead"

#: States in which a turn may still be worked on: to be thought of, or to be sent.
UNFINISHED_TURNS: Final = (TurnState.FILED, TurnState.ANSWERED)
#: States in which the sparse index lists a row.
UNSETTLED_TURNS: Final = frozenset({TurnState.FILED})
UNSETTLED_PARTS: Final = frozenset({PartState.NEW, PartState.SENDING, PartState.RETRY, PartState.UNKNOWN})


def turn_sources(
    target: TurnState, moves: Mapping[TurnState, frozenset[TurnState]] = TURN_MOVES
) -> tuple[TurnState, ...]:
    """The states from which a turn may move to `target`. Raises `IllegalMove` where there is none."""
    return _sources(moves, target)


def part_sources(
    target: PartState, moves: Mapping[PartState, frozenset[PartState]] = PART_MOVES
) -> tuple[PartState, ...]:
    """The states from which a part may move to `target`. Raises `IllegalMove` where there is none."""
    return _sources(moves, target)


def check_refused(was: PartState, target: PartState, *, same_attempt: bool) -> None:
    """Tell a move that came too late from one that must never have been asked for.

    `was` is the state in which a write to `target` was refused. The row may belong to another attempt by now; or it may have come to `was`,
    by moves of the table, from a state in which the write was right: then others were faster. Anything else is a bug: raises `IllegalMove`.
    """
    if same_attempt and was not in _later_than(part_sources(target)):
        raise IllegalMove(f"a part cannot move from {was} to {target}")


def _later_than(states: tuple[PartState, ...]) -> frozenset[PartState]:
    """These states and all that follow from them within one attempt; a new claim makes a new attempt."""
    found, queue = set(states), list(states)
    while queue:
        for state in PART_MOVES[queue.pop()] - found - {PartState.SENDING}:
            found.add(state)
            queue.append(state)
    return frozenset(found)


def _sources(moves: Mapping[_State, frozenset[_State]], target: _State) -> tuple[_State, ...]:
    found = tuple(state for state, targets in moves.items() if target in targets)
    if not found:
        raise IllegalMove(f"nothing moves to {target}")
    return found


def in_key(sid: str) -> str:
    """The journal key of a text."""
    return f"in#{sid}"


#: Marks a part's second try, in its key and in its attempts' ids.
_AGAIN: Final = "r"
_ATTEMPT: Final = re.compile(r"([^-]+)-([0-9]{1,4})(r?)-.+")


def out_key(sid: str, number: int, *, again: bool = False) -> str:
    """The journal key of part `number`, from 0, of the reply to the turn that began with text `sid`; `again`: of its second try."""
    return f"out#{sid}#{number}{_AGAIN if again else ''}"


def new_attempt_id(part: Part) -> str:
    """An id for one attempt at a part; with the person's address it leads back to the row."""
    return f"{part.turn}-{part.number}{_AGAIN if part.again else ''}-{secrets.token_hex(8)}"


def part_of_attempt(attempt_id: str) -> str | None:
    """The journal key that an attempt id names, or None for an id that is not ours."""
    match = _ATTEMPT.fullmatch(attempt_id)
    if match is None:
        return None
    sid, number, again = match.groups()
    return out_key(sid, int(number), again=bool(again))


def bucket(user_id: str) -> str:
    """The partition of the sparse index that lists this person's unsettled rows."""
    return f"{hashlib.blake2b(user_id.encode(), digest_size=2).digest()[0] % BUCKETS:02d}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One text's row."""

    user_id: str
    sid: str
    state: TurnState
    #: The inbox's stream id, zero-padded: the order.
    arrived: str
    content: str
    to: str
    #: How many visits have begun on it.
    tries: int = 1
    #: The text whose sid the reply bears; several texts may share one reply.
    turn: str | None = None
    #: How many parts its reply has.
    parts: int = 0
    #: Who froze the words: a worker whose answer got lost recognises its own write by it.
    token: str | None = None
    reason: str | None = None
    #: Everything else that the row records: media, times, engine.
    facts: Mapping[str, Any] = field(default_factory=dict)  # Any: DynamoDB's values

    @property
    def key(self) -> str:
        """The row's key."""
        return in_key(self.sid)

    @property
    def arrived_at(self) -> datetime:
        """When it was accepted, by Redis's clock."""
        return _moment(self.arrived)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One message of a reply."""

    user_id: str
    #: The text that the reply answers first.
    turn: str
    number: int
    state: PartState
    arrived: str
    content: str
    #: Which of our numbers it leaves from.
    sender: str
    messaging_service_sid: str | None = None
    #: Twilio's id, once there is one.
    sid: str | None = None
    attempt_id: str | None = None
    #: How many attempts were claimed.
    tries: int = 0
    #: Milliseconds of Redis's clock before which a RETRY is not tried again.
    due: int = 0
    #: Milliseconds of Redis's clock at which it became UNKNOWN.
    unknown_since: int = 0
    fence: int = 0
    status: str | None = None
    error_code: int | None = None
    reason: str | None = None
    #: It is the second try at a part that the carrier took and then failed.
    again: bool = False
    #: How many segments the carrier counted; 0: it has not said.
    segments: int = 0
    #: What the carrier charged, in `price_unit`, as it writes it (`-0.00750`); None: it has not said.
    price: str | None = None
    price_unit: str | None = None
    #: How many segments it is expected to take, and what they cost, in millionths of a US dollar.
    expected: int = 0
    cost: int = 0
    facts: Mapping[str, Any] = field(default_factory=dict)  # Any: DynamoDB's values

    @property
    def key(self) -> str:
        """The row's key."""
        return out_key(self.turn, self.number, again=self.again)

    @property
    def arrived_at(self) -> datetime:
        """When the text that it answers was accepted, by Redis's clock."""
        return _moment(self.arrived)

    def second_try(self, *, due: int, fresh: bool = False) -> Part:
        """The sibling that tries these words once more, from `due` on, in milliseconds of Redis's clock.

        `fresh`: its age counts from then, because it has to wait for it; else it is as old as the text that it answers.
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
            # whose words it carries: what it costs stands under that name
            facts={"engine": self.facts["engine"]} if "engine" in self.facts else {},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of the full transcript, from whichever row holds it."""

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
    """Under which mark it is kept that somebody who was forgotten had said STOP."""
    return f"{mark}#{STILL_STOPPED}"


def milliseconds(arrived_: str) -> int:
    """When a row's text was accepted, in milliseconds of Redis's clock."""
    return int(arrived_.partition("-")[0])


def _moment(arrived_: str) -> datetime:
    return datetime.fromtimestamp(milliseconds(arrived_) / 1000, UTC)


def arrived(stream_id: str) -> str:
    """A stream id so padded that text order is arrival order: `1732312345678-000007`."""
    milliseconds, _, sequence = stream_id.partition("-")
    return f"{int(milliseconds):013d}-{int(sequence or 0):06d}"
