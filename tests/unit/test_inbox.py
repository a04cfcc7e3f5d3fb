"""What only a turned clock or a look into Redis shows of the inbox."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from inbox import keys, payloads
from inbox.durations import DRAIN_AGAIN
from inbox.inbox import on_redis
from inbox.reports import ABANDONED_AFTER
from sms.messages import DeliveryReport, MessageSid
from tests.builders import ANN, BEN, LEASE, WAKE_AGAIN, a_sid
from tests.room import WHO, Room
from worker.limits import Rates


def a_report(to: str = ANN) -> DeliveryReport:
    return DeliveryReport(sid=MessageSid(a_sid()), to=to, status="sent", attempt_id="SM1-0-0123456789abcdef")


def test_a_report_whose_reader_died_is_read_by_another() -> None:
    room = Room()
    room.receive(a_report())
    (abandoned,) = room.inbox.reports.read(limit=10)
    another = on_redis(room.redis, who_key=b"memory", lease=LEASE, wake_again=WAKE_AGAIN).reports

    room.later(seconds=ABANDONED_AFTER.total_seconds() - 1)
    assert another.read(limit=10) == []
    room.later(seconds=1)
    assert another.read(limit=10) == [abandoned]

    another.remove([abandoned.entry_id])
    room.later(seconds=60)
    assert another.read(limit=10) == room.inbox.reports.read(limit=10) == []


def test_reports_push_one_drain_a_second_unless_a_drain_begins() -> None:
    room = Room()

    def pushed() -> int:
        return len(room.asked_for(payloads.RECEIPTS_TASK))

    room.receive(a_report())
    room.receive(a_report())
    assert pushed() == 1
    room.inbox.reports.drain_begins()
    room.receive(a_report())
    assert pushed() == 2
    room.later(seconds=DRAIN_AGAIN.total_seconds() + 0.01)
    room.receive(a_report())
    assert pushed() == 3


def everything(room: Room) -> str:
    """Return every key and value in Redis as one text, without the queue of tasks."""
    read: dict[Any, Callable[[Any], object]] = {  # Any: bytes or str, to redis-py
        b"hash": room.redis.hgetall,
        b"zset": lambda key: room.redis.zrange(key, 0, -1),
        b"stream": room.redis.xrange,
        b"string": room.redis.get,
        b"list": lambda key: room.redis.lrange(key, 0, -1),
    }
    names: list[Any] = [key for key in room.redis.keys("*") if key != keys.QUEUE.encode()]
    return "\n".join(f"{key!r} {read[room.redis.type(key)](key)!r}" for key in names)


def test_of_a_forgotten_person_nothing_is_left_in_redis() -> None:
    room = Room(rates=Rates(texts_per_minute=9, identical_per_hour=9, loop=6, messages_per_30_seconds=9))
    room.quota = room.a_quota()
    room.texts("hello", "i want to die")
    room.serve()
    (waiting,) = room.texts("a secret that waits")
    room.inbox.texts.accept(waiting)
    room.inbox.agenda.request_memory(WHO)
    room.receive(a_report())
    room.receive(a_report(to=BEN))
    assert WHO in everything(room)
    lease = room.inbox.leases.take(WHO)
    assert lease is not None

    assert room.inbox.people.forget(WHO, ANN) > 0

    room.inbox.leases.leave_duty(lease)
    assert WHO not in everything(room)
    assert ANN not in everything(room)
    assert "a secret" not in everything(room)
    assert BEN in everything(room), "another person's report stays"
    room.later(seconds=timedelta(hours=6).total_seconds())
    assert room.inbox.leases.take(WHO) is None
