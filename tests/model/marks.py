"""Worlds in which processes read each other's marks, as functions of the tables and scripts."""

from __future__ import annotations

from collections.abc import Mapping

from conversation.memory_table import MemoryTables
from journal.states import PartState
from sms.ports import Unknown
from tests.builders import refused
from tests.model.world import Cut, Neighbours, World

NO_EDITS: Mapping[str, str] = {}


def run_cut_with_marks(
    fault: Cut, neighbours: Neighbours, tables: MemoryTables | None = None, edits: Mapping[str, str] = NO_EDITS
) -> None:
    """Cut a visit once, and let the neighbours read what it leaves."""
    world = World("each", 1, tables, edits=edits, neighbours=neighbours)
    wire = world.visit(fault)
    assert wire.struck
    world.come_to_rest()
    world.account(wire)


def run_lost_claim(
    fault: Cut,
    neighbours: Neighbours,
    tables: MemoryTables | None = None,
    edits: Mapping[str, str] = NO_EDITS,
    *,
    lands_late: bool,
) -> None:
    """Let a claim's owner die, or never hear of it.

    The claim may land only after the neighbours have looked.
    """
    world = World("each", 1, tables, edits=edits, neighbours=neighbours)
    wire = world.visit(fault)
    if wire.in_flight is not None and not lands_late:
        wire.land()
    world.settle_marks()
    if wire.in_flight is not None and lands_late:
        wire.land()
    world.come_to_rest()
    world.account(wire)


def run_second_copy(tables: MemoryTables | None = None, edits: Mapping[str, str] = NO_EDITS) -> None:
    """Let a second copy of a claim land after its attempt was refused: it must revive nothing."""
    world = World("each", 1, tables, bodies=["one"], edits=edits, neighbours="at once")
    world.sender.answers.append(refused(20429))
    wire = world.visit(Cut("claim", after=True, late=True, meanwhile=lambda: None))
    assert [part.state for part in world.parts()] == [PartState.RETRY]

    wire.land()

    assert [part.state for part in world.parts()] == [PartState.RETRY], "a second copy of the claim revived it"
    world.come_to_rest()
    world.account(wire)


def run_proof_of_another(tables: MemoryTables | None = None, edits: Mapping[str, str] = NO_EDITS) -> None:
    """Prove that a dead worker's attempt was never made, while another worker's may have been sent."""
    world = World("each", 1, tables, bodies=["one"], edits=edits, neighbours="late")
    never_claimed = world.visit(Cut("claim", after=False, dies=True))
    world.sender.answers.append(Unknown(reason="no answer"))
    world.sender.creates_anyway = True
    world.visit_by_another()
    assert [part.state for part in world.parts()] == [PartState.UNKNOWN]

    world.settle_marks()

    assert [part.state for part in world.parts()] == [PartState.UNKNOWN], "a proof of another attempt moved it"
    world.come_to_rest()
    world.account(never_claimed)


def run_proof_of_held(tables: MemoryTables | None = None, edits: Mapping[str, str] = NO_EDITS) -> None:
    """Prove that a held reply was never sent: it stays held, as an operator may have answered."""
    world = World("each", 1, tables, bodies=["one"], edits=edits, neighbours="late")
    world.visit(Cut("claim", after=True, dies=True))
    world.visit_by_another()
    world.ms += 2 * 3_600_000
    world.reconciler.reconcile()
    assert [part.state for part in world.parts()] == [PartState.HELD]

    for _ in range(2):
        world.settle_marks()

    (part,) = world.parts()
    assert (part.state, part.proven_unsent) == (PartState.HELD, part.attempt_id)
    assert sum(event.get("evidence") == "mark" for event in part.facts["log"]) == 1


#: The ways in which a claim's owner does not learn whether it took effect.
LOST_CLAIMS = tuple(
    Cut("claim", after=not late, late=late, dies=dies, away=not dies)
    for late in (False, True)
    for dies in (False, True)
)
