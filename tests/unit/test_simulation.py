"""Calculations of the benchmarks: the simulation, a profile's parts, write units, and reply order."""

from __future__ import annotations

import statistics

import pytest

from benchmarks import growth, parts, scale
from benchmarks.simulate import Fleet, Measured, after_a_broadcast, simulate, steadily

MEASURED = Measured(
    acknowledged=1_000,
    worker_cpu=0.01,
    redis_accept=0.0001,
    redis_turn=0.0005,
    write_units=60,
    index_writes=6,
)


def latencies(rate: float, seconds: float, fleet: Fleet) -> list[float]:
    return [took for _, took in simulate(steadily(rate, seconds), fleet, MEASURED)]


def test_where_nothing_is_full_a_reply_takes_as_long_as_the_model() -> None:
    took = latencies(5, 200, Fleet(thinks=2.0))

    assert statistics.median(took) == pytest.approx(2.0, rel=0.1)
    assert max(took) < 10


def test_a_number_that_sends_too_slowly_makes_all_wait_longer_and_longer() -> None:
    took = latencies(2, 100, Fleet(segments=1.0))

    assert took[-1] > 80
    assert took[len(took) // 2] == pytest.approx(took[-1] / 2, rel=0.3)


def test_so_many_conversations_at_once_are_so_many_replies_a_model_s_time() -> None:
    replies = simulate(steadily(100, 60), Fleet(workers=1, conversations=8, thinks=2.0, segments=1e6), MEASURED)
    ends = [came + took for came, took in replies]

    # eight at once, each for the mean of the lognormal: 2 s * exp(0.4**2 / 2)
    assert len(ends) / max(ends) == pytest.approx(8 / 2.166, rel=0.05)


def test_workers_that_die_lose_no_one_and_delay_whom_they_held_by_a_lease() -> None:
    fleet = Fleet(workers=4, lost_at=50, back_after=30)
    well = simulate(steadily(20, 100), Fleet(workers=4), MEASURED)
    hurt = simulate(steadily(20, 100), fleet, MEASURED)

    assert [came for came, _ in hurt] == [came for came, _ in well]
    assert max(took for _, took in well) < 15
    delayed = [came for came, took in hurt if took > 20]
    assert delayed
    assert all(40 < came < 51 for came in delayed)


def test_the_same_seed_says_the_same() -> None:
    first, second = (list(after_a_broadcast(1_000, 0.5, 60)) for _ in range(2))

    assert first == second
    assert len(first) == 500


@pytest.mark.parametrize(
    ("stack", "part"),
    [
        (("answer (worker/tasks.py:26);serve (worker/turn.py:9);"
          "ask (conversation/dynamodb.py:1);urlopen (urllib3/x.py:3)"), parts.DYNAMODB),
        ("answer (benchmarks/plain/tasks.py:60);_api_call (botocore/client.py:606);send (http/client.py:1)",
         parts.DYNAMODB),
        ("serve (worker/turn.py:9);send (sms/twilio.py:136);send (requests/sessions.py:784)", parts.TWILIO),
        ("_say (cat/engines/openai.py:65);post (openai/_base_client.py:1);loads (json/__init__.py:1)", parts.MODEL),
        ("trace_task (celery/app/trace.py:564);answer (worker/tasks.py:26);serve (worker/turn.py:9)", parts.OURS),
        ("run (threading.py:982);ack (kombu/message.py:126);execute (redis/client.py:2233)", parts.CELERY),
    ],
)  # fmt: skip
def test_a_sample_belongs_to_the_innermost_part_that_it_stands_in(stack: str, part: str) -> None:
    assert parts.part_of(stack) == part
    assert parts.shares([f"{stack} 3", "other (celery/a.py:1) 1"])[part] >= 0.75


def test_an_item_costs_a_unit_for_each_kilobyte_names_included() -> None:
    assert growth.units({"name": "x" * 1020}) == 1
    assert growth.units({"name": "x" * 1021}) == 2
    assert growth.units({"log": [{"at": "x" * 1000}]}) == 1


def test_a_reply_that_comes_after_one_to_a_later_text_is_out_of_order() -> None:
    sent = [("+1", "1", 0.1), ("+2", "9", 0.2), ("+1", "3", 0.3), ("+1", "2", 0.4), ("+2", "10", 0.5)]

    assert scale._swapped(sent) == 1
    assert scale._swapped(sent[:3]) == 0
