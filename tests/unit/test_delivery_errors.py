"""The class of each carrier error, and the retry decision for each class."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest

from sms import codes
from sms.ports import ErrorClass, NotCreated
from worker import retry_policy
from worker.retry_policy import Fate


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (429, 20429, ErrorClass.TRY_AGAIN),
        (429, None, ErrorClass.TRY_AGAIN),
        (400, 21611, ErrorClass.TRY_AGAIN),
        (500, None, ErrorClass.UNKNOWN),
        (503, 20503, ErrorClass.UNKNOWN),
        # a 5xx proves nothing, also with a code
        (500, 21610, ErrorClass.UNKNOWN),
        (408, None, ErrorClass.UNKNOWN),
        (400, 21211, ErrorClass.PERMANENT),
        (400, 21610, ErrorClass.PERMANENT),
        (401, 20003, ErrorClass.CONFIGURATION),
        (404, None, ErrorClass.CONFIGURATION),
        (400, 21617, ErrorClass.BUG),
        (400, 99999, ErrorClass.PERMANENT),
        (302, None, ErrorClass.UNKNOWN),
        # an answer without a code is not from the message API, so it proves nothing
        (400, None, ErrorClass.UNKNOWN),
    ],
)
def test_an_answer_is_classified(status: int, code: int | None, expected: ErrorClass) -> None:
    assert codes.classify(status, code) is expected


def refused(error_class: ErrorClass, code: int | None = None, retry_after: float | None = None) -> NotCreated:
    return NotCreated(
        error_class=error_class,
        code=code,
        reason="refused",
        retry_after=timedelta(seconds=retry_after) if retry_after is not None else None,
    )


def pause(
    error_class: ErrorClass, code: int | None = None, retry_after: float | None = None, *, tries: int = 1
) -> timedelta:
    return retry_policy.pause_after(refused(error_class, code, retry_after), tries=tries, rng=random.Random(1))


def test_pauses_grow_and_end_at_the_longest() -> None:
    pauses = [pause(ErrorClass.TRY_AGAIN, tries=tries) for tries in range(1, 12)]

    assert pauses == sorted(pauses)
    assert pauses[0] < timedelta(seconds=5)
    assert pauses[-1] <= retry_policy.LONGEST_PAUSE


def test_the_carriers_own_wish_is_honoured_within_reason() -> None:
    assert pause(ErrorClass.TRY_AGAIN, 20429, 30) == timedelta(seconds=30)
    assert pause(ErrorClass.TRY_AGAIN, 20429, 1e6) == retry_policy.LONGEST_RETRY_AFTER


@pytest.mark.parametrize(
    ("error_class", "code", "expected"),
    [
        (ErrorClass.TRY_AGAIN, 21611, timedelta(minutes=10)),
        (ErrorClass.CONFIGURATION, 20003, timedelta(minutes=1)),
    ],
)
def test_a_full_queue_and_a_wrong_account_are_waited_for(
    error_class: ErrorClass, code: int, expected: timedelta
) -> None:
    assert pause(error_class, code, tries=9) == expected


@pytest.mark.parametrize(
    ("error_class", "code", "fate"),
    [
        (ErrorClass.TRY_AGAIN, 20429, Fate.AGAIN),
        (ErrorClass.FAILED_LATER, 30022, Fate.AGAIN),
        (ErrorClass.CONFIGURATION, 20003, Fate.AGAIN),
        (ErrorClass.TRY_AGAIN, 21611, Fate.AGAIN),
        (ErrorClass.PERMANENT, 21211, Fate.GIVE_UP),
        (ErrorClass.PERMANENT, 21610, Fate.GIVE_UP),
        (ErrorClass.BUG, 21602, Fate.GIVE_UP),
        (ErrorClass.LOOP, 14107, Fate.GIVE_UP),
        (ErrorClass.UNKNOWN, 20500, Fate.AWAIT_EVIDENCE),
    ],
)
def test_each_outcome_has_one_fate(error_class: ErrorClass, code: int, fate: Fate) -> None:
    assert retry_policy.rule_of(error_class, code).fate is fate


def test_every_class_of_errors_has_a_rule() -> None:
    assert set(ErrorClass) <= retry_policy.RULES.keys()


@pytest.mark.parametrize(
    ("status", "code", "alarming"),
    [
        (400, 21408, True),  # the country is not enabled
        (400, 21215, True),
        (400, 14107, True),
        (400, 99999, True),  # not in the table
        (302, None, True),
        (400, None, True),
        (400, 21211, False),
        (429, None, False),
        (503, None, False),
        (500, 20500, False),
    ],
)
def test_what_a_person_should_look_at_is_an_alarm(status: int, code: int | None, *, alarming: bool) -> None:
    assert codes.is_alarming(status, code) is alarming


def test_what_failed_on_its_way_is_tried_soon_or_on_the_next_day() -> None:
    soon = retry_policy.pause_before_second_try(30022, rng=random.Random(1))
    tomorrow = retry_policy.pause_before_second_try(30023, rng=random.Random(1))

    assert timedelta(seconds=15) < soon < timedelta(minutes=1)
    assert tomorrow == timedelta(hours=24)
