"""What lies outside kills no text: it waits, and an alarm says what to mend."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
import redis
from redis._parsers.base import BaseParser

from conversation.errors import CorruptConversation, NotStorable, StoreRefuses, TableMissing, TooMuchContention
from inbox.connection import translated
from inbox.errors import InboxAway, InboxRefuses
from journal.states import MAX_TRIES, TurnState
from sms.errors import NoAnswer, Refused
from tests.room import Died, Dying, Room
from worker import telemetry
from worker.budget import NotCounted

DENIED = StoreRefuses("DynamoDB refuses UpdateItem on DadaCatMessages: AccessDeniedException", code="AccessDenied")
OUTSIDE = [
    DENIED,
    TableMissing("table DadaCatMessages is missing"),
    CorruptConversation("messages of conversation …01 is not JSON"),
    TooMuchContention("other writers"),
    InboxRefuses("Redis carries out no command now: OOM"),
    NotCounted("not yet"),
    NoAnswer("no answer from Twilio"),
    Refused(status=401),
    OSError(24, "too many open files"),
    MemoryError(),
]


@pytest.mark.parametrize("call", ["turns.file", "turns.persist", "outbox.claim"])
@pytest.mark.parametrize("error", OUTSIDE, ids=lambda error: type(error).__name__)
def test_no_text_dies_of_what_lies_outside(error: Exception, call: str) -> None:
    room = Room()
    (text,) = room.texts("hello")

    for _ in range(8):
        room.serve(journal=Dying(room.store, call, after=False, error=error))
        room.later(seconds=6)
    room.serve()

    assert room.state(text) is TurnState.ANSWERED
    assert room.received == ["re: hello"]


def test_a_refusal_is_an_alarm_that_names_the_permission_and_the_table() -> None:
    room = Room()
    room.texts("hello")

    room.serve(journal=Dying(room.store, "turns.file", after=False, error=DENIED))

    assert room.alarms == [("refused", str(DENIED))]


@pytest.mark.parametrize("error", [NotStorable("too large"), ValueError("a bug"), KeyError("a bug")], ids=repr)
def test_a_text_dies_of_our_own_mistakes_in_handling_it(error: Exception) -> None:
    room = Room()
    (text,) = room.texts("poison")

    for _ in range(MAX_TRIES + 1):
        with suppress(type(error)):
            room.serve(journal=Dying(room.store, "turns.persist", after=False, error=error))
        room.later(seconds=6)

    assert room.state(text) is TurnState.DEAD


def test_a_visit_that_ends_well_while_redis_is_away_is_no_death() -> None:
    """Redis comes back after the lease expired; the visit's own end is heard all the same."""
    room = Room()
    (text,) = room.texts("hello")
    tries = 8
    for _ in range(tries):
        away = Dying(room.inbox.leases, "release_until", after=False, error=InboxAway("away"))
        leases: Any = _ExpiringWhenAway(room, away)
        room.serve(
            inbox=replace(room.inbox, leases=leases),
            journal=Dying(room.store, "turns.persist", after=False, error=DENIED),
        )
        room.later(seconds=6)
    room.serve()

    turn = room.store.turns.get("+15551230001", text.sid)
    assert turn is not None
    assert (turn.state, turn.tries) == (TurnState.ANSWERED, 1)


class _ExpiringWhenAway:
    """Leases that expire while their release fails."""

    def __init__(self, room: Room, behind: Dying) -> None:
        self._room, self._behind = room, behind

    def __getattr__(self, name: str) -> Any:
        return getattr(self._behind, name)

    def release_until(self, *args: Any, **options: Any) -> Any:
        try:
            return self._behind.release_until(*args, **options)
        except InboxAway:
            self._room.later(seconds=21)
            raise


def test_a_worker_that_dies_is_still_counted() -> None:
    room = Room()
    (text,) = room.texts("poison")

    room.dies(journal=Dying(room.store, "turns.persist", after=False, error=Died()))
    room.serve()

    turn = room.store.turns.get("+15551230001", text.sid)
    assert turn is not None
    assert turn.tries == 2


@pytest.mark.parametrize(
    ("answer", "raised"),
    [
        ("READONLY You can't write against a read only replica.", InboxRefuses),
        ("NOAUTH Authentication required.", InboxRefuses),
        ("WRONGPASS invalid username-password pair or user is disabled.", InboxRefuses),
        ("NOPERM this user has no permissions to run the 'xadd' command", InboxRefuses),
        ("ERR ACL failure in script: User u has no permissions to run the 'zadd' command", InboxRefuses),
        ("ACL failure in script: User u has no permissions to run the 'zadd' command script: on line 2", InboxRefuses),
        ("MISCONF Redis is configured to save RDB snapshots", InboxRefuses),
        ("OOM command not allowed when used memory > 'maxmemory'.", InboxRefuses),
        ("CLUSTERDOWN The cluster is down", InboxRefuses),
        ("BUSY Redis is busy running a script.", InboxRefuses),
        ("MASTERDOWN Link with MASTER is down", InboxRefuses),
        ("UNBLOCKED force unblock from blocking operation", InboxRefuses),
        ("LOADING Redis is loading the dataset in memory", InboxAway),
        ("ERR max number of clients reached", InboxAway),
        ("ERR wrong number of arguments for 'set' command", redis.ResponseError),
        ("WRONGTYPE Operation against a key holding the wrong kind of value", redis.ResponseError),
    ],
)
def test_an_answer_of_redis_is_an_outage_or_our_mistake(answer: str, raised: type[Exception]) -> None:
    with pytest.raises(raised) as caught, translated():
        raise BaseParser.parse_error(answer)  # type: ignore[no-untyped-call]  # redis-py's own

    assert type(caught.value) is raised


def test_an_alarm_that_stays_true_is_logged_once_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    monkeypatch.setattr(telemetry.log, "log", lambda _, name, **__: lines.append(name))
    told, now = telemetry.LogsAndMetrics(), [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    for now[0] in (1.0, 2.0, 59.0, 62.0):
        told.emit(telemetry.away(DENIED))

    assert lines == ["refused"] * 2
