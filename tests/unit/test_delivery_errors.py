"""The class of each carrier error, and the retry decision for each class."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest

from sms import codes
from sms.ports import ErrorClass, NotCreated
from worker import retry_policy
from worker.retry_policy import Again, GiveUp


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


def test_pauses_grow_and_end_at_the_longest() -> None:
    pauses = []
    for tries in range(1, 12):
        decision = retry_policy.decide(refused(ErrorClass.TRY_AGAIN), tries=tries, rng=random.Random(1))
        assert isinstance(decision, Again)
        pauses.append(decision.in_)

    assert pauses == sorted(pauses)
    assert pauses[0] < timedelta(seconds=5)
    assert pauses[-1] <= retry_policy.LONGEST_PAUSE


def test_the_carriers_own_wish_is_honoured_within_reason() -> None:
    asked = retry_policy.decide(refused(ErrorClass.TRY_AGAIN, 20429, 30), tries=1, rng=random.Random(1))
    absurd = retry_policy.decide(refused(ErrorClass.TRY_AGAIN, 20429, 1e6), tries=1, rng=random.Random(1))

    assert asked == Again(timedelta(seconds=30))
    assert absurd == Again(retry_policy.LONGEST_RETRY_AFTER)


def test_a_full_queue_and_a_wrong_account_are_waited_for() -> None:
    rng = random.Random(1)

    assert retry_policy.decide(refused(ErrorClass.TRY_AGAIN, 21611), tries=1, rng=rng) == Again(
        retry_policy.QUEUE_FULL_PAUSE
    )
    assert retry_policy.decide(refused(ErrorClass.CONFIGURATION, 20003), tries=9, rng=rng) == Again(
        retry_policy.CONFIGURATION_PAUSE
    )


def test_what_is_refused_for_good_is_given_up() -> None:
    rng = random.Random(1)

    assert retry_policy.decide(refused(ErrorClass.PERMANENT, 21211), tries=1, rng=rng) == GiveUp("refused")
    assert retry_policy.decide(refused(ErrorClass.BUG, 21602), tries=1, rng=rng) == GiveUp("refused")
    assert retry_policy.decide(refused(ErrorClass.PERMANENT, 21610), tries=1, rng=rng) == GiveUp(
        "refused", opted_out=True
    )


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
    soon = retry_policy.after_failure(30022, rng=random.Random(1)).in_
    tomorrow = retry_policy.after_failure(30023, rng=random.Random(1)).in_

    assert timedelta(seconds=15) < soon < timedelta(minutes=1)
    assert tomorrow == timedelta(hours=24)
