"""The two tables of moves, and the ids that lead back to a row."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversation import journal
from conversation.errors import IllegalMove
from conversation.journal import PartState, TurnState


def test_every_state_has_its_moves() -> None:
    assert set(journal.TURN_MOVES) == set(TurnState)
    assert set(journal.PART_MOVES) == set(PartState)


def test_nothing_is_ever_sent_again_by_itself() -> None:
    """From what may have been sent there is no way back to sending, unless the claimant itself proved that it was not."""
    assert journal.part_sources(PartState.SENDING) == (PartState.NEW, PartState.RETRY)
    for state in (PartState.SENT, PartState.HELD, PartState.FAILED, PartState.SUPPRESSED):
        assert PartState.RETRY not in journal.PART_MOVES[state]
        assert PartState.SENDING not in journal.PART_MOVES[state]


def test_a_move_that_stands_in_no_table_is_an_error() -> None:
    with pytest.raises(IllegalMove, match="NEW"):
        journal.part_sources(PartState.NEW)
    with pytest.raises(IllegalMove, match="FILED"):
        journal.turn_sources(TurnState.FILED)


@given(st.from_regex(r"(SM|MM)[0-9a-f]{32}", fullmatch=True), st.integers(0, 99))
def test_an_attempt_id_leads_back_to_its_part(sid: str, number: int) -> None:
    assert journal.part_of_attempt(journal.new_attempt_id(sid, number)) == journal.out_key(sid, number)


@pytest.mark.parametrize("forged", ["", "-", "SM1", "SM1-0", "SM1-x-a", "SM1--a", "-0-a", "SM1-\u0661-a"])
def test_an_id_that_is_not_ours_leads_nowhere(forged: str) -> None:
    assert journal.part_of_attempt(forged) is None


@given(st.lists(st.tuples(st.integers(0, 10**13 - 1), st.integers(0, 999_999)), min_size=2, max_size=20))
def test_text_order_is_arrival_order(ids: list[tuple[int, int]]) -> None:
    padded = [journal.arrived(f"{ms}-{seq}") for ms, seq in ids]

    assert sorted(padded) == [journal.arrived(f"{ms}-{seq}") for ms, seq in sorted(ids)]
