"""Simulated days: a seed is a day, nothing goes wrong in many, and what goes wrong is told."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from unittest import mock

import pytest

from chaos.days import report
from chaos.days.day import simulate
from chaos.days.draw import draw
from chaos.days.machine import Line
from chaos.days.plan import Fault, Plan, Terms, Text, What
from chaos.days.shrink import Shrinker
from chaos.days.story import story
from journal.states import TurnState
from sms import keywords
from tests.conftest import ROOT
from tests.model.guards import writers
from tests.simulation.mutants import MUTANTS, Mutant, days_until_found, found
from worker.intake import Intake
from worker.limits import Limiter

#: The days of every run of the tests: always the same ones.
DAYS = 300


def mutant(name: str) -> Mutant:
    return next(mutant for mutant in MUTANTS if mutant.name == name)


def test_a_day_has_twenty_texts_of_four_people() -> None:
    plans = [draw(seed) for seed in range(200)]

    assert min(len(plan.texts) for plan in plans) >= 20
    assert min(plan.people for plan in plans) >= 4
    assert {fault.what for plan in plans for fault in plan.faults} == set(What)


def test_the_same_seed_is_the_same_day_to_the_byte() -> None:
    logs = []
    for hash_seed in ("0", "4711"):
        env = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)}
        command = [
            sys.executable,
            "-c",
            "from dadacat.cli import main; main()",
            "simulate-day",
            "--seed",
            "12",
            "--log",
        ]
        logs.append(subprocess.run(command, env=env, capture_output=True, check=True).stdout)

    assert logs[0] == logs[1]
    assert logs[0].count(b"\n") > 800


@pytest.mark.timeout(900)
def test_nothing_goes_wrong_in_three_hundred_days() -> None:
    account = report.run(range(1, DAYS + 1))

    assert account.broken == {}
    assert account.texts >= 20 * DAYS
    assert set(account.struck) == set(What), "a kind of fault never struck"


@pytest.mark.long
@pytest.mark.timeout(4 * 3600)
def test_nothing_goes_wrong_in_ten_thousand_days() -> None:
    account = report.run(range(1, 10_001))

    assert account.broken == {}


def test_shrinking_leaves_only_what_makes_a_day_go_wrong() -> None:
    plan = draw(7)
    deadly = Fault(what=What.DIES_AFTER, call="claim", nth=3)
    plan = replace(plan, faults=(*plan.faults, deadly))

    def goes_wrong(plan: Plan) -> bool:
        return any(text.number == 9 for text in plan.texts) and any(fault.call == "claim" for fault in plan.faults)

    smallest = Shrinker(goes_wrong).shrink(plan)

    assert [text.number for text in smallest.texts] == [9]
    assert [(fault.call, fault.nth) for fault in smallest.faults] == [("claim", 1)]
    assert smallest.terms == Terms(varied=False)


def test_a_story_ends_with_a_test_that_fails_as_the_day_did() -> None:
    broken = mutant("a part in SENDING is sent again")
    day = Plan(
        seed=1,
        terms=Terms(),
        texts=(Text(number=1, at=0.0, person=0, body="hello"),),
        faults=(Fault(what=What.DIES_AFTER, call="send", nth=1), Fault(what=What.REPORTS_MISSING, nth=1)),
    )

    with broken.patch():
        lines = list(story(simulate(day, logged=True)))
        test = "\n".join(lines[lines.index("The same as a test:") + 2 :])
        fails = not run_as_a_test(test)

    assert fails
    assert run_as_a_test(test), "with the guard the same day is good"
    assert any("doubled" in line for line in lines)
    assert any("the process dies after a call" in line for line in lines)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_a_drawn_day_is_shrunk_to_one_fault() -> None:
    broken = mutant("a part in SENDING is sent again")
    seed = next(seed for seed in range(1, 60) if broken.simulate(seed).offences)

    with broken.patch():
        smallest = report.shrunk(seed)

    assert smallest.offences
    assert len(smallest.plan.texts) <= 2
    assert len(smallest.plan.faults) == 1


def run_as_a_test(source: str) -> bool:
    """Return whether a told test passes."""
    imports = "from chaos.days.day import simulate\nfrom chaos.days.plan import Fault, Plan, Terms, Text, What\n"
    names: dict[str, object] = {}
    exec(imports + source, names)  # noqa: S102 - it was told a moment ago
    test = next(value for name, value in names.items() if name.startswith("test_"))
    assert callable(test)
    try:
        test()
    except AssertionError:
        return False
    return True


def test_without_a_fault_every_text_is_answered_at_once() -> None:
    calm = replace(draw(3), faults=())

    outcome = simulate(calm)

    assert outcome.offences == ()
    assert outcome.struck == {}
    assert outcome.held == {}


@pytest.mark.parametrize("resends", [False, True])
def test_a_reply_in_doubt_is_sent_again_if_the_operator_chose_so(*, resends: bool) -> None:
    lost = Fault(what=What.FAILS, call="send", nth=1)
    others = (Text(number=2 + later, at=60.0 * later, person=1, body=f"another {later}") for later in range(1, 8))
    day = Plan(
        seed=1,
        terms=Terms(resend=resends, max_age=900.0),
        texts=(Text(number=1, at=0.0, person=0, body="hello"), *others),
        faults=(lost,),
    )

    outcome = simulate(day)

    assert outcome.offences == ()
    assert len(outcome.held) == (0 if resends else 1)


def test_a_message_that_a_reading_for_another_doubt_showed_is_not_sent_again() -> None:
    """Its own doubt was too young for that reading, and it was deleted at the carrier before the next one."""
    day = Plan(
        seed=778,
        terms=Terms(resend=True, varied=False),
        texts=(
            Text(number=4, at=3.0, person=3, body="the first of 3"),
            Text(number=14, at=149.5, person=3, body="text 15 of 3"),
            Text(number=15, at=149.5, person=3, body="text 16 of 3"),
        ),
        faults=(
            Fault(what=What.FAILS_CREATED, call="send", nth=1, text=14),
            Fault(what=What.REPORTS_MISSING, text=14),
            Fault(what=What.REPLY_FAILS, nth=4),
            Fault(what=What.WORDS_DELETED, nth=3, at=167.7),
            Fault(what=What.MESSAGES_DELETED, nth=3, at=215.4),
        ),
    )

    assert simulate(day).offences == ()


def test_a_text_that_is_answered_alone_after_a_death_counts_once_against_the_limit() -> None:
    """It was read together with the text before it, whose worker stood still past its lease."""
    assert simulate(draw(299)).offences == ()


def test_a_carrier_that_refuses_is_probed_and_then_used_again() -> None:
    refuses = Fault(what=What.CARRIER_REFUSES, nth=3, at=1.0, seconds=80.0)
    texts = tuple(Text(number=1 + person, at=5.0 + person, person=person, body="hello") for person in range(4))

    outcome = simulate(Plan(seed=1, terms=Terms(), texts=texts, faults=(refuses,)))

    assert outcome.offences == ()
    assert outcome.silent == 0
    assert outcome.held == {}


#: Three people, each of whom texts once a minute.
CALM = tuple(Text(number=n, at=20.0 * n, person=n % 3, body=f"text {n}") for n in range(1, 10))
STOPS_AND_STARTS = (
    Text(number=1, at=1.0, person=0, body="STOP"),
    Text(number=2, at=20.0, person=0, body="START"),
    Text(number=3, at=40.0, person=0, body="are you there"),
)
SEND = Line.send


def silenced(reason: str) -> Callable[..., tuple[TurnState, str]]:
    return lambda *_, **__: (TurnState.SILENT, reason)


@pytest.mark.parametrize(
    ("offence", "terms", "texts", "broken"),
    [
        pytest.param(
            "misdirected", Terms(), CALM,
            lambda: mock.patch.object(
                Line, "send", lambda line, reply, **more: SEND(line, replace(reply, to="+15551239999"), **more)
            ),
            id="each reply goes to a stranger",
        ),
        pytest.param(
            "misdirected", Terms(), CALM,
            lambda: mock.patch.object(
                Line, "send", lambda line, reply, **more: SEND(line, replace(reply, body="other words"), **more)
            ),
            id="each reply has other words",
        ),
        pytest.param(
            "silenced", Terms(), STOPS_AND_STARTS, lambda: mock.patch.dict(keywords.WORDS, {"start": None}),
            id="START is not heard",
        ),
        pytest.param(
            "silenced", Terms(), (*CALM, *STOPS_AND_STARTS),
            lambda: mock.patch.object(Intake, "_judge", silenced("keyword stop")), id="each text is a STOP",
        ),
        pytest.param(
            "limit", Terms(texts_per_minute=4), CALM,
            lambda: mock.patch.object(Limiter, "exceeded", return_value="over the limit: texts a minute"),
            id="each text is over the limit",
        ),
        pytest.param(
            "budget", Terms(cap=1_000_000), CALM,
            lambda: mock.patch.object(Intake, "_judge", silenced("over the budget")), id="each text is over the budget",
        ),
        pytest.param(
            "superseded", Terms(policy="latest"), CALM,
            lambda: mock.patch.object(Intake, "_judge", silenced("superseded")), id="each text is superseded",
        ),
    ],
)  # fmt: skip
def test_a_product_that_breaks_its_promise_is_seen(
    offence: str, terms: Terms, texts: Sequence[Text], broken: Callable[[], AbstractContextManager[object]]
) -> None:
    day = Plan(seed=1, terms=terms, texts=texts)

    intact = simulate(day).offences
    with broken():
        offences = simulate(day).offences

    assert intact == ()
    assert any(said.startswith(offence) for said in offences)


def test_each_guard_can_be_taken_out() -> None:
    known = writers()

    for mutant in MUTANTS:
        for one in (mutant, mutant.behind or mutant):
            with one.patch():
                one.edits()
            assert {condition.partition(" ")[0].rstrip(":") for condition in one.conditions} <= known


@pytest.mark.long
@pytest.mark.timeout(4 * 3600)
@pytest.mark.parametrize("missing", [one for one in MUTANTS if one.name in found()], ids=lambda one: one.name)
def test_a_guard_that_is_taken_out_is_missed(missing: Mutant) -> None:
    days, _ = days_until_found(missing)

    assert days
