"""The two tables of moves, and the ids that lead back to a row."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversation import entries
from conversation.errors import IllegalMove
from journal.model import ReplyPart, new_attempt_id, part_of_attempt
from journal.states import PART_MOVES, TURN_MOVES, PartState, TurnState, check_refused, part_sources, turn_sources
from tests.builders import ANN, OUR_NUMBER


def a_part() -> ReplyPart:
    return ReplyPart(
        user_id=ANN,
        turn="SM1",
        number=0,
        state=PartState.SENT,
        arrived="1",
        content="prrt",
        sender=OUR_NUMBER,
        sid="SMx",
    )


def test_every_state_has_its_moves() -> None:
    assert set(TURN_MOVES) == set(TurnState)
    assert set(PART_MOVES) == set(PartState)


def test_nothing_is_ever_sent_again_by_itself() -> None:
    """No move leads from a part that may have been sent back to sending.

    The exception is a claimant that proves itself that nothing was created.
    """
    assert part_sources(PartState.SENDING) == (PartState.NEW, PartState.RETRY)
    for state in (PartState.SENT, PartState.HELD, PartState.FAILED, PartState.SUPPRESSED):
        assert PartState.RETRY not in PART_MOVES[state]
        assert PartState.SENDING not in PART_MOVES[state]


def test_a_move_that_stands_in_no_table_is_an_error() -> None:
    with pytest.raises(IllegalMove, match="NEW"):
        part_sources(PartState.NEW)
    with pytest.raises(IllegalMove, match="FILED"):
        turn_sources(TurnState.FILED)


@given(sid=st.from_regex(r"(SM|MM)[0-9a-f]{32}", fullmatch=True), number=st.integers(0, 99), again=st.booleans())
def test_an_attempt_id_leads_back_to_its_part(*, sid: str, number: int, again: bool) -> None:
    part = replace(a_part(), turn=sid, number=number, again=again)

    assert part_of_attempt(new_attempt_id(part)) == part.key


def test_a_second_try_says_the_same_from_the_same_number_to_the_same_person() -> None:
    part = a_part()

    second = part.second_try(due=1_700_000_000_000)

    assert (second.key, second.state, second.sid) == (f"{part.key}r", PartState.NEW, None)
    assert (second.user_id, second.sender, second.content) == (part.user_id, part.sender, part.content)


@pytest.mark.parametrize(
    ("was", "target"),
    [
        (PartState.NEW, PartState.SENT),
        (PartState.NEW, PartState.UNKNOWN),
        (PartState.SENDING, PartState.HELD),
        (PartState.SENDING, PartState.SUPPRESSED),
        (PartState.UNKNOWN, PartState.SUPPRESSED),
        (PartState.HELD, PartState.SUPPRESSED),
    ],
)
def test_a_move_that_no_one_can_have_overtaken_is_an_error(was: PartState, target: PartState) -> None:
    with pytest.raises(IllegalMove, match=f"from {was} to {target}"):
        check_refused(was, target, same_attempt=True)
    check_refused(was, target, same_attempt=False)


@pytest.mark.parametrize(
    ("was", "target"),
    [
        (PartState.SENT, PartState.RETRY),
        (PartState.HELD, PartState.RETRY),
        # the claimant proved that nothing was created while another holder doubted it
        (PartState.RETRY, PartState.UNKNOWN),
        (PartState.FAILED, PartState.UNKNOWN),
        (PartState.RETRY, PartState.HELD),
        (PartState.SENT, PartState.SUPPRESSED),
    ],
)
def test_a_move_that_others_overtook_is_late_and_no_error(was: PartState, target: PartState) -> None:
    check_refused(was, target, same_attempt=True)


@pytest.mark.parametrize(
    "forged", ["", "-", "SM1", "SM1-0", "SM1-x-a", "SM1--a", "-0-a", "SM1-\u0661-a", "SM1-0x-a", "SM1-r-a"]
)
def test_an_id_that_is_not_ours_leads_nowhere(forged: str) -> None:
    assert part_of_attempt(forged) is None


@given(st.lists(st.tuples(st.integers(0, 10**13 - 1), st.integers(0, 999_999)), min_size=2, max_size=20))
def test_text_order_is_arrival_order(ids: list[tuple[int, int]]) -> None:
    padded = [entries.arrived(f"{ms}-{seq}") for ms, seq in ids]

    assert sorted(padded) == [entries.arrived(f"{ms}-{seq}") for ms, seq in sorted(ids)]
