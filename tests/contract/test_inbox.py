"""The inbox on Redis: order, one worker per person, no text lost while a lease is released."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from datetime import timedelta
from typing import Any, cast

import pytest
import redis

from inbox import keys, payloads, worker_keys
from inbox.durations import IDENTITY_KEPT, milliseconds
from inbox.inbox import on_redis
from inbox.payloads import Who
from inbox.ports import Inbox, Lease
from inbox.reports import RedisReports
from tests.builders import ANN, BEN, WAKE_AGAIN, a_text
from tests.conftest import wait_until

#: Short, because the tests wait for the end of leases.
LEASE = timedelta(seconds=1)
ANN_ = payloads.who(ANN, b"memory")
BEN_ = payloads.who(BEN, b"memory")


@pytest.fixture
def inbox(server: redis.Redis) -> Inbox:
    return on_redis(server, who_key=b"memory", lease=LEASE, wake_again=WAKE_AGAIN)


def next_lease(inbox: Inbox) -> Lease:
    """Take the lease on Ann once the lease of a dead worker has expired."""
    leases: list[Lease] = []

    def taken() -> bool:
        lease = inbox.leases.take(ANN_)
        leases.extend([lease] if lease else [])
        return bool(leases)

    wait_until(taken, seconds=5, what="the end of a dead worker's lease")
    return leases[0]


def left(server: redis.Redis) -> list[bytes]:
    """Return every key in Redis but the queue of tasks."""
    return [key for key in server.scan_iter() if key != keys.QUEUE.encode()]


def test_texts_wait_in_the_order_of_their_arrival(inbox: Inbox) -> None:
    for body in ("one", "two", "three"):
        inbox.texts.accept(a_text(body))
    lease = inbox.leases.take(ANN_)
    assert lease is not None

    waiting = inbox.texts.waiting(lease, limit=10)

    assert [entry.text.body for entry in waiting if entry.text] == ["one", "two", "three"]
    assert lease.user_id == ANN


def test_a_text_that_already_waits_is_not_added_again(inbox: Inbox) -> None:
    text = a_text()
    assert inbox.texts.accept(text) is True
    assert inbox.texts.accept(text) is False
    lease = inbox.leases.take(ANN_)
    assert lease is not None

    assert len(inbox.texts.waiting(lease, limit=10)) == 1


def test_a_text_waits_in_its_own_conversation_until_it_is_removed(inbox: Inbox) -> None:
    text = a_text()
    inbox.texts.accept(text)
    lease = inbox.leases.take(ANN_)
    assert lease is not None

    assert inbox.texts.is_waiting(ANN, text.sid)
    assert not inbox.texts.is_waiting(ANN, a_text().sid)
    assert not inbox.texts.is_waiting(BEN, text.sid)
    inbox.texts.remove(lease, [entry.entry_id for entry in inbox.texts.waiting(lease, limit=10)])
    assert not inbox.texts.is_waiting(ANN, text.sid)


def test_no_one_serves_an_unknown_person(inbox: Inbox) -> None:
    assert inbox.leases.take(Who("stranger")) is None


def test_one_worker_serves_a_person_at_a_time_and_others_serve_others(inbox: Inbox) -> None:
    inbox.texts.accept(a_text(sender=ANN))
    inbox.texts.accept(a_text(sender=BEN))

    assert inbox.leases.take(ANN_) is not None
    assert inbox.leases.take(ANN_) is None
    assert inbox.leases.take(BEN_) is not None


def test_a_lease_ends_by_itself_unless_it_is_renewed(inbox: Inbox) -> None:
    inbox.texts.accept(a_text())
    dead = inbox.leases.take(ANN_)
    assert dead is not None
    assert inbox.leases.renew(dead)

    mine = next_lease(inbox)

    assert not inbox.leases.renew(dead)
    assert inbox.leases.renew(mine)


def test_a_worker_whose_lease_ended_removes_closes_and_parks_nothing(inbox: Inbox) -> None:
    inbox.texts.accept(a_text("precious"))
    dead = inbox.leases.take(ANN_)
    assert dead is not None
    entry = inbox.texts.waiting(dead, limit=1)[0]
    mine = next_lease(inbox)

    assert inbox.texts.remove(dead, [entry.entry_id]) is None
    assert inbox.leases.close(dead) is None
    inbox.leases.release_until(dead, due_ms=0)

    assert inbox.leases.renew(mine)
    assert len(inbox.texts.waiting(mine, limit=10)) == 1


def test_an_inbox_is_not_closed_over_a_waiting_text(inbox: Inbox) -> None:
    inbox.texts.accept(a_text())
    lease = inbox.leases.take(ANN_)
    assert lease is not None

    assert inbox.leases.close(lease) is False
    inbox.texts.remove(lease, [inbox.texts.waiting(lease, limit=1)[0].entry_id])
    assert inbox.leases.close(lease) is True
    next_visit = inbox.leases.take(ANN_)
    assert next_visit is not None
    assert not next_visit.after_death, "a visit that was closed did not fail"


def test_a_number_is_not_kept_when_its_person_has_not_texted_for_a_week(inbox: Inbox, server: redis.Redis) -> None:
    carl = "+15551230003"
    people = {user: payloads.who(user, b"memory") for user in (ANN, BEN, carl)}
    week = milliseconds(IDENTITY_KEPT)
    for user in people:
        inbox.texts.accept(a_text(sender=user))
    lease = inbox.leases.take(people[ANN])
    assert lease is not None
    inbox.texts.remove(lease, [entry.entry_id for entry in inbox.texts.waiting(lease, limit=9)])
    assert inbox.leases.close(lease)
    # Ben's last visit is as long ago, but another text waits; Carl was never served
    server.zadd(worker_keys.SERVED, {people[BEN]: inbox.clock.now_ms() - week - 1})

    inbox.people.forget_idle()
    assert [user for user, who in people.items() if inbox.people.user_id(who)] == [ANN, BEN, carl]

    server.zincrby(worker_keys.SERVED, -week - 1, people[ANN])
    inbox.people.forget_idle()
    assert [user for user, who in people.items() if inbox.people.user_id(who)] == [BEN, carl]


def test_a_number_that_an_earlier_release_left_is_not_kept_for_good(inbox: Inbox, server: redis.Redis) -> None:
    server.hset(keys.PEOPLE, mapping={f"{number:024x}": f"+1555{number:07}" for number in range(1200)})
    week = milliseconds(IDENTITY_KEPT)

    for _ in range(20):
        inbox.people.forget_idle()
    assert server.hlen(keys.PEOPLE) == server.zcard(worker_keys.SERVED) == 1200, "a week is not over"

    long_ago = {f"{number:024x}": inbox.clock.now_ms() - week - 1 for number in range(1200)}
    server.zadd(worker_keys.SERVED, long_ago)
    for _ in range(20):
        inbox.people.forget_idle()
    assert server.hlen(keys.PEOPLE) == server.zcard(worker_keys.SERVED) == 0


def test_only_the_texts_that_the_caller_knows_of_are_forgotten(inbox: Inbox, server: redis.Redis) -> None:
    old, new = a_text("old"), a_text("new")
    inbox.texts.accept(old)
    lease = inbox.leases.take(ANN_)
    assert lease is not None
    (known,) = inbox.texts.waiting(lease, limit=9)
    inbox.texts.accept(new)
    arrived = inbox.texts.waiting(lease, limit=9)[1].arrived_ms

    assert inbox.people.forget(ANN_, ANN, through=known.entry_id) == 2, "the text and the visit"
    inbox.leases.leave_duty(lease)

    assert inbox.texts.oldest_waiting_ms() == arrived
    assert server.zscore(keys.AGENDA, ANN_) is not None
    visit = inbox.leases.take(ANN_)
    assert visit is not None
    assert not visit.after_death
    assert [entry.text.body for entry in inbox.texts.waiting(visit, limit=9) if entry.text] == ["new"]
    assert inbox.people.forget(ANN_, ANN) > 0
    inbox.leases.leave_duty(visit)
    assert left(server) == []


def test_a_text_whose_person_is_not_known_is_forgotten_in_any_case(inbox: Inbox, server: redis.Redis) -> None:
    inbox.texts.accept(a_text())
    server.hdel(keys.PEOPLE, ANN_)

    inbox.people.forget(ANN_, ANN, through="0")

    assert left(server) == []


def test_a_waiting_text_that_is_brought_again_makes_its_person_known(inbox: Inbox, server: redis.Redis) -> None:
    text = a_text()
    inbox.texts.accept(text)
    server.hdel(keys.PEOPLE, ANN_)
    assert inbox.leases.take(ANN_) is None
    assert server.zscore(keys.AGENDA, ANN_) is not None, "the text waits still"

    assert inbox.texts.accept(replace(text, repaired=True)) is False

    lease = inbox.leases.take(ANN_)
    assert lease is not None
    assert len(inbox.texts.waiting(lease, limit=9)) == 1


def test_a_person_who_is_not_known_and_for_whom_no_text_waits_is_not_due(inbox: Inbox, server: redis.Redis) -> None:
    server.zadd(keys.AGENDA, {ANN_: 1})

    assert inbox.leases.take(ANN_) is None

    assert server.zscore(keys.AGENDA, ANN_) is None


def test_a_text_that_is_put_back_waits_in_the_conversation_in_which_it_stands(inbox: Inbox) -> None:
    pair = f"{ANN}/+15005550006"
    inbox.texts.accept(a_text(), user_id=pair)

    assert inbox.leases.take(ANN_) is None
    lease = inbox.leases.take(payloads.who(pair, b"memory"))
    assert lease is not None
    assert lease.user_id == pair


def test_a_text_that_arrives_while_a_worker_waits_ends_the_wait(inbox: Inbox) -> None:
    inbox.texts.accept(a_text("one"))
    lease = inbox.leases.take(ANN_)
    assert lease is not None
    last = inbox.texts.waiting(lease, limit=10)[-1].entry_id
    assert not inbox.texts.wait_for_more(lease, last, seconds=0.05)

    later = threading.Timer(0.1, lambda: inbox.texts.accept(a_text("two")))
    later.start()

    assert inbox.texts.wait_for_more(lease, last, seconds=5)
    later.join()


def test_a_parked_person_is_due_at_the_time_and_rung_for_once(inbox: Inbox) -> None:
    inbox.agenda.due(limit=10)
    inbox.texts.accept(a_text())
    lease = inbox.leases.take(ANN_)
    assert lease is not None
    inbox.leases.release_until(lease, due_ms=inbox.clock.now_ms() - 1)

    assert inbox.agenda.due(limit=10) == ([ANN_], False)
    assert inbox.agenda.due(limit=10) == ([], False)


def test_a_person_who_is_served_is_not_due(inbox: Inbox) -> None:
    inbox.texts.accept(a_text())
    lease = inbox.leases.take(ANN_)
    assert lease is not None
    inbox.leases.release_until(lease, due_ms=inbox.clock.now_ms() - 1)
    assert inbox.leases.take(ANN_) is not None

    assert inbox.agenda.due(limit=10)[0] == []


def test_tasks_are_pushed_together_and_counted_until_a_worker_takes_them(inbox: Inbox, server: redis.Redis) -> None:
    inbox.agenda.wake()
    assert inbox.agenda.queued() == 0
    people = [Who(f"person {number}") for number in range(3)]

    inbox.agenda.wake(*people)

    assert inbox.agenda.queued() == 3
    taken: Any = [json.loads(cast("bytes", server.rpop(keys.QUEUE))) for _ in people]
    assert [message["headers"]["argsrepr"] for message in taken] == [f"('{who}',)" for who in people]
    assert inbox.agenda.queued() == 0


def test_an_emptied_store_is_noticed_once(inbox: Inbox) -> None:
    assert inbox.agenda.due(limit=10)[1] is True
    assert inbox.agenda.due(limit=10)[1] is False


def test_the_oldest_waiting_text_is_known(inbox: Inbox) -> None:
    assert inbox.texts.oldest_waiting_ms() is None
    before = inbox.clock.now_ms()
    inbox.texts.accept(a_text())

    oldest = inbox.texts.oldest_waiting_ms()

    assert oldest is not None
    assert before <= oldest <= inbox.clock.now_ms()
    lease = inbox.leases.take(ANN_)
    assert lease is not None
    inbox.texts.remove(lease, [inbox.texts.waiting(lease, limit=1)[0].entry_id])
    assert inbox.texts.oldest_waiting_ms() is None


def test_a_visit_that_ended_well_leaves_no_sign_and_one_that_did_not_does(inbox: Inbox) -> None:
    inbox.texts.accept(a_text())
    first = inbox.leases.take(ANN_)
    assert first is not None
    assert not first.after_death
    inbox.leases.release_until(first, due_ms=0)
    second = inbox.leases.take(ANN_)
    assert second is not None
    assert not second.after_death

    third = next_lease(inbox)
    assert third.after_death
    inbox.leases.release_until(third, due_ms=0, failed=True)
    fourth = inbox.leases.take(ANN_)
    assert fourth is not None
    assert fourth.after_death


def test_those_who_are_served_do_not_hide_who_waits_behind_them(inbox: Inbox) -> None:
    people = [f"+1555000{number:04d}" for number in range(6)]
    for person in people:
        inbox.texts.accept(a_text(sender=person))
        lease = inbox.leases.take(payloads.who(person, b"memory"))
        assert lease is not None
        inbox.leases.release_until(lease, due_ms=inbox.clock.now_ms() - 1000 + people.index(person))
    served = [inbox.leases.take(payloads.who(person, b"memory")) for person in people[:4]]
    assert all(served)

    assert list(inbox.agenda.due(limit=2)[0]) == [payloads.who(person, b"memory") for person in people[4:]]


def test_a_text_that_is_brought_again_while_it_waits_is_counted(inbox: Inbox) -> None:
    text, other = a_text("hello"), a_text("other")
    inbox.texts.accept(text)
    inbox.texts.accept(other)
    for _ in range(3):
        assert inbox.texts.accept(text) is False
    inbox.texts.accept(replace(text, repaired=True))
    lease = inbox.leases.take(ANN_)
    assert lease is not None
    first, second = inbox.texts.waiting(lease, limit=5)

    assert inbox.texts.remove(lease, [first.entry_id]) == {text.sid: 3}
    assert inbox.texts.remove(lease, [second.entry_id]) == {}
    assert inbox.leases.close(lease) is True


def test_a_memory_is_asked_for_once_in_a_while(inbox: Inbox, server: redis.Redis) -> None:
    inbox.texts.accept(a_text())
    assert inbox.people.user_id(ANN_) == ANN
    assert inbox.people.user_id(Who("stranger")) is None

    inbox.agenda.request_memory(ANN_)
    inbox.agenda.request_memory(ANN_)
    inbox.agenda.request_memory(BEN_)

    tasks = server.lrange(keys.QUEUE, 0, -1)
    assert sum(payloads.REMEMBER_TASK.encode() in task for task in tasks) == 2


def test_a_person_is_rung_for_once_until_a_person_hears_it(inbox: Inbox, server: redis.Redis) -> None:
    def tasks() -> int:
        return int(server.llen(keys.QUEUE))

    for body in ("one", "two", "three"):
        inbox.texts.accept(a_text(body))
    assert tasks() == 1
    inbox.texts.accept(a_text(sender=BEN))
    assert tasks() == 2

    assert inbox.leases.take(ANN_) is not None
    inbox.texts.accept(a_text("four"))
    assert tasks() == 3
    # a second worker takes the wake-up task while the first still serves
    assert inbox.leases.take(ANN_) is None
    inbox.texts.accept(a_text("five"))
    assert tasks() == 4


def test_a_duty_is_one_workers_at_a_time(inbox: Inbox) -> None:
    mine = inbox.leases.take_duty("reconcile")
    assert mine is not None
    assert inbox.leases.take_duty("reconcile") is None
    assert inbox.leases.take_duty("something else") is not None
    assert inbox.leases.renew(mine)

    inbox.leases.leave_duty(mine)

    anothers = inbox.leases.take_duty("reconcile")
    assert anothers is not None
    inbox.leases.leave_duty(mine)
    assert not inbox.leases.renew(mine)
    assert inbox.leases.take_duty("reconcile") is None


def test_the_duty_of_a_dead_worker_ends_by_itself(inbox: Inbox) -> None:
    inbox.leases.take_duty("reconcile")

    wait_until(lambda: inbox.leases.take_duty("reconcile"), seconds=5, what="the end of a dead worker's duty")


def test_a_redis_that_is_emptied_before_its_reports_are_read_has_none(redis_client: redis.Redis) -> None:
    """Only a real server answers as it does: the group of readers is gone."""

    class Emptied(redis.Redis):
        def xreadgroup(self, *args: Any, **options: Any) -> Any:
            self.flushall()
            return super().xreadgroup(*args, **options)

    reports = RedisReports(Emptied(connection_pool=redis_client.connection_pool))

    assert reports.read(limit=10) == []
