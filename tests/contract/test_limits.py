"""The limits on Redis: a token is taken once under concurrency, and a verdict never changes."""

from __future__ import annotations

import itertools
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import redis

from inbox import worker_keys
from inbox.payloads import Who
from inbox.ports import Limits, Rate
from inbox.rates import RedisLimits
from tests.builders import NOW_MS

ANN = Who("ann")


@pytest.fixture
def limits(server: redis.Redis) -> Limits:
    return RedisLimits(server, verdict_kept=timedelta(hours=6))


def rate(most: int, *, key: str = "k", name: str = "texts", hours: float = 1) -> Rate:
    return Rate(name=name, key=key, most=most, per=timedelta(hours=hours))


def test_a_bucket_holds_so_many_and_no_more(limits: Limits) -> None:
    assert [limits.exceeded(f"SM{n}", [rate(3)], at_ms=NOW_MS) for n in range(5)] == ["", "", "", "texts", "texts"]


def test_a_verdict_stays_and_costs_nothing_a_second_time(limits: Limits) -> None:
    for _ in range(5):
        assert limits.exceeded("SM1", [rate(1)], at_ms=NOW_MS) == ""
    for _ in range(2):
        assert limits.exceeded("SM2", [rate(1)], at_ms=NOW_MS) == "texts"


def test_where_one_bucket_is_empty_none_is_touched(limits: Limits) -> None:
    small, large = rate(1, key="small", name="small"), rate(2, key="large", name="large")
    assert limits.exceeded("SM1", [small, large], at_ms=NOW_MS) == ""
    assert [limits.exceeded(f"SM2{n}", [large, small], at_ms=NOW_MS) for n in range(5)] == ["small"] * 5

    assert limits.exceeded("SM3", [large], at_ms=NOW_MS) == ""
    assert limits.exceeded("SM4", [large], at_ms=NOW_MS) == "large"


def test_a_bucket_fills_up_by_the_time_at_which_things_happened(limits: Limits) -> None:
    hour = 3_600_000
    verdicts = [limits.exceeded(f"SM{n}", [rate(2)], at_ms=NOW_MS + n * hour // 2) for n in range(6)]
    assert verdicts == [""] * 6, "one every half hour is two an hour, however late they are looked at"

    # an event earlier than the last one adds no tokens
    assert limits.exceeded("SMa", [rate(2)], at_ms=NOW_MS) == ""
    assert limits.exceeded("SMb", [rate(2)], at_ms=NOW_MS + hour) == "texts"
    assert limits.exceeded("SMc", [rate(2)], at_ms=NOW_MS + 3 * hour) == ""


def test_texts_that_waited_for_long_are_limited_by_the_time_of_their_arrival(
    limits: Limits, server: redis.Redis
) -> None:
    in_a_minute = rate(1, hours=1 / 60)
    assert limits.exceeded("SM1", [in_a_minute], at_ms=NOW_MS) == ""

    # Redis would drop a bucket that is full again; a text that arrived in that minute may be looked at much later
    assert server.pttl(server.keys("*k")[0]) > 10 * 60_000
    assert limits.exceeded("SM2", [in_a_minute], at_ms=NOW_MS + 1_000) == "texts"


def test_the_one_that_asks_at_the_same_time_no_bucket_is_emptied_twice(limits: Limits) -> None:
    with ThreadPoolExecutor(8) as pool:
        passed = list(pool.map(lambda n: limits.exceeded(f"SM{n}", [rate(50)], at_ms=NOW_MS) == "", range(200)))

    assert sum(passed) == 50


def test_a_queue_moves_on_by_itself(limits: Limits) -> None:
    waits = [limits.pace("+1", takes_ms=1500, ahead_ms=1000, most_ms=2500) for _ in range(4)]

    # each place takes 1.5 s, and the queue may run 1 s ahead
    assert waits[0] == 0
    assert 300 < waits[1] <= 500
    assert 1700 < waits[2] <= 2000
    # a caller that does not accept the wait takes no place
    assert -3500 <= waits[3] < -3000
    assert limits.pace("+1", takes_ms=1500, ahead_ms=1000, most_ms=4000) > 3000
    assert limits.pace("+2", takes_ms=1500, ahead_ms=1000, most_ms=0) == 0


def test_any_window_holds_so_many_events_and_no_more(limits: Limits) -> None:
    span = timedelta(milliseconds=400)

    def places(most: int, needed: int = 2, key: str = "k") -> int:
        return limits.window(key, needed=needed, most=most, per=span)

    begun, taken = time.monotonic(), list[float]()
    while time.monotonic() - begun < 1:
        wait = places(5)
        if wait:
            assert wait <= 400
            time.sleep(0.02)
        else:
            taken.append(time.monotonic())

    # a place is taken a moment before it is noted here, and Redis rounds its clock down
    gaps = [later - earlier for earlier, later in itertools.pairwise(taken[::2])]
    assert len(taken) in {4, 5, 6}, taken
    assert all(gap > 0.35 for gap in gaps), taken
    assert places(9, key="another") == 0


def test_a_window_gives_more_places_than_it_has_once_it_is_empty(limits: Limits) -> None:
    hour = timedelta(hours=1)
    assert limits.window("k", needed=7, most=5, per=hour) == 0
    assert 3_590_000 < limits.window("k", needed=1, most=5, per=hour) <= 3_600_000
    assert limits.window("l", needed=1, most=5, per=hour) == 0
    assert limits.window("l", needed=7, most=5, per=hour) > 0


def test_a_verdict_lasts_as_long_as_its_text_may_be_answered(server: redis.Redis) -> None:
    limits = RedisLimits(server, verdict_kept=timedelta(hours=12))

    limits.exceeded("SM1", [rate(1)], at_ms=NOW_MS)

    assert 43_000_000 < server.pttl(worker_keys.verdict("SM1")) <= 43_200_000


def test_a_streak_grows_shrinks_and_counts_each_text_once(limits: Limits) -> None:
    assert [limits.streak(ANN, sid, step) for sid, step in (("a", 1), ("a", 1), ("b", 1), ("c", 0), ("d", 1))] == [
        1, 1, 2, 2, 3,
    ]  # fmt: skip
    assert [limits.streak(ANN, f"x{n}", -1) for n in range(5)] == [2, 1, 0, 0, 0]
    assert limits.streak(Who("ben"), "e", 1) == 1


def test_the_one_that_counts_the_same_texts_again_counts_nothing(limits: Limits) -> None:
    # a worker died while it handled several texts, and its successor handles them again
    assert [limits.streak(ANN, sid, 1) for sid in ("a", "b", "a", "b", "c")] == [1, 2, 1, 2, 3]
