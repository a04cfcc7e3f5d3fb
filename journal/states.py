"""Define the states of texts and reply parts, and the moves between them.

The write conditions of the journal are taken from the two tables of moves. A move that is in neither table cannot be
written, and asking for one raises `IllegalMove`.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, TypeVar

from conversation.errors import IllegalMove

#: A text that is not finished after this many tries becomes a dead letter (`worker.retry_policy.pause_after_death`).
MAX_TRIES: Final = 7
#: A reply that is not sent after this many tries in total becomes one too.
MAX_DELIVERY_TRIES: Final = 2 * MAX_TRIES


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

    #: Its words are frozen; no attempt was made.
    NEW = "NEW"
    #: Claimed by one attempt. Only the claimant knows whether its request left.
    SENDING = "SENDING"
    #: Twilio has created the message.
    SENT = "SENT"
    #: Proven not created; due again later.
    RETRY = "RETRY"
    #: Proven not created, and refused for good: a dead letter.
    FAILED = "FAILED"
    #: May have been created: waits for evidence.
    UNKNOWN = "UNKNOWN"
    #: No evidence came in time. It may have been sent, so it is never sent again.
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
    # back to RETRY or FAILED only if the claimant itself or a mark proves that nothing was created, or once, to RETRY,
    # if the operator chose that absence from the carrier's list counts (`worker.reconcile.absence`)
    PartState.UNKNOWN: frozenset({PartState.SENT, PartState.HELD, PartState.RETRY, PartState.FAILED}),
    PartState.HELD: frozenset({PartState.SENT}),
    PartState.SENT: frozenset(),
    # it was sent again although it was in doubt, and refused; then the carrier reports the attempt before
    PartState.FAILED: frozenset({PartState.SENT}),
    # an operator had it sent again, and it was not sent any more; then the carrier reports the attempt before
    PartState.SUPPRESSED: frozenset({PartState.SENT}),
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
    "partially_delivered": 5,
    "failed": 5,
    "undelivered": 5,
    "delivered": 6,
    "read": 7,
}

#: Moves that only an operator may make: bring a dead letter back, discard it, or send a held part again.
OPERATOR_TURN_MOVES: Final[Mapping[TurnState, frozenset[TurnState]]] = {
    TurnState.DEAD: frozenset({TurnState.FILED, TurnState.SILENT}),
}
OPERATOR_PART_MOVES: Final[Mapping[PartState, frozenset[PartState]]] = {
    # it was proven not created, so sending it is no repetition
    PartState.FAILED: frozenset({PartState.RETRY}),
    # it may have been created: only an operator who says so sends it again (`journal.held`)
    PartState.HELD: frozenset({PartState.RETRY}),
}

#: The partition of the sparse index that lists dead letters: dead turns, and parts that were refused for good.
DEAD_LETTERS: Final = "dead"
#: The partition of the sparse index that lists held parts, for an operator.
HELD_PARTS: Final = "held"

#: States in which a turn may still need work: a reply to compute, or to send.
UNFINISHED_TURNS: Final = (TurnState.FILED, TurnState.ANSWERED)
#: States in which the sparse index lists a part.
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
