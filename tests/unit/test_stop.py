"""STOP and START count by the time at which they were sent, and also behind many waiting texts."""

from __future__ import annotations

import pytest

from journal import audit
from tests.builders import ANN
from tests.room import Dying, Room


def greeted() -> Room:
    """Return a room in which a person was answered and the reconciler has read the carrier's list."""
    room = Room()
    room.texts("hi")
    room.serve()
    room.reconciler.reconcile()
    room.later(seconds=60)
    return room


def is_active(room: Room) -> bool:
    conversation = room.store.conversations.get(ANN)
    assert conversation is not None
    return conversation.is_active


def answers_now(room: Room) -> bool:
    """Return whether the person's next text is answered."""
    before = len(room.received)
    room.texts("who is this?")
    room.serve()
    return len(room.received) > before


def reason(room: Room, sid: str) -> str | None:
    turn = room.store.turns.get(ANN, sid)
    assert turn is not None
    return turn.reason


@pytest.mark.parametrize(("lost", "later"), [("START", "STOP"), ("STOP", "START")])
def test_a_keyword_that_is_found_after_a_later_one_does_nothing(lost: str, later: str) -> None:
    room = greeted()
    if lost == "START":
        room.texts("STOP")
        room.serve()
        room.later(seconds=60)
    late = room.heard_of(lost)  # its webhook never comes
    room.later(seconds=60)
    room.texts(later)
    room.serve()
    room.later(seconds=240)
    room.reconciler.reconcile()
    room.serve()

    assert reason(room, late) == "a later keyword counts"
    assert is_active(room) is (later == "START")
    assert answers_now(room) is (later == "START")
    findings = list(audit.audit(ANN, room.store.archive.rows(ANN), is_active=is_active(room)))
    assert [finding for finding in findings if finding.is_offence] == []


@pytest.mark.parametrize(("first", "lost"), [("STOP", "START"), ("START", "STOP")])
def test_a_keyword_that_is_found_late_counts_if_it_is_the_last(first: str, lost: str) -> None:
    room = greeted()
    room.texts(first)
    room.serve()
    room.later(seconds=60)
    room.heard_of(lost)
    room.later(seconds=240)
    room.reconciler.reconcile()
    room.serve()

    assert is_active(room) is (lost == "START")


def test_of_two_that_are_found_late_the_one_that_was_sent_last_counts() -> None:
    room = greeted()
    room.heard_of("START")
    room.later(seconds=60)
    room.heard_of("STOP")
    room.later(seconds=240)
    room.reconciler.reconcile()
    room.serve()

    assert not is_active(room)
    assert not answers_now(room)


def test_a_start_that_redis_lost_and_gets_back_does_not_undo_a_later_stop() -> None:
    room = greeted()
    room.texts("STOP")
    room.serve()
    room.texts("START")
    room.dies(journal=Dying(room.store, "conversations.set_active", after=False))
    room.redis.flushall()
    room.later(seconds=5)
    room.texts("STOP")
    room.serve()
    room.later(seconds=100)
    room.reconciler.reconcile()
    room.serve()

    assert not is_active(room)
    assert not answers_now(room)


def test_a_stop_behind_many_waiting_texts_is_heeded_before_the_first_is_answered() -> None:
    room = Room()
    room.texts(*[f"text {number}" for number in range(60)], "STOP")
    room.serve()

    assert room.received == []
