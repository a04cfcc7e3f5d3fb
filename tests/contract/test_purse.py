"""What every purse promises: no cap is passed, whoever asks at the same time, and what was lost is counted again."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import redis

from inbox.contract import Who
from inbox.memory import InMemoryPurse
from inbox.money import Ask, Caps, Grant, Leave, Spent
from inbox.purse import RedisPurse
from tests.builders import NOW

Purse = InMemoryPurse | RedisPurse
Purses = Callable[[Caps, Caps], Purse]
ANN_, BEN_ = Who("ann"), Who("ben")
NONE = Caps()


def ask(turn: str = "SM1", *, who: Who = ANN_, model: int = 0, sms: int = 100, last_line: int = 100) -> Ask:
    return Ask(who=who, turn=turn, model=model, sms=sms, last_line=last_line)


def counted(purse: Purse) -> Purse:
    assert purse.refill([], now=NOW)
    return purse


def granted(purse: Purse, asked: Ask) -> Grant:
    grant = purse.reserve(asked, now=NOW)
    assert grant is not None
    return grant


def test_nothing_is_granted_before_it_was_counted_what_is_spent(purses: Purses) -> None:
    purse = purses(NONE, NONE)

    assert purse.reserve(ask(), now=NOW) is None
    assert purse.refill([], now=NOW)
    assert not purse.refill([Spent(who=ANN_, at=NOW, sms=1000)], now=NOW)
    assert granted(purse, ask()).leave is Leave.GO


@pytest.mark.parametrize("caps", [Caps(person=250), Caps(day=250), Caps(month=250)])
def test_each_cap_holds(purses: Purses, caps: Caps) -> None:
    purse = counted(purses(NONE, caps))

    leaves = [granted(purse, ask(f"SM{number}")).leave for number in range(4)]

    assert leaves == [Leave.GO, Leave.GO, Leave.LAST_LINE, Leave.SILENCE]


def test_the_cap_of_one_person_is_not_anothers(purses: Purses) -> None:
    purse = counted(purses(NONE, Caps(person=100)))

    assert granted(purse, ask("SM1")).leave is Leave.GO
    assert granted(purse, ask("SM2")).leave is Leave.LAST_LINE
    assert granted(purse, ask("SM3", who=BEN_)).leave is Leave.GO


def test_without_money_for_models_messages_go_on(purses: Purses) -> None:
    purse = counted(purses(Caps(day=50), NONE))

    first, second = granted(purse, ask("SM1", model=40)), granted(purse, ask("SM2", model=40))

    assert (first.leave, first.model) == (Leave.GO, 40)
    assert (second.leave, second.model) == (Leave.GO, 0)


def test_what_was_not_spent_is_there_for_the_next(purses: Purses) -> None:
    purse = counted(purses(Caps(day=50), NONE))
    first = granted(purse, ask("SM1", model=40))

    purse.settle(first, model=5, sms=100)

    assert granted(purse, ask("SM2", model=40)).model == 40


def test_who_asks_again_for_his_last_line_gets_it_again(purses: Purses) -> None:
    purse = counted(purses(NONE, Caps(person=0)))

    assert granted(purse, ask("SM1")).leave is Leave.LAST_LINE
    assert granted(purse, ask("SM1")).leave is Leave.LAST_LINE
    assert granted(purse, ask("SM2")).leave is Leave.SILENCE


def test_a_cap_of_all_people_is_passed_by_one_last_line_at_most(purses: Purses) -> None:
    purse = counted(purses(NONE, Caps(day=0)))

    leaves = [granted(purse, ask(f"SM{number}", who=Who(f"w{number}"))).leave for number in range(5)]

    assert leaves == [Leave.LAST_LINE, *[Leave.SILENCE] * 4]


def test_last_lines_are_said_while_there_is_room_for_them(purses: Purses) -> None:
    purse = counted(purses(NONE, Caps(day=250)))

    leaves = [granted(purse, ask(f"SM{n}", who=Who(f"w{n}"), sms=300, last_line=100)).leave for n in range(5)]

    assert leaves == [Leave.LAST_LINE] * 3 + [Leave.SILENCE] * 2


def test_in_danger_one_is_answered_once_a_day(purses: Purses) -> None:
    purse = counted(purses(NONE, Caps(day=0)))

    def urgent(turn: str) -> Leave:
        return granted(purse, Ask(who=ANN_, turn=turn, model=9, sms=100, last_line=100, urgent=True)).leave

    assert [urgent("SM1"), urgent("SM1"), urgent("SM2"), urgent("SM3")] == [
        Leave.GO,
        Leave.GO,
        Leave.LAST_LINE,
        Leave.SILENCE,
    ]


def test_what_was_spent_today_and_this_month_is_counted_again(purses: Purses) -> None:
    today, earlier = NOW - timedelta(minutes=5), NOW - timedelta(days=3)
    spent = [
        Spent(who=ANN_, at=today, sms=60),
        Spent(who=BEN_, at=earlier, sms=500),
        Spent(who=BEN_, at=NOW - timedelta(days=40), sms=10**9),
        Spent(who=BEN_, at=today, sms=0, last_line="SM9"),
    ]
    purse = purses(NONE, Caps(person=100, day=200, month=700))
    purse.refill(spent, now=NOW)

    assert granted(purse, ask("SM1", sms=50, last_line=50)).leave is Leave.LAST_LINE
    assert granted(purse, ask("SM2", who=BEN_, sms=100, last_line=100)).leave is Leave.SILENCE
    assert granted(purse, ask("SM3", who=Who("c"), sms=80, last_line=80)).leave is Leave.GO


def test_what_was_set_aside_before_redis_was_emptied_is_not_given_back_after(purses: Purses, redis_url: str) -> None:
    purse = counted(purses(NONE, Caps(day=300)))
    grant = granted(purse, ask("SM1", sms=300))
    if isinstance(purse, RedisPurse):
        with redis.Redis.from_url(redis_url) as client:
            client.flushall()
    else:
        purse.empty()
    purse.refill([Spent(who=ANN_, at=NOW, sms=300)], now=NOW)

    purse.settle(grant, model=0, sms=0)

    assert granted(purse, ask("SM2", sms=1, last_line=1)).leave is Leave.LAST_LINE


def test_whoever_asks_at_the_same_time_the_cap_holds(purses: Purses) -> None:
    cap, price = 1_000, 30
    purse = counted(purses(Caps(day=cap), NONE))

    def work(number: int) -> int:
        grant = granted(purse, ask(f"SM{number}", who=Who(f"w{number % 7}"), model=price))
        # a reply costs less than was set aside for it, and what it cost is noted
        spent = 11 if grant.model else 0
        purse.settle(grant, model=spent, sms=grant.sms)
        return spent

    with ThreadPoolExecutor(8) as pool:
        spent = sum(pool.map(work, range(400)))

    assert cap - price < spent <= cap


def test_what_was_spent_uncounted_is_counted_before_anything_is_granted(purses: Purses) -> None:
    purse = counted(purses(NONE, Caps(day=100)))
    if isinstance(purse, InMemoryPurse):
        purse.empty()
    else:
        purse.forget()

    assert purse.reserve(ask(), now=NOW) is None
    purse.refill([Spent(who=BEN_, at=NOW, sms=100)], now=NOW)
    assert granted(purse, ask()).leave is Leave.LAST_LINE
