"""The table of Twilio's error codes, and the retry decision for each outcome."""

from __future__ import annotations

import random
import subprocess
import tomllib
from dataclasses import replace
from datetime import date, timedelta

import pytest

from sms import codes
from sms.ports import ErrorClass, NotCreated, Scope, Verdict
from tests.builders import refused
from tests.conftest import ROOT
from worker import retry_policy
from worker.retry_policy import Fate


@pytest.mark.parametrize(
    ("status", "code", "error_class", "scope"),
    [
        (429, 20429, ErrorClass.TRY_AGAIN, Scope.ACCOUNT),
        (429, None, ErrorClass.TRY_AGAIN, Scope.ACCOUNT),
        (400, 21611, ErrorClass.TRY_AGAIN, Scope.SENDER),
        (500, None, ErrorClass.UNKNOWN, Scope.MESSAGE),
        (503, 20503, ErrorClass.UNKNOWN, Scope.ACCOUNT),
        (408, None, ErrorClass.UNKNOWN, Scope.MESSAGE),
        (400, 21211, ErrorClass.PERMANENT, Scope.DESTINATION),
        (401, 20003, ErrorClass.CONFIGURATION, Scope.ACCOUNT),
        (404, None, ErrorClass.CONFIGURATION, Scope.ACCOUNT),
        (400, 21617, ErrorClass.BUG, Scope.MESSAGE),
        (302, None, ErrorClass.UNKNOWN, Scope.MESSAGE),
        # an answer without a code is not from the message API, so it proves nothing
        (400, None, ErrorClass.UNKNOWN, Scope.MESSAGE),
        # as specific as Twilio has been since July 2024
        (400, 21659, ErrorClass.CONFIGURATION, Scope.SENDER),
        (400, 21660, ErrorClass.CONFIGURATION, Scope.SENDER),
        (400, 21661, ErrorClass.CONFIGURATION, Scope.SENDER),
        # a trial account
        (403, 572002, ErrorClass.CONFIGURATION, Scope.DESTINATION),
        (400, 21608, ErrorClass.CONFIGURATION, Scope.DESTINATION),
        # the code says more than the status
        (429, 63038, ErrorClass.LIMIT, Scope.ACCOUNT),
        (429, 14107, ErrorClass.LOOP, Scope.DESTINATION),
        (403, 21610, ErrorClass.PERMANENT, Scope.DESTINATION),
        (404, 21705, ErrorClass.CONFIGURATION, Scope.SENDER),
        # a 5xx proves nothing of the message, also with a code
        (500, 21610, ErrorClass.UNKNOWN, Scope.DESTINATION),
        (503, 20003, ErrorClass.UNKNOWN, Scope.ACCOUNT),
        # a code that no table knows: the reply is kept, and only its person waits
        (400, 999999, ErrorClass.CONFIGURATION, Scope.DESTINATION),
        (403, 999999, ErrorClass.CONFIGURATION, Scope.DESTINATION),
        (401, 999999, ErrorClass.CONFIGURATION, Scope.ACCOUNT),
        (429, 999999, ErrorClass.TRY_AGAIN, Scope.ACCOUNT),
        (500, 999999, ErrorClass.UNKNOWN, Scope.MESSAGE),
    ],
)
def test_an_answer_is_classified(status: int, code: int | None, error_class: ErrorClass, scope: Scope) -> None:
    verdict = codes.of_answer(status, code)

    assert (verdict.error_class, verdict.scope, verdict.code) == (error_class, scope, code)


def pause(code: int, retry_after: float | None = None, *, tries: int = 1) -> timedelta:
    refusal = refused(code)
    if retry_after is not None:
        refusal = replace(refusal, retry_after=timedelta(seconds=retry_after))
    return retry_policy.pause_after(refusal, tries=tries, rng=random.Random(1))


def test_pauses_grow_and_end_at_the_longest() -> None:
    pauses = [pause(20429, tries=tries) for tries in range(1, 12)]

    assert pauses == sorted(pauses)
    assert pauses[0] < timedelta(seconds=5)
    assert pauses[-1] <= retry_policy.LONGEST_PAUSE


def test_the_carriers_own_wish_is_honoured_within_reason() -> None:
    assert pause(20429, 30) == timedelta(seconds=30)
    assert pause(20429, 1e6) == retry_policy.LONGEST_RETRY_AFTER


def test_a_full_queue_is_waited_for_and_a_circuit_decides_about_the_rest() -> None:
    assert pause(21611, tries=9) == timedelta(minutes=10)
    assert [pause(code, tries=9) for code in (20003, 21606, 63038)] == [timedelta(0)] * 3


@pytest.mark.parametrize(
    ("code", "fate"),
    [
        (20429, Fate.AGAIN),
        (30022, Fate.AGAIN),
        (20003, Fate.AGAIN),
        (21611, Fate.AGAIN),
        (63038, Fate.AGAIN),
        (999999, Fate.AGAIN),
        (21211, Fate.GIVE_UP),
        (21610, Fate.GIVE_UP),
        (21602, Fate.GIVE_UP),
        (14107, Fate.GIVE_UP),
    ],
)
def test_each_refusal_has_one_fate(code: int, fate: Fate) -> None:
    assert retry_policy.rule_of(refused(code)).fate is fate


def test_every_class_of_errors_has_a_rule() -> None:
    assert set(ErrorClass) == retry_policy.RULES.keys()


@pytest.mark.parametrize(
    ("status", "code", "alarming"),
    [
        (400, 21408, True),  # the country is not enabled
        (400, 21215, True),
        (400, 14107, True),
        (400, 30044, True),  # too long for a trial account
        (400, 99999, True),  # not in the table
        (503, 99999, True),
        (302, None, True),
        (400, None, True),
        (400, 21211, False),
        (429, None, False),
        (503, None, False),
        (500, 20500, False),
    ],
)
def test_what_a_person_should_look_at_is_an_alarm(status: int, code: int | None, *, alarming: bool) -> None:
    assert codes.of_answer(status, code).alarming is alarming


def test_what_failed_on_its_way_is_tried_soon_or_on_the_next_day() -> None:
    def again(code: int) -> timedelta | None:
        return retry_policy.pause_before_second_try(codes.of_report(code), rng=random.Random(1))

    soon = again(30022)
    assert soon is not None
    assert timedelta(seconds=15) < soon < timedelta(minutes=1)
    assert [again(code) for code in (30023, 30027, 63038)] == [timedelta(hours=24)] * 3
    assert [again(code) for code in (30003, 30034, 20003, 999999)] == [None] * 4


def test_a_report_and_an_answer_read_the_same_row() -> None:
    for code in (20003, 21606, 30034, 30018, 63038, 30003, 14107):
        assert codes.of_report(code) == codes.of_answer(400, code) == codes.row_of(code)


def rows() -> list[Verdict]:
    return [row for code in range(10_000, 600_000) if (row := codes.row_of(code))]


def test_every_row_of_the_table_has_a_scope_a_source_and_a_date() -> None:
    table = tomllib.loads((ROOT / "sms/codes.toml").read_text())
    for row in rows():
        assert row.code is not None
        written = table["codes"][str(row.code)]
        url = written.get("source", table["source"]).format(code=row.code)
        assert url == f"https://www.twilio.com/docs/api/errors/{row.code}"
        assert date(2026, 1, 1) < written.get("read", table["read"])
        assert row.means
        # only what has a circuit of its own can be stopped
        assert row.scope is not Scope.MESSAGE or not retry_policy.RULES[row.error_class].stops_sending
        assert row.people == 1 or row.scope in (Scope.SENDER, Scope.CHANNEL)
        assert not row.service or row.scope is Scope.SENDER


def test_the_table_knows_every_code_of_messages_that_public_pages_name() -> None:
    # Twilio's changelog of 2024-07-10 and its pages of trial accounts, RCS and WhatsApp, read 2026-11-29
    named = [21264, 21265, 21266, 21267, 21268, 21635, *range(21657, 21669), *range(30001, 30025), *range(30027, 30047)]
    named += [30450, 30453, 30454, 30485, 30500, 30610, 30615, 30620, 30630, 30640, 63001, 63002, 63003]
    named += [*range(63005, 63043), 63049, 63050, 63051, 63056, 63058, 63059, 63062, 63112, 572002, 572005, 572006]

    assert codes.gaps(named) == []


def test_a_script_names_the_codes_that_the_table_does_not_know() -> None:
    def check(*given: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([ROOT / "scripts/codes", *given], capture_output=True, text=True, check=False)

    known, unknown, wrong = check("21659", "30034", "21245"), check("21659", "999999"), check("all")

    assert (known.returncode, known.stdout) == (0, "3 codes, 0 without a row\n")
    assert unknown.returncode == 1
    assert "999999 has no row" in unknown.stdout
    assert "21659" not in unknown.stdout
    assert (wrong.returncode, wrong.stderr) == (2, "usage: scripts/codes CODE...\n")


def test_a_network_that_fails_before_the_first_byte_concerns_one_message() -> None:
    away = NotCreated(verdict=Verdict(error_class=ErrorClass.TRY_AGAIN, code=None, means="cannot be reached"))

    assert retry_policy.rule_of(away).fate is Fate.AGAIN
    assert not retry_policy.rule_of(away).stops_sending
