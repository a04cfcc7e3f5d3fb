"""Inject a fault at every outside call of the real code, before and after its effect, once and twice."""

from __future__ import annotations

import random
from itertools import product

import pytest

from tests.model.marks import LOST_CLAIMS, run_lost_claim, run_proof_of_another, run_proof_of_held, run_second_copy
from tests.model.world import Cut, Neighbours, World, a_world_with_everything_to_repair

WAYS = [(after, dies) for after in (False, True) for dies in (False, True)]


def calls_of_a_visit(policy: str, lines: int, *, short: bool = False) -> int:
    return len(World(policy, lines, short=short).visit().calls)


@pytest.mark.parametrize(
    ("policy", "lines"), [("each", 1), ("each", 2), ("coalesce", 1), ("coalesce", 3), ("latest", 1)]
)
def test_a_cut_at_any_call_of_a_visit(policy: str, lines: int) -> None:
    calls = calls_of_a_visit(policy, lines)
    assert calls > 20, "a visit without calls proves nothing"

    for call, (after, dies) in product(range(1, calls + 1), WAYS):
        world = World(policy, lines)
        wire = world.visit(Cut(call, after=after, dies=dies))
        assert wire.struck

        world.come_to_rest()

        world.account(wire)


@pytest.mark.parametrize("neighbours", ["at once", "late"])
@pytest.mark.parametrize(("policy", "lines"), [pytest.param("each", 2, marks=pytest.mark.long), ("coalesce", 1)])
def test_a_cut_at_any_call_of_a_visit_whose_marks_are_read(policy: str, lines: int, neighbours: Neighbours) -> None:
    """A worker that dies leaves no reply in doubt: only a lost answer of the carrier does."""
    calls = calls_of_a_visit(policy, lines)

    for call, (after, dies) in product(range(1, calls + 1), WAYS):
        world = World(policy, lines, neighbours=neighbours)
        wire = world.visit(Cut(call, after=after, dies=dies))
        assert wire.struck

        world.come_to_rest()

        world.account(wire)


@pytest.mark.parametrize("neighbours", ["at once", "late"])
@pytest.mark.parametrize("lands_late", [False, True])
@pytest.mark.parametrize("fault", LOST_CLAIMS, ids=str)
def test_a_claim_that_lands_late_or_whose_owner_never_hears_of_it(
    fault: Cut, *, lands_late: bool, neighbours: Neighbours
) -> None:
    run_lost_claim(fault, neighbours, lands_late=lands_late)


def test_a_second_copy_of_a_claim_revives_no_attempt_that_is_over() -> None:
    run_second_copy()


def test_a_proof_says_nothing_of_the_attempt_of_another_worker() -> None:
    run_proof_of_another()


def test_a_held_reply_that_is_proven_unsent_stays_held_and_shows_the_proof() -> None:
    run_proof_of_held()


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    # `ways`: how many of the sixteen combinations of faults are drawn for each pair of calls. All sixteen take minutes.
    ("policy", "lines", "ways"),
    [
        ("each", 1, 1),
        ("coalesce", 2, 1),
        pytest.param("each", 1, 16, marks=pytest.mark.long),
        pytest.param("coalesce", 2, 16, marks=pytest.mark.long),
    ],
)
def test_a_second_cut_at_any_call_of_the_visit_that_carries_on(policy: str, lines: int, ways: int) -> None:
    # Without limits, and with the totals already counted: the number of pairs grows with the square of the calls, and
    # the test above covers these calls.
    calls = calls_of_a_visit(policy, lines, short=True)
    struck_twice = pairs = 0
    rng = random.Random(f"{policy}{lines}")

    for one, other, (way, other_way) in (
        (one, other, both)
        for one, other in product(range(1, calls + 1), repeat=2)
        for both in rng.sample(list(product(WAYS, repeat=2)), ways)
    ):
        pairs += 1
        world = World(policy, lines, short=True)
        first = world.visit(Cut(one, after=way[0], dies=way[1]))
        world.ms += 21_000  # the dead worker's lease has expired
        second = world.visit(Cut(other, after=other_way[0], dies=other_way[1]))
        struck_twice += bool(second.struck)

        world.come_to_rest()

        world.account(first, second)
    assert struck_twice > pairs / 4, "the second fault must strike in many pairs"


@pytest.mark.parametrize("policy", ["each", "coalesce"])
def test_a_sleeper_at_any_call_while_another_worker_serves(policy: str) -> None:
    """Stop a worker at a call for longer than its lease, and let another serve meanwhile.

    The first then continues from what it knew before.
    """
    for call, after in product(range(1, calls_of_a_visit(policy, 1) + 1), (False, True)):
        world = World(policy, 1)
        wire = world.visit(Cut(call, after=after, meanwhile=world.visit_by_another))
        assert wire.struck

        world.come_to_rest()

        world.account(wire)


def test_repairs_are_cut_at_any_call_and_done_again() -> None:
    calls = len(a_world_with_everything_to_repair().repair().calls)
    assert calls > 30, "repairs without calls prove nothing"

    for call, (after, dies) in product(range(1, calls + 1), WAYS):
        world = a_world_with_everything_to_repair()
        world.repair(Cut(call, after=after, dies=dies))

        world.repair_until_all_is_over()

        world.account_for_repairs()
