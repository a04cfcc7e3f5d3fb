"""The budget on Redis: no cap is exceeded under concurrency, and lost totals are recounted."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import redis

from inbox import worker_keys
from inbox.budget import Ask, BudgetVerdict, Caps, Grant, Spent, day_of
from inbox.payloads import Who
from inbox.people import RedisPeople
from inbox.redis_budget import RedisQuota
from tests.builders import NOW
from tests.conftest import wait_until

#: Makes a budget with these caps for models and for messages, before anything was counted.
Quotas = Callable[[Caps, Caps], RedisQuota]
ANN_, BEN_ = Who("ann"), Who("ben")
NONE = Caps()


@pytest.fixture
def quotas(server: redis.Redis) -> Quotas:
    return lambda models, messages: RedisQuota(server, models=models, messages=messages)


def ask(turn: str = "SM1", *, who: Who = ANN_, model: int = 0, sms: int = 100, last_line: int = 100) -> Ask:
    return Ask(who=who, turn=turn, model=model, sms=sms, last_line=last_line)


def counted(quota: RedisQuota, *spent: Spent) -> RedisQuota:
    progress = quota.begin_count("me", now=NOW)
    assert progress is not None
    assert quota.add_page(progress, spent, cursor=None)
    return quota


def granted(quota: RedisQuota, asked: Ask) -> Grant:
    grant = quota.reserve(asked, now=NOW)
    assert grant is not None
    return grant


def test_nothing_is_granted_before_it_was_counted_what_is_spent(quotas: Quotas) -> None:
    quota = quotas(NONE, Caps(day=10**6))

    assert quota.reserve(ask(), now=NOW) is None
    assert quota.reserve(replace(ask(), at_once=True), now=NOW) is None
    counted(quota)
    assert quota.begin_count("another", now=NOW) is None
    assert granted(quota, ask()).verdict is BudgetVerdict.GO


def test_while_it_is_counted_messages_without_a_cap_go_on_without_a_model(quotas: Quotas) -> None:
    quota = quotas(Caps(day=1000), NONE)
    progress = quota.begin_count("me", now=NOW)
    assert progress is not None

    assert quota.reserve(ask(model=40), now=NOW) is None
    meanwhile = quota.reserve(replace(ask(model=40), at_once=True), now=NOW)

    assert meanwhile is not None
    assert (meanwhile.verdict, meanwhile.model, meanwhile.counting) == (BudgetVerdict.GO, 0, True)
    quota.add_page(progress, [Spent(who=BEN_, at=NOW, model=970)], cursor=None)
    assert (granted(quota, ask(model=40)).model, granted(quota, ask(model=30)).model) == (0, 30)


def test_while_it_is_counted_a_person_in_danger_is_answered(quotas: Quotas) -> None:
    quota = quotas(NONE, Caps(person=100, day=100))
    progress = quota.begin_count("me", now=NOW)
    assert progress is not None
    danger = replace(ask(), urgent="danger:SM1", at_once=True)

    first = quota.reserve(danger, now=NOW)
    second = quota.reserve(replace(danger, turn="SM2"), now=NOW)

    assert first is not None
    assert first.verdict is BudgetVerdict.BEYOND
    assert second is None
    # its cost is in the totals once the recount is complete
    quota.settle(first, model=0, sms=90)
    quota.add_page(progress, [], cursor=None)
    assert granted(quota, ask("SM3", who=BEN_, sms=11, last_line=11)).verdict is BudgetVerdict.LAST_LINE


def test_forgetting_a_person_verdicts_none_of_the_persons_fields(server: redis.Redis, quotas: Quotas) -> None:
    caps = Caps(person=100, day=100)
    quota = counted(quotas(caps, caps))
    for who in (ANN_, BEN_):
        granted(quota, ask("SM1", who=who, model=10))
        granted(quota, replace(ask("SM2", who=who), urgent="danger:SM2"))
        granted(quota, replace(ask("SM3", who=who), urgent="help"))
        granted(quota, ask("SM4", who=who))

    RedisPeople(server).forget(ANN_, "+15551230001")

    names: list[Any] = [name for day in server.scan_iter(worker_keys.spent_on("*")) for name in server.hkeys(day)]
    fields = [name.decode() for name in names]
    assert [field for field in fields if ANN_ in field] == []
    assert {field for field in fields if BEN_ in field} >= {"urgent:danger:SM2:ben", "urgent:help:ben"}


def test_a_count_goes_on_where_another_stopped(quotas: Quotas) -> None:
    quota = quotas(NONE, Caps(person=100))
    progress = quota.begin_count("me", now=NOW)
    assert progress is not None
    assert quota.add_page(progress, [Spent(who=ANN_, at=NOW, sms=60)], cursor="page 2", over=True)

    # a page that was added is not added again by any process
    assert not quota.add_page(progress, [Spent(who=ANN_, at=NOW, sms=60)], cursor="page 2")
    went_on = quota.begin_count("another", now=NOW)
    assert went_on == replace(progress, counter="another", cursor="page 2")
    assert quota.begin_count("me", now=NOW) is None, "two processes count at once"
    assert quota.add_page(went_on, [Spent(who=ANN_, at=NOW, sms=30)], cursor=None)

    assert granted(quota, ask("SM1", sms=10)).verdict is BudgetVerdict.GO
    assert granted(quota, ask("SM2", sms=1, last_line=1)).verdict is BudgetVerdict.LAST_LINE


def test_who_counts_and_dies_is_followed_by_another(quotas: Quotas, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inbox.redis_budget.COUNTER_LIVES", timedelta(milliseconds=50))
    quota = quotas(NONE, Caps(person=100))
    assert quota.begin_count("me", now=NOW) is not None
    assert quota.begin_count("another", now=NOW) is None

    wait_until(lambda: quota.begin_count("another", now=NOW) is not None, what="another's turn")


@pytest.mark.parametrize("caps", [Caps(person=250), Caps(day=250), Caps(month=250)])
def test_each_cap_holds(quotas: Quotas, caps: Caps) -> None:
    quota = counted(quotas(NONE, caps))

    verdicts = [granted(quota, ask(f"SM{number}")).verdict for number in range(4)]

    assert verdicts == [BudgetVerdict.GO, BudgetVerdict.GO, BudgetVerdict.LAST_LINE, BudgetVerdict.SILENCE]


def test_the_cap_of_one_person_is_not_anothers(quotas: Quotas) -> None:
    quota = counted(quotas(NONE, Caps(person=100)))

    assert granted(quota, ask("SM1")).verdict is BudgetVerdict.GO
    assert granted(quota, ask("SM2")).verdict is BudgetVerdict.LAST_LINE
    assert granted(quota, ask("SM3", who=BEN_)).verdict is BudgetVerdict.GO


def test_without_money_for_models_messages_go_on(quotas: Quotas) -> None:
    quota = counted(quotas(Caps(day=50), NONE))

    first, second = granted(quota, ask("SM1", model=40)), granted(quota, ask("SM2", model=40))

    assert (first.verdict, first.model) == (BudgetVerdict.GO, 40)
    assert (second.verdict, second.model) == (BudgetVerdict.GO, 0)


def test_a_turn_that_is_asked_for_again_takes_over_its_messages_and_not_the_models(quotas: Quotas) -> None:
    quota = counted(quotas(Caps(person=100), Caps(person=250)))
    first = granted(quota, ask("SM1", model=40))

    again = granted(quota, ask("SM1", model=40))

    assert (again.model, again.sms) == (40, 100)
    assert granted(quota, ask("SM1", model=40)).model == 0, "what the first two set aside for models may be spent"
    assert granted(quota, ask("SM2")).verdict is BudgetVerdict.GO, "one turn took two places"
    # the first of the three is late: it paid the model, and sends nothing
    quota.settle(first, model=10, sms=None)
    assert granted(quota, ask("SM3", sms=50)).verdict is BudgetVerdict.GO
    assert granted(quota, ask("SM4", sms=1, last_line=1)).verdict is BudgetVerdict.LAST_LINE
    quota.settle(again, model=10, sms=20)
    assert granted(quota, ask("SM5", model=80, sms=79)).model == 80
    assert granted(quota, ask("SM6", sms=1)).verdict is BudgetVerdict.SILENCE


def test_a_turn_that_needs_more_than_before_takes_the_difference(quotas: Quotas) -> None:
    quota = counted(quotas(NONE, Caps(person=250)))
    granted(quota, ask("SM1", sms=100))

    grant = granted(quota, ask("SM1", sms=200))
    assert granted(quota, ask("SM2", sms=50)).verdict is BudgetVerdict.GO
    quota.settle(grant, model=0, sms=30)

    assert granted(quota, ask("SM3", sms=170)).verdict is BudgetVerdict.GO
    assert granted(quota, ask("SM4", sms=1, last_line=1)).verdict is BudgetVerdict.LAST_LINE


def test_a_turn_of_an_earlier_release_is_settled_by_what_it_set_aside(quotas: Quotas, server: redis.Redis) -> None:
    quota = counted(quotas(NONE, Caps(person=250)))
    day = worker_keys.spent_on(day_of(NOW))
    # its worker set 100 aside without saying for which turn, and died
    server.hset(day, mapping={"sms": 100, "sms:ann": 100})

    quota.settle(granted(quota, ask("SM1")), model=0, sms=90)

    sums: Any = server.hgetall(day)
    assert sums == {b"sms": b"190", b"sms:ann": b"190"}


def test_what_was_not_spent_is_there_for_the_next(quotas: Quotas) -> None:
    quota = counted(quotas(Caps(day=50), NONE))
    first = granted(quota, ask("SM1", model=40))

    quota.settle(first, model=5, sms=100)

    assert granted(quota, ask("SM2", model=40)).model == 40


def test_who_asks_again_for_the_last_line_gets_it_again(quotas: Quotas) -> None:
    quota = counted(quotas(NONE, Caps(person=0)))

    assert granted(quota, ask("SM1")).verdict is BudgetVerdict.LAST_LINE
    assert granted(quota, ask("SM1")).verdict is BudgetVerdict.LAST_LINE
    assert granted(quota, ask("SM2")).verdict is BudgetVerdict.SILENCE


def test_a_cap_of_all_people_is_passed_by_one_last_line_at_most(quotas: Quotas) -> None:
    quota = counted(quotas(NONE, Caps(day=0)))

    verdicts = [granted(quota, ask(f"SM{number}", who=Who(f"w{number}"))).verdict for number in range(5)]

    assert verdicts == [BudgetVerdict.LAST_LINE, *[BudgetVerdict.SILENCE] * 4]


def test_last_lines_are_said_while_there_is_room_for_them(quotas: Quotas) -> None:
    quota = counted(quotas(NONE, Caps(day=250)))

    verdicts = [granted(quota, ask(f"SM{n}", who=Who(f"w{n}"), sms=300, last_line=100)).verdict for n in range(5)]

    assert verdicts == [BudgetVerdict.LAST_LINE] * 3 + [BudgetVerdict.SILENCE] * 2


def test_an_urgent_reply_goes_out_once_a_day_for_each_reason(quotas: Quotas) -> None:
    quota = counted(quotas(NONE, Caps(day=0)))

    def urgent(turn: str) -> BudgetVerdict:
        return granted(quota, Ask(who=ANN_, turn=turn, model=9, sms=100, last_line=100, urgent="help")).verdict

    assert [urgent("SM1"), urgent("SM1"), urgent("SM2"), urgent("SM3")] == [
        BudgetVerdict.BEYOND,
        BudgetVerdict.BEYOND,
        BudgetVerdict.LAST_LINE,
        BudgetVerdict.SILENCE,
    ]


def test_what_was_spent_today_and_this_month_is_counted_again(quotas: Quotas) -> None:
    today, earlier = NOW - timedelta(minutes=5), NOW - timedelta(days=3)
    spent = [
        Spent(who=ANN_, at=today, sms=60),
        Spent(who=BEN_, at=earlier, sms=500),
        Spent(who=BEN_, at=NOW - timedelta(days=40), sms=10**9),
        Spent(who=BEN_, at=today, sms=0, last_line="SM9"),
    ]
    quota = counted(quotas(NONE, Caps(person=100, day=200, month=700)), *spent)

    assert granted(quota, ask("SM1", sms=50, last_line=50)).verdict is BudgetVerdict.LAST_LINE
    assert granted(quota, ask("SM2", who=BEN_, sms=100, last_line=100)).verdict is BudgetVerdict.SILENCE
    assert granted(quota, ask("SM3", who=Who("c"), sms=80, last_line=80)).verdict is BudgetVerdict.GO


def test_what_was_set_aside_before_redis_was_emptied_is_not_given_back_after(
    quotas: Quotas, server: redis.Redis
) -> None:
    quota = counted(quotas(NONE, Caps(day=300)))
    grant = granted(quota, ask("SM1", sms=300))
    server.flushall()
    counted(quota, Spent(who=ANN_, at=NOW, sms=300))

    quota.settle(grant, model=0, sms=0)

    assert granted(quota, ask("SM2", sms=1, last_line=1)).verdict is BudgetVerdict.LAST_LINE


def test_a_reply_that_was_under_way_when_redis_was_emptied_is_in_the_sums(quotas: Quotas, server: redis.Redis) -> None:
    quota = counted(quotas(NONE, Caps(day=300)))
    grant = granted(quota, ask("SM1", sms=200))
    server.flushall()
    # the recount passed before the reply was written to the journal
    counted(quota)

    quota.settle(grant, model=0, sms=200)

    assert granted(quota, ask("SM2", sms=101, last_line=101)).verdict is BudgetVerdict.LAST_LINE


def test_what_works_for_no_ones_reply_takes_no_ones_last_line(quotas: Quotas) -> None:
    quota = counted(quotas(Caps(day=100), Caps(person=10)), Spent(who=ANN_, at=NOW, sms=15))

    assert granted(quota, ask("", model=40, sms=0, last_line=0)).model == 40
    assert granted(quota, ask("", model=70, sms=0, last_line=0)).model == 0
    assert granted(quota, ask("SM1")).verdict is BudgetVerdict.LAST_LINE


def test_the_one_that_asks_at_the_same_time_the_cap_holds(quotas: Quotas) -> None:
    cap, price = 1_000, 30
    quota = counted(quotas(Caps(day=cap), NONE))

    def work(number: int) -> int:
        grant = granted(quota, ask(f"SM{number}", who=Who(f"w{number % 7}"), model=price))
        # a reply costs less than was set aside for it, and its cost is settled
        spent = 11 if grant.model else 0
        quota.settle(grant, model=spent, sms=grant.sms)
        return spent

    with ThreadPoolExecutor(8) as pool:
        spent = sum(pool.map(work, range(400)))

    assert cap - price < spent <= cap


def test_what_was_spent_uncounted_is_counted_before_anything_is_granted(quotas: Quotas) -> None:
    quota = counted(quotas(NONE, Caps(day=100)))
    granted(quota, ask("SM1", sms=10))
    quota.forget()

    assert quota.reserve(ask(), now=NOW) is None
    counted(quota, Spent(who=BEN_, at=NOW, sms=90))
    # the old totals were discarded, not added to
    assert granted(quota, ask("SM2", sms=10, last_line=10)).verdict is BudgetVerdict.GO
    assert granted(quota, ask("SM3", sms=10, last_line=10)).verdict is BudgetVerdict.LAST_LINE
