"""The figures of a whole installation, as every process shows them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import redis

from inbox import server, worker_keys
from inbox.budget import Ask, Caps
from inbox.figures import Figures, RedisFigures
from inbox.payloads import Who
from inbox.ports import Place, Stop
from inbox.server import Server
from journal.audit import FORGOTTEN, Finding
from operations.audit import Audit, note
from runtime.isolation import BadItem
from runtime.metrics import REGISTRY
from sms.ports import Scope
from tests.builders import ANN, BEN, OUR_NUMBER, a_text, refused
from tests.room import Room
from worker import figures, metrics, telemetry


@pytest.fixture
def room() -> Room:
    return Room()


@pytest.fixture(autouse=True)
def shown_before() -> Iterator[None]:
    """Leave no figure of a test in the registry of this process."""
    yield
    figures.show(Figures())


def sample(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(name, labels)


def test_what_waits_is_counted(room: Room) -> None:
    for sender, body in ((ANN, "one"), (ANN, "two"), (BEN, "three")):
        room.inbox.texts.accept(a_text(body, sender=sender))
    room.ms += 7_000

    read = RedisFigures(room.redis).read()

    assert (read.people, read.texts, read.due, read.tasks, read.reports) == (2, 3, 2, 2, 0), "one task a person"
    assert read.oldest_waiting_seconds == pytest.approx(7.0, abs=0.1)
    figures.show(read)
    assert sample("dadacat_waiting_people") == 2
    assert sample("dadacat_waiting_texts") == 3
    assert sample("dadacat_wake_up_tasks") == 2


def test_an_open_circuit_is_shown_by_its_scope(room: Room) -> None:
    place = Place(Scope.SENDER, OUR_NUMBER)
    room.circuit.open(Stop(place=place, who=Who("a"), reason="no"))

    figures.show(RedisFigures(room.redis).read())

    assert sample("dadacat_stopped", scope="sender") == 1
    assert sample("dadacat_stopped", scope="account") == 0


def test_what_was_spent_is_shown_beside_the_budget() -> None:
    room = Room(models=Caps(day=5_000_000))
    assert room.quota is not None
    room.redis.set(worker_keys.BUDGET_EPOCH, "counted")
    room.quota.reserve(Ask(who=Who("a"), turn="SM1", model=1_250_000, sms=0, last_line=0), now=room.now())
    metrics.begin_budget("model", Caps(day=5_000_000))

    figures.show(RedisFigures(room.redis).read())

    assert sample("dadacat_spent_dollars", kind="model", period="day") == 1.25
    assert sample("dadacat_budget_dollars", kind="model", period="day") == 5
    assert sample("dadacat_budget_dollars", kind="model", period="month") is None


def test_what_was_spent_yesterday_is_not_shown_today() -> None:
    figures.show(Figures(spent={("day", "model"): 9_500_000, ("month", "model"): 9_500_000}))
    assert sample("dadacat_spent_dollars", kind="model", period="day") == 9.5

    # Redis has no hash of the day that has just begun
    figures.show(Figures(spent={("month", "model"): 9_500_000}))

    assert sample("dadacat_spent_dollars", kind="model", period="day") == 0
    assert sample("dadacat_spent_dollars", kind="model", period="month") == 9.5


def test_what_was_noted_before_redis_was_emptied_is_not_shown_after() -> None:
    figures.show(Figures(noted={"held": 3}))

    figures.show(Figures())

    assert sample("dadacat_held_parts") == 0


def test_what_waits_for_an_operator_is_counted_in_the_journal_by_one_worker_at_a_time(room: Room) -> None:
    noted = RedisFigures(room.redis)
    room.store.set_aside.add(BadItem(kind="row", name="in#SM9", error="bad"), now=room.now())

    figures.count_journal(room.store, room.inbox.leases, noted)
    assert noted.read().noted == {"held": 0, "dead": 0, "set_aside": 1}

    room.texts("hello")
    room.sender.answers.append(refused(21211))
    room.serve()
    figures.count_journal(room.store, room.inbox.leases, noted)
    assert noted.read().noted["dead"] == 0, "another worker has just counted"

    room.ms += 31_000
    figures.count_journal(room.store, room.inbox.leases, noted)
    figures.show(noted.read())
    assert sample("dadacat_dead_letters") == 1
    assert sample("dadacat_set_aside_items") == 1
    assert sample("dadacat_held_parts") == 0


def test_the_result_of_an_audit_is_shown_until_the_next(room: Room) -> None:
    noted, at = RedisFigures(room.redis), datetime(2026, 11, 30, tzinfo=UTC)
    offence = Finding(user_id=ANN, kind=FORGOTTEN, stop="SM1")

    note(Audit(stopped=3, findings=[offence]), noted, now=at)
    figures.show(noted.read())
    assert sample("dadacat_sent_after_stop") == 1
    assert sample("dadacat_audit_timestamp_seconds") == at.timestamp()

    note(Audit(stopped=3, findings=[]), noted, now=at + timedelta(days=1))
    figures.show(noted.read())
    assert sample("dadacat_sent_after_stop") == 0


def test_redis_says_how_it_is(redis_client: redis.Redis) -> None:
    read = RedisFigures(redis_client).read().server
    assert read.appends is True
    assert read.used_bytes is not None
    assert read.used_bytes > 100_000
    assert server.read(redis_client).version == read.version

    redis_client.config_set("appendonly", "no")
    try:
        assert RedisFigures(redis_client).read().server.appends is False
    finally:
        redis_client.config_set("appendonly", "yes")


def test_a_redis_that_cannot_write_its_file_keeps_none() -> None:
    assert server.told({"aof_enabled": 1, "aof_last_write_status": "err"}).appends is False


def test_a_redis_that_hides_how_it_is_raises_no_alarm(redis_client: redis.Redis) -> None:
    redis_client.acl_setuser(
        "shy", enabled=True, passwords=["+secret"], keys=["*"], categories=["+@all"], commands=["-info"]
    )
    try:
        shy = redis.Redis.from_url(f"redis://shy:secret@127.0.0.1:{redis_client.get_connection_kwargs()['port']}")
        read = RedisFigures(shy).read()
        assert server.read(shy) == Server()
        shy.close()
    finally:
        redis_client.acl_deluser("shy")

    assert read.server == Server()
    figures.show(read)
    assert math.isnan(sample("dadacat_redis_appendonly") or 0)


def test_a_figure_of_a_later_release_is_ignored(room: Room) -> None:
    RedisFigures(room.redis).note(held=2, unheard_of=1)

    figures.show(RedisFigures(room.redis).read())

    assert sample("dadacat_held_parts") == 2


def test_a_reply_counts_its_time_its_cost_and_the_end_of_its_visit(room: Room) -> None:
    names = ("dadacat_reply_seconds_count", "dadacat_message_cost_dollars_total")
    before = [sample(name) or 0 for name in names]
    room.texts("hello")
    room.later(seconds=2)

    room.serve()

    assert [sample(name) or 0 for name in names] == [before[0] + 1, pytest.approx(before[1] + 0.01)]
    assert {"outcome": "done"} in [event.labels for event in room.telemetry.events if event.metric is metrics.VISITS]


def test_what_the_budget_does_not_pay_and_an_engine_that_is_silent_are_counted() -> None:
    refusals = {"kind": "sms"}
    before = sample("dadacat_budget_refusals_total", **refusals) or 0
    room = Room(messages=Caps(day=1))
    room.redis.set(worker_keys.BUDGET_EPOCH, "counted")
    room.texts("hello")

    room.serve()
    assert sample("dadacat_budget_refusals_total", **refusals) == before + 1

    telemetry.count_silence(["openai:x: no answer in 3.0 s", f"{telemetry.ALL_ENGINES}: over the budget"])
    assert sample("dadacat_engine_failures_total", engine="openai:x") == 1
    assert (sample("dadacat_budget_refusals_total", kind="model") or 0) >= 1
