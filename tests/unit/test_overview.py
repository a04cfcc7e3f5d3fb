"""The overview says whether every text is answered, and if not, whose, since when and why."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import redis

from conversation.errors import StoreAway
from conversation.table import Row
from inbox.budget import Caps
from inbox.connection import connect
from inbox.ports import Place, Stop
from journal.states import TurnState
from operations.overview import AWAY_SECONDS, Level, Overview, Overviews, span
from operations.recent import AGAIN_SECONDS, BARS, Recents
from sms.ports import Scope, Unknown
from tests.builders import ANN, OUR_NUMBER, a_sid, a_turn
from tests.conftest import wait_until
from tests.room import WHO, Dying, Room


def overviews(room: Room, **caps: Caps) -> Overviews:
    given = {"model": Caps(), "sms": Caps(), **caps}
    return Overviews(room.store, room.redis, room.circuit, caps=given)


def look(room: Room, **caps: Caps) -> Overview:
    return overviews(room, **caps).look(wait=True)


def answered(room: Room, body: str = "hello") -> None:
    room.texts(body)
    room.serve()


def test_all_is_well_when_every_text_is_answered() -> None:
    room = Room()
    answered(room)

    overview = look(room)

    assert (overview.verdict, overview.level) == ("Every text is answered.", Level.OK)
    assert overview.recent is not None
    assert overview.recent.stats.texts == {"ANSWERED": 1}
    assert overview.recent.bars[-1] == {"ANSWERED": 1}
    assert len(overview.recent.bars) == BARS
    assert list(overview.recent.spreads) == ["waited", "thought", "persisted", "claimed", "sent", "answered in all"]
    assert overview.recent.month.model == 110


def test_it_says_who_waits_since_when_and_why() -> None:
    room = Room()
    room.texts("hello", "are you there?")
    room.later(seconds=20)

    overview = look(room)

    assert overview.verdict == "1 person waits, the longest for 20 s."
    [person] = overview.to_json()["waiting"]
    assert (person["who"], person["texts"], person["why"]) == (WHO, 2, "waits for a worker")
    assert ANN not in json.dumps(overview.to_json())


def test_a_text_that_waits_long_is_a_trouble_and_one_that_waits_too_long_is_wrong() -> None:
    room = Room()
    room.texts("hello")
    levels = []
    for seconds in (5, 40, 80):
        room.later(seconds=seconds)
        levels.append(look(room).level)

    assert levels == [Level.OK, Level.ATTENTION, Level.WRONG]


def test_a_person_who_is_served_or_stopped_or_scheduled_waits_for_that() -> None:
    room = Room()
    room.texts("hello")
    lease = room.inbox.leases.take(WHO)
    assert lease is not None
    assert look(room).to_json()["waiting"][0]["why"] == "a worker serves this person now"

    room.inbox.leases.release_until(lease, due_ms=room.ms + 90_000)
    assert look(room).to_json()["waiting"][0]["why"] == "the next visit is due in 1 min"

    place = Place(Scope.SENDER, OUR_NUMBER)
    room.circuit.open(Stop(place=place, who=WHO, reason="21606"))
    room.circuit.wait(place, WHO)
    overview = look(room)
    assert overview.to_json()["waiting"][0]["why"] == f"nothing is sent (sender {OUR_NUMBER}): 21606"
    assert (overview.level, overview.troubles[0].where) == (Level.WRONG, "limits")


def test_what_needs_a_decision_is_counted() -> None:
    room = Room()
    room.reconciler.reconcile()
    room.sender.answers.append(Unknown(reason="read timeout"))
    room.texts("hello")
    room.serve()
    room.later(seconds=3700)
    room.reconciler.reconcile()
    room.serve()

    overview = look(room)

    assert overview.lists.held == 1
    assert [trouble.where for trouble in overview.troubles] == ["held"]
    assert overview.verdict == "No person waits; 1 may not have been answered."


def test_a_text_that_could_not_be_finished_is_not_called_answered() -> None:
    room = Room()
    fence = room.store.conversations.open(ANN, now=room.now()).fence
    turn = room.store.turns.file(a_turn("hello", sid=a_sid()), now=room.now()).turn
    room.store.turns.settle(turn, TurnState.DEAD, reason="ZeroDivisionError", fence=fence, now=room.now())

    overview = look(room)
    assert (overview.verdict, overview.level) == ("No person waits; 1 could not be answered.", Level.ATTENTION)


def test_who_waits_is_told_while_the_journal_does_not_answer() -> None:
    room = Room()
    room.texts("hello")
    seconds = [0.0]
    away: Any = Dying(room.store, "unsettled.rows", after=False, error=StoreAway("dynamodb cannot be reached"))
    read = Overviews(
        away, room.redis, room.circuit, caps={"model": Caps(), "sms": Caps()}, monotonic=lambda: seconds[0]
    )
    for wait in (True, False):
        overview = read.look(wait=wait)
        assert overview.verdict == "1 person waits, the longest for 0.0 s."
        assert (overview.level, overview.troubles[0].where) == (Level.WRONG, "health")
        assert "DynamoDB cannot be used" in overview.troubles[0].what

    seconds[0] += AWAY_SECONDS
    assert read.look().level is Level.OK


def test_without_a_worker_it_says_so_before_a_text_has_waited_long(redis_client: redis.Redis, redis_url: str) -> None:
    room = Room()
    read = Overviews(room.store, redis_client, room.circuit, caps={"model": Caps(), "sms": Caps()})
    beat, worker = (connect(redis_url, role) for role in ("beat", "worker"))
    with beat:
        assert beat.ping()
        with worker:
            assert worker.ping()
            assert read.look().troubles == []
        assert [trouble.what for trouble in read.look().troubles] == [
            "no worker is connected to Redis: no text is answered"
        ]


@pytest.mark.parametrize(("cap", "level"), [(1_000, Level.OK), (120, Level.ATTENTION), (110, Level.ATTENTION)])
def test_a_budget_that_is_nearly_spent_is_a_trouble(cap: int, level: Level) -> None:
    room = Room(models=Caps(day=10_000_000))
    answered(room)

    assert look(room, model=Caps(day=cap)).level is level


def test_the_journal_is_read_again_only_when_the_digest_is_old_enough() -> None:
    room, seconds = Room(), [0.0]
    reads: list[int] = []
    states = room.store.archive.states

    def counted() -> Iterator[Row]:
        reads.append(1)
        return states()

    room.store.archive.states = counted  # type: ignore[method-assign]
    recents = Recents(room.store, room.now, monotonic=lambda: seconds[0])

    assert recents.latest() is None
    wait_until(lambda: recents.latest() is not None, what="the first digest")
    recents.latest()
    assert len(reads) == 1
    seconds[0] += AGAIN_SECONDS + timedelta(seconds=5).total_seconds()
    recents.latest()
    wait_until(lambda: len(reads) == 2, what="the second digest")


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.44, "0.4 s"), (12.4, "12 s"), (61, "1 min"), (7300, "2 h"), (200_000, "2 d")]
)
def test_a_span_is_said_in_its_largest_unit(seconds: float, words: str) -> None:
    assert span(seconds) == words
