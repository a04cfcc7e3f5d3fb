"""Each condition of the send mark is taken out: a second message, or a reply that waits for ever."""

from __future__ import annotations

from dataclasses import fields

import pytest

from tests.model.explore import Finding
from tests.model.send_mark import DOUBLE, HOPELESS, Variant, search, without_a_way_out

#: What the protocol must survive without a second message and without a part that is held without hope.
CORRECT = {
    "kills": Variant(),
    "repeated claims": Variant(repeats=1),
    "a store that goes away after a claim": Variant(away=1),
    "refusals": Variant(refusals=1),
    "three visits": Variant(visits=3),
    "two kills": Variant(visits=3, kills=2),
    "HELD moves by proof, and no operator acts": Variant(visits=3, held_moves_by_proof=True, holds=True),
    "everything but a lost answer": Variant(repeats=1, away=1, refusals=1, kills=1),
}
#: Every fault at once. Lost answers and lost machines leave a doubt, and never a second message.
ALL_FAULTS = Variant(
    kills=1, repeats=1, away=1, refusals=1, lost_answers=1, reboots=1, holds=True, operator_texts=True,
    store_and_write_are_one=False, refusal_is_read_at_once=False,
)  # fmt: skip
#: The doubt that a kill can still leave.
RESIDUAL = {
    "killed between mark and write": Variant(store_and_write_are_one=False),
    "killed between a refusal and its reading": Variant(refusals=1, refusal_is_read_at_once=False),
}
#: A condition that is taken out, and what happens then.
TAKEN_OUT = {
    "no marks": (Variant(marks=False), HOPELESS),
    "the mark follows the claim": (Variant(mark_precedes_claim=False), HOPELESS),
    "BEGUN before the claim": (Variant(begun="before the claim"), HOPELESS),
    "BEGUN after the first byte": (Variant(begun="after the write"), DOUBLE),
    "the fence is not raised": (Variant(fence_is_raised="never"), HOPELESS),
    "the fence is raised after the move": (Variant(fence_is_raised="after the move", late_proofs=False), HOPELESS),
    "absence proves": (Variant(absence_proves=True), DOUBLE),
    "BEGUN proves": (Variant(begun_proves=True), DOUBLE),
    "REFUSED proves nothing": (Variant(refused_proves=False, refusals=1), HOPELESS),
    "the proof names no attempt": (Variant(proof_names_attempt=False, visits=3), DOUBLE),
    "the proof names no state": (
        Variant(proof_names_state=False, visits=3, holds=True, operator_texts=True), DOUBLE
    ),
    "HELD moves by proof, and the operator texts by hand": (
        Variant(held_moves_by_proof=True, visits=3, holds=True, operator_texts=True), DOUBLE
    ),
    "a stopped process counts as dead": (Variant(only_the_dead_are_read=False, kills=0), DOUBLE),
    "the boot is not checked": (Variant(boot_is_checked=False, reboots=1, kills=0), DOUBLE),
    "the slot is not emptied before reuse": (Variant(emptied_before_reuse=False, lost_answers=1), DOUBLE),
    "the slot is emptied before the bind": (Variant(emptied_after_bind=False, refusals=1), HOPELESS),
    "a restarted process empties its file": (Variant(successor_keeps_the_file=False), HOPELESS),
    "a claim takes effect twice": (Variant(claim_takes_effect_once=False, repeats=1, refusals=1, kills=0), HOPELESS),
    "the living frees a claim without an answer": (Variant(owner_keeps_lost_claims=False, away=1, kills=0), HOPELESS),
    "a doubted claim of one's own is given up": (Variant(owner_keeps_doubted_claims=False, kills=0), HOPELESS),
}  # fmt: skip


@pytest.mark.parametrize("name", CORRECT)
def test_a_kill_leaves_no_second_message_and_no_reply_without_hope(name: str) -> None:
    seen = search(CORRECT[name])

    assert not isinstance(seen, Finding), f"{seen.what}: {' > '.join(seen.way)}"
    assert without_a_way_out(seen) == set()


def test_all_faults_together_send_no_second_message() -> None:
    seen = search(ALL_FAULTS, for_hope=False)

    assert not isinstance(seen, Finding), f"{seen.what}: {' > '.join(seen.way)}"


@pytest.mark.parametrize("name", RESIDUAL)
def test_the_doubt_that_a_kill_can_still_leave_is_never_a_second_message(name: str) -> None:
    doubt = search(RESIDUAL[name])
    message = search(RESIDUAL[name], for_hope=False)

    assert isinstance(doubt, Finding)
    assert doubt.what == HOPELESS
    assert not isinstance(message, Finding)


@pytest.mark.parametrize("name", TAKEN_OUT)
def test_each_condition_is_missed_when_it_is_taken_out(name: str) -> None:
    variant, what = TAKEN_OUT[name]

    found = search(variant, for_hope=what == HOPELESS)

    assert isinstance(found, Finding), "nothing happens, so why is it there?"
    assert found.what == what


def test_every_field_of_a_variant_that_is_a_condition_is_taken_out() -> None:
    told = Variant()
    limits = {"visits", "kills", "repeats", "away", "refusals", "lost_answers", "reboots"}
    worlds = {"holds", "operator_texts", "late_proofs", "store_and_write_are_one", "refusal_is_read_at_once"}
    conditions = {field.name for field in fields(Variant)} - limits - worlds

    taken = {
        name
        for variant, _ in TAKEN_OUT.values()
        for name in conditions
        if getattr(variant, name) != getattr(told, name)
    }

    assert taken == conditions
