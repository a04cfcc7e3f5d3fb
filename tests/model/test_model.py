"""Every interleaving of a part's life, with the code's own table of moves.

Each move of that table is shown to matter.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from journal.states import PART_MOVES, PartState
from tests.model.protocol import Rules, Table, naive, search

ARROWS = [(source, target) for source, targets in PART_MOVES.items() for target in sorted(targets)]
#: Nothing in the code moves a part back to NEW.
TARGETS = [state for state in PartState if state is not PartState.NEW]
MISSING = [
    (source, target)
    for source in PartState
    for target in TARGETS
    if target not in PART_MOVES[source] and (source is not target or target is PartState.SENDING)
]


def without(source: PartState, target: PartState) -> Table:
    return {state: targets - {target} if state is source else targets for state, targets in PART_MOVES.items()}


def with_(source: PartState, target: PartState) -> Table:
    return {state: targets | {target} if state is source else targets for state, targets in PART_MOVES.items()}


def test_the_protocol_keeps_its_promises_in_every_interleaving() -> None:
    rules = Rules(PART_MOVES)

    assert search(rules) is None
    # RETRY to SENT needs evidence that contradicts a proof of non-creation. An honest carrier never gives any. And
    # without an operator or a policy no attempt in doubt is repeated, of which a late report may tell.
    untrod = {(state, PartState.SENT) for state in (PartState.RETRY, PartState.SUPPRESSED, PartState.FAILED)}
    assert rules.walked == set(ARROWS) - untrod


def test_an_operators_word_sends_once_more_and_not_twice() -> None:
    rules = Rules(PART_MOVES, operator=True)

    assert search(rules) is None
    assert {(PartState.SUPPRESSED, PartState.SENT), (PartState.FAILED, PartState.SENT)} <= rules.walked


@pytest.mark.parametrize("state", [PartState.SUPPRESSED, PartState.FAILED])
def test_what_an_attempt_before_the_word_created_is_known_as_sent_also_if_the_resend_ended(state: PartState) -> None:
    finding = search(Rules(without(state, PartState.SENT), operator=True))

    assert finding is not None
    assert finding.what == f"created, and {state} for ever"


def test_a_command_that_comes_late_and_names_no_attempt_sends_what_may_have_been_sent() -> None:
    finding = search(Rules(PART_MOVES, operator=True, word_is_checked=False))

    assert finding is not None
    assert finding.way.count("resend") == 2


def test_what_an_honest_list_does_not_show_is_sent_again_and_there_is_one_message() -> None:
    rules = Rules(PART_MOVES, resends=True, operator=True)

    assert search(rules) is None
    assert (PartState.UNKNOWN, PartState.RETRY) in rules.walked


def test_a_list_that_lacks_a_message_costs_one_message_more_and_not_two() -> None:
    lying = Rules(PART_MOVES, resends=True, list_is_honest=False)

    finding = search(lying)

    assert finding is not None
    assert finding.what == "a second SMS"
    assert finding.way.count("send again") == 1
    assert search(replace(lying, repeats=1)) is None


@pytest.mark.parametrize(
    ("rules", "again"),
    [
        (Rules(PART_MOVES, resends=True, list_is_honest=False, repeats=1, resent_once=False), 2),
        (Rules(PART_MOVES, resends=True, list_is_honest=False, operator=True, operator_is_heeded=False), 1),
        (Rules(PART_MOVES, resends=True, claims_expire=False), 1),
        (Rules(PART_MOVES, resends=True, attempt_is_checked=False), 0),
    ],
    ids=["more than once", "after an operator's word", "a claim that never expires", "whatever attempt stands"],
)
def test_sending_again_without_a_condition_breaks_a_promise(rules: Rules, again: int) -> None:
    finding = search(rules)

    assert finding is not None
    assert finding.way.count("send again") >= again


def test_check_send_mark_sends_twice() -> None:
    finding = naive()

    assert finding is not None
    assert finding.what == "a second SMS"


def test_binding_to_whatever_attempt_stands_sends_twice() -> None:
    finding = search(Rules(PART_MOVES, attempt_is_checked=False))

    assert finding is not None


@pytest.mark.parametrize(("source", "target"), MISSING, ids=str)
def test_an_arrow_more_breaks_a_promise_or_is_never_walked(source: PartState, target: PartState) -> None:
    """Removing a guard from the table is noticed."""
    rules = Rules(with_(source, target))

    finding = search(rules)

    assert finding is not None or (source, target) not in rules.walked, (
        f"{source} -> {target} does no harm, so why is it forbidden?"
    )


@pytest.mark.parametrize(
    ("source", "target"),
    [
        (PartState.UNKNOWN, PartState.SENDING),
        (PartState.SENT, PartState.SENDING),
        (PartState.SENDING, PartState.SENDING),
    ],
)
def test_sending_what_may_have_been_sent_is_found_to_send_twice(source: PartState, target: PartState) -> None:
    finding = search(Rules(with_(source, target)))

    assert finding is not None
    assert "created" in finding.what or finding.what in ("a second SMS", f"{source} became {target}")


@pytest.mark.parametrize(
    ("source", "target"),
    [
        (PartState.NEW, PartState.SENDING),
        (PartState.SENDING, PartState.UNKNOWN),
        (PartState.RETRY, PartState.SENDING),
        (PartState.UNKNOWN, PartState.SENT),
        (PartState.UNKNOWN, PartState.HELD),
        (PartState.HELD, PartState.SENT),
    ],
)
def test_an_arrow_less_leaves_a_person_in_doubt_for_ever(source: PartState, target: PartState) -> None:
    """Each of these moves is the only way out of a state, or the only way to SENT."""
    assert search(Rules(without(source, target))) is not None
