"""Every interleaving of a text's life, with the code's own table of moves.

Each guard is shown to matter.
"""

from __future__ import annotations

import pytest

from journal.states import TURN_MOVES, TurnState
from tests.model.turns import Rules, Table, search

ARROWS = [(source, target) for source, targets in TURN_MOVES.items() for target in sorted(targets)]
MISSING = [
    (source, target)
    for source in TurnState
    # Only an operator moves a turn back to FILED; the code never does.
    for target in TurnState
    if target is not TurnState.FILED and target not in TURN_MOVES[source]
]


def with_(source: TurnState, target: TurnState) -> Table:
    return {state: targets | {target} if state is source else targets for state, targets in TURN_MOVES.items()}


def without(source: TurnState, target: TurnState) -> Table:
    return {state: targets - {target} if state is source else targets for state, targets in TURN_MOVES.items()}


def test_no_text_is_lost_and_none_gets_two_replies_in_any_interleaving() -> None:
    rules = Rules(TURN_MOVES)

    assert search(rules) is None
    assert rules.walked == set(ARROWS)


@pytest.mark.parametrize(("source", "target"), MISSING, ids=str)
def test_an_arrow_more_breaks_a_promise(source: TurnState, target: TurnState) -> None:
    finding = search(Rules(with_(source, target)))

    if source is target and source is not TurnState.ANSWERED:
        # It is settled again with the same state, which changes nothing.
        assert finding is None
        return
    assert finding is not None
    assert finding.what in ("two replies", f"{source} became {target}")


def test_without_its_way_to_an_answer_a_text_is_lost() -> None:
    finding = search(Rules(without(TurnState.FILED, TurnState.ANSWERED)))

    assert finding is not None
    assert finding.what.startswith("lost")


@pytest.mark.parametrize(
    ("rules", "harm"),
    [
        (Rules(TURN_MOVES, absent_is_checked=False), "became FILED"),
        (Rules(TURN_MOVES, reconciled=False), "lost"),
        # The reconciler would bring back a text that left too early, so it is off to test the check alone.
        (Rules(TURN_MOVES, over_is_checked=False, reconciled=False, flushes=0), "lost"),
    ],
    ids=["absent", "reconciled", "over"],
)
def test_each_check_beside_the_table_matters(rules: Rules, harm: str) -> None:
    finding = search(rules)

    assert finding is not None
    assert harm in finding.what


def test_as_long_as_redis_keeps_what_it_has_no_one_needs_the_reconciler() -> None:
    assert search(Rules(TURN_MOVES, reconciled=False, flushes=0)) is None
