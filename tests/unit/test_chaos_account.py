"""A run of hours is audited in rounds: what they amount to, what it only kills, and what grew."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from chaos import points
from chaos.account import Account
from chaos.auditor import OFFENCES, Verdict
from chaos.growth import Sample, Use, grown, quarters
from chaos.plan import Plan
from chaos.points import Action
from chaos.witness import Fault, Witness
from worker.send_marks.mark_file import Slot, State


def a_mark(state: State, attempt_id: str) -> Slot:
    return Slot(state=state, who="w", token="t", fence=1, key="out#SM1#0", attempt_id=attempt_id)


def test_rounds_add_up_to_the_run() -> None:
    def lengths(seconds: float) -> list[float]:
        return list(Plan(seconds=seconds, seed=1, data=Path(), round_seconds=600).rounds())

    assert lengths(1500) == [600, 600, 300]
    assert lengths(600) == [600]
    assert lengths(0) == [0], "the strikes are audited, too"


def test_only_an_attempt_that_had_begun_is_excused_by_a_kill_and_both_kinds_are_counted() -> None:
    witness, account = Witness(), Account()
    marks = (a_mark(State.BEGUN, "a"), a_mark(State.CLAIMING, "b"), a_mark(State.REFUSED, "c"))
    witness.killed(1.0, "kill worker", marks)
    assert witness.excuses() == {"a": "kill worker"}

    account.add(Verdict(texts=3, answered=3), witness.take_faults())

    assert (account.kills, account.begun_at_death, account.proven_at_death) == (1, 1, 2)
    assert witness.faults == [], "what was audited is forgotten"


@pytest.mark.parametrize("offence", OFFENCES)
def test_an_offence_of_any_round_breaks_the_promise(offence: str) -> None:
    account = Account()
    account.add(Verdict(texts=2, answered=2), [Fault(at=1.0, what="kill worker", kind="kill")])
    was_good = account.good

    account.add(Verdict(texts=1, **{offence: ["SM1: lost"]}), [])  # type: ignore[arg-type]  # a list of offences
    account.add(Verdict(texts=1, answered=1), [Fault(at=2.0, what="kill worker", kind="kill")])

    assert (was_good, account.good) == (True, False)
    assert (account.texts, account.answered, account.rounds) == (4, 3, 3)
    assert account.as_json()["faults"] == {"kill worker": 2}


def test_a_run_that_proves_nothing_is_not_good() -> None:
    assert Account(texts=1, answered=1).good
    assert not Account(texts=1, answered=1, unproven=["K6: never struck"]).good


def test_a_process_that_grows_over_an_hour_is_named_and_a_short_run_tells_nothing() -> None:
    leak, flat = [100.0 + 40 * number for number in range(8)], [100.0, 160.0, 150.0, 155.0, 160.0, 150.0, 158.0, 160.0]

    assert list(grown(samples_of(leak, apart_seconds=600))) == ["worker MB: 200 in the second quarter, 360 in the last"]
    assert list(grown(samples_of(flat, apart_seconds=600))) == []
    assert list(grown(samples_of(leak))) == []


def test_a_run_that_only_kills_strikes_only_where_a_process_is_killed() -> None:
    struck = [point for row in points.ROWS for point in points.points_of(row, kills_only=True)]

    assert {point.do for point in struck} == {Action.KILL, Action.KILL_REDIS}
    assert {"K1", "K3", "K5", "K6", "K7", "K8", "K14"} <= {point.row for point in struck}
    assert not any(point.rules for point in struck)


def samples_of(megabytes: Sequence[float], *, apart_seconds: float = 1.0) -> list[Sample]:
    return [
        Sample(
            at=number * apart_seconds, processes={"worker": Use(pid=1, megabytes=used, descriptors=9)},
            redis_keys=-1 if number == 0 else 5, redis_megabytes=1.0, table_rows=number, mark_files=1,
            disk_megabytes=2.0,
        )
        for number, used in enumerate(megabytes)
    ]  # fmt: skip


def test_what_grew_shows_in_the_quarters_of_a_run() -> None:
    grew = dict(quarters(samples_of([100.0 + number for number in range(8)])))

    assert grew["worker MB"] == [100.5, 102.5, 104.5, 106.5]
    assert grew["worker descriptors"] == [9, 9, 9, 9]
    assert grew["redis keys"] == [5, 5, 5, 5], "a server that did not answer says nothing"
