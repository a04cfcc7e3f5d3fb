"""The mark of an attempt as a state machine, of which every interleaving is checked.

One part; two processes, each with one slot; visits open at any time, so no clock, lease or pause is relied upon. A
claim that was sent may take effect at any time, or never. A process may be killed at any step; its slot stays, and a
reader settles it in two writes, each of which may come late.

`Variant` has a field for each condition of the protocol. With all of them no interleaving makes a second message, and
in every state the part can still become SENT, or due again. Without one of them there is a path to a second message,
or to a part that waits for ever although nothing was sent.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from tests.model.explore import Explored, Finding, explore

#: The states of a row and of a slot; plain words, because millions of states are compared.
NEW, SENDING, RETRY, UNKNOWN, SENT, HELD = "NEW", "SENDING", "RETRY", "UNKNOWN", "SENT", "HELD"
EMPTY, CLAIMING, BEGUN, REFUSED = "EMPTY", "CLAIMING", "BEGUN", "REFUSED"
DOUBLE: Final = "a second SMS"
HOPELESS: Final = "held without hope"


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """What may happen, and which condition of the protocol is taken out."""

    visits: int = 2
    kills: int = 1
    #: How often a client repeats a claim.
    repeats: int = 0
    #: How often the store goes away after a claim.
    away: int = 0
    #: How often the carrier answers that it created nothing.
    refusals: int = 0
    #: How often the carrier's answer is lost.
    lost_answers: int = 0
    #: How often the machine loses power.
    reboots: int = 0
    #: Whether a part in doubt may be held at any time, and an operator may then text by hand.
    holds: bool = False
    operator_texts: bool = False
    #: Whether a second copy of a reader's write may come late.
    late_proofs: bool = True

    marks: bool = True
    mark_precedes_claim: bool = True
    #: `before the write`, `before the claim` or `after the write`.
    begun: str = "before the write"
    #: Whether no kill comes between the store of BEGUN and the end of the write.
    store_and_write_are_one: bool = True
    #: Whether no kill comes between the carrier's refusal and its reading.
    refusal_is_read_at_once: bool = True
    #: When the reader raises the fence: `before the move`, `after the move` or `never`.
    fence_is_raised: str = "before the move"
    refused_proves: bool = True
    absence_proves: bool = False
    begun_proves: bool = False
    proof_names_attempt: bool = True
    proof_names_state: bool = True
    only_the_dead_are_read: bool = True
    boot_is_checked: bool = True
    emptied_before_reuse: bool = True
    emptied_after_bind: bool = True
    successor_keeps_the_file: bool = True
    claim_takes_effect_once: bool = True
    owner_keeps_lost_claims: bool = True
    owner_keeps_doubted_claims: bool = True
    held_moves_by_proof: bool = False


class Slot(NamedTuple):
    """A mark: its state, and the attempt and fence in its body."""

    state: str = EMPTY
    attempt: int = 0
    fence: int = 0


class Process(NamedTuple):
    """A living process: where it stands with which attempt, and its slot."""

    at: str = "idle"
    attempt: int = 0
    fence: int = 0
    slot: Slot = Slot()


class Dead(NamedTuple):
    """The slot of a dead process, and whether its reader has made the first of its two writes."""

    slot: Slot
    half_settled: bool = False


class World(NamedTuple):
    """The state of the row, the carrier, the processes and what is on its way."""

    state: str = NEW
    attempt: int = 0
    #: The fence under which the latest attempt was claimed.
    claimed_under: int = 0
    #: The attempts that the row ever had.
    taken: frozenset[int] = frozenset()
    fence: int = 0
    created: frozenset[int] = frozenset()
    attempts: int = 0
    processes: tuple[Process, ...] = (Process(), Process())
    #: Claims that were sent and may take effect.
    claims: tuple[tuple[int, int], ...] = ()
    dead: tuple[Dead, ...] = ()
    #: Attempts of which a second copy of the proof may be written.
    late: frozenset[int] = frozenset()
    texted_by_hand: bool = False
    #: How often each thing happened that is limited, by its name.
    happened: tuple[tuple[str, int], ...] = ()

    def count(self, what: str) -> int:
        """Return how often something happened."""
        return dict(self.happened).get(what, 0)

    def counting(self, what: str) -> World:
        """Return this world after something happened once more."""
        counts = dict(self.happened)
        counts[what] = counts.get(what, 0) + 1
        return self._replace(happened=tuple(sorted(counts.items())))

    def having(self, place: int, process: Process) -> World:
        """Return this world with another process at a place; the order of the two means nothing."""
        processes = list(self.processes)
        processes[place] = process
        return self._replace(processes=tuple(sorted(processes)))


Step = Iterator[tuple[str, World]]


def steps(world: World, variant: Variant) -> Step:
    """Yield every possible next step."""
    for place, process in enumerate(world.processes):
        if place == 0 or process != world.processes[0]:
            yield from _LIFE[process.at](world, variant, place, process)
            yield from _faults(world, variant, place, process)
    yield from _landings(world, variant)
    yield from _readers(world, variant)
    yield from _others(world, variant)


def _idle(world: World, variant: Variant, place: int, process: Process) -> Step:
    if world.count("visits") < variant.visits and world.state in (NEW, RETRY, SENDING):
        opened = process._replace(at="open", fence=world.fence + 1)
        yield "open", world._replace(fence=world.fence + 1).having(place, opened).counting("visits")
    old = process.slot.attempt
    if old and not variant.emptied_before_reuse:
        # another part's mark is written into the slot, and the state before the body
        yield "reuse the slot", world.having(place, process._replace(slot=Slot(CLAIMING, old, process.slot.fence)))


def _open(world: World, variant: Variant, place: int, process: Process) -> Step:
    yield "leave", world.having(place, Process())
    if world.state == SENDING and world.claimed_under < process.fence:
        yield "doubt", world._replace(state=UNKNOWN).having(place, Process())
    if world.state in (NEW, RETRY):
        attempt = world.attempts + 1
        slot = Slot()
        if variant.marks and variant.mark_precedes_claim:
            slot = Slot(BEGUN if variant.begun == "before the claim" else CLAIMING, attempt, process.fence)
        marked = Process("marked", attempt, process.fence, slot)
        yield "mark", world._replace(attempts=attempt).having(place, marked)


def _marked(world: World, variant: Variant, place: int, process: Process) -> Step:
    del variant
    yield "send the claim", _claim_sent(world, process).having(place, process._replace(at="waiting"))


def _claim_sent(world: World, process: Process) -> World:
    return world._replace(claims=tuple(sorted((*world.claims, (process.attempt, process.fence)))))


def _waiting(world: World, variant: Variant, place: int, process: Process) -> Step:
    if world.attempt == process.attempt and world.state in (SENDING, UNKNOWN):
        if world.state == SENDING or variant.owner_keeps_doubted_claims:
            slot = process.slot
            if variant.marks and not variant.mark_precedes_claim:
                slot = Slot(CLAIMING, process.attempt, process.fence)
            yield "learn that the claim holds", world.having(place, process._replace(at="claimed", slot=slot))
        else:
            yield "give the claim up", world.having(place, Process())
    elif world.fence > process.fence:
        yield "learn that the claim was refused", world.having(place, Process())
    if world.count("repeats") < variant.repeats:
        yield "repeat the claim", _claim_sent(world, process).counting("repeats")
    if world.count("away") < variant.away:
        kept = (Dead(process.slot),) if variant.owner_keeps_lost_claims and process.slot.state == CLAIMING else ()
        left = world._replace(dead=tuple(sorted((*world.dead, *kept)))).counting("away")
        yield "leave a claim without an answer", left.having(place, Process())


def _claimed(world: World, variant: Variant, place: int, process: Process) -> Step:
    begun = process._replace(slot=Slot(BEGUN, process.attempt, process.fence) if variant.marks else Slot())
    if variant.begun == "after the write":
        yield from _written(world, variant, place, process, at="late mark")
    elif variant.store_and_write_are_one:
        yield from _written(world, variant, place, begun)
    else:
        yield "store BEGUN", world.having(place, begun._replace(at="begun"))


def _begun(world: World, variant: Variant, place: int, process: Process) -> Step:
    yield from _written(world, variant, place, process)


def _written(world: World, variant: Variant, place: int, process: Process, at: str = "") -> Step:
    created = world._replace(created=world.created | {process.attempt})
    yield "write, created", created.having(place, process._replace(at=at or "created"))
    if world.count("refusals") < variant.refusals and not at:
        refused = world.counting("refusals")
        if variant.refusal_is_read_at_once:
            yield from _refused(refused, variant, place, process)
        else:
            yield "write, refused", refused.having(place, process._replace(at="refused"))


def _late_mark(world: World, variant: Variant, place: int, process: Process) -> Step:
    del variant
    slot = Slot(BEGUN, process.attempt, process.fence)
    yield "store BEGUN", world.having(place, process._replace(at="created", slot=slot))


def _created(world: World, variant: Variant, place: int, process: Process) -> Step:
    yield "bind SENT", _bound(world, process, SENT).having(place, _after(process))
    if world.count("lost answers") < variant.lost_answers:
        lost = _bound(world, process, UNKNOWN).counting("lost answers")
        yield "bind UNKNOWN", lost.having(place, _after(process))


def _refused(world: World, variant: Variant, place: int, process: Process) -> Step:
    slot = Slot(REFUSED, process.attempt, process.fence) if variant.marks else Slot()
    if not variant.emptied_after_bind:
        slot = Slot()
    yield "read the refusal", world.having(place, process._replace(at="known refused", slot=slot))


def _known_refused(world: World, variant: Variant, place: int, process: Process) -> Step:
    del variant
    yield "bind RETRY", _bound(world, process, RETRY).having(place, _after(process))


def _after(process: Process) -> Process:
    """Return the process after its attempt: the slot is empty, and its body still has the attempt."""
    return Process(slot=Slot(EMPTY, process.slot.attempt, process.slot.fence))


def _bound(world: World, process: Process, state: str) -> World:
    if world.attempt != process.attempt or world.state not in (SENDING, UNKNOWN):
        return world
    return world._replace(state=state)


_LIFE: Final = {
    "idle": _idle,
    "open": _open,
    "marked": _marked,
    "waiting": _waiting,
    "claimed": _claimed,
    "begun": _begun,
    "late mark": _late_mark,
    "created": _created,
    "refused": _refused,
    "known refused": _known_refused,
}


def _faults(world: World, variant: Variant, place: int, process: Process) -> Step:
    if process == Process():
        return
    used = process.slot.state != EMPTY
    if world.count("kills") < variant.kills:
        left = (Dead(process.slot),) if used and variant.successor_keeps_the_file else ()
        killed = world._replace(dead=tuple(sorted((*world.dead, *left)))).counting("kills")
        yield "KILL", killed.having(place, Process())
    if not variant.only_the_dead_are_read and used and Dead(process.slot) not in world.dead:
        yield "believe a stopped process dead", world._replace(dead=tuple(sorted((*world.dead, Dead(process.slot)))))


def _landings(world: World, variant: Variant) -> Step:
    for claim in dict.fromkeys(world.claims):
        claims = list(world.claims)
        claims.remove(claim)
        rest = world._replace(claims=tuple(claims))
        attempt, fence = claim
        once = not variant.claim_takes_effect_once or attempt not in world.taken
        if world.fence == fence and world.state in (NEW, RETRY) and once:
            taken = world.taken | {attempt}
            yield "the claim lands", rest._replace(state=SENDING, attempt=attempt, claimed_under=fence, taken=taken)
        else:
            yield "the claim is refused", rest


def _readers(world: World, variant: Variant) -> Step:
    for dead in dict.fromkeys(world.dead):
        others = list(world.dead)
        others.remove(dead)
        rest = world._replace(dead=tuple(others))
        slot = dead.slot
        if (slot.state == BEGUN and not variant.begun_proves) or (slot.state == REFUSED and not variant.refused_proves):
            yield "drop a slot that proves nothing", rest
            continue
        writes = _WRITES[variant.fence_is_raised]
        write = writes[dead.half_settled]
        half = rest._replace(dead=tuple(sorted((*others, Dead(slot, half_settled=True)))))
        after = half if len(writes) > 1 and not dead.half_settled else rest
        if write == "raise the fence":
            yield write, after._replace(fence=world.fence + (world.fence == slot.fence))
        else:
            late = world.late | {slot.attempt} if variant.late_proofs else world.late
            yield write, _proven(after._replace(late=late), variant, slot.attempt)
    for attempt in world.late:
        yield "the proof comes again", _proven(world._replace(late=world.late - {attempt}), variant, attempt)
    if variant.absence_proves and all(process.attempt != world.attempt for process in world.processes):
        yield "miss a slot that says BEGUN", _proven(world, variant, world.attempt)


#: What a reader writes for a slot, in order.
_WRITES: Final = {
    "before the move": ("raise the fence", "prove it unsent"),
    "after the move": ("prove it unsent", "raise the fence"),
    "never": ("prove it unsent",),
}


def _proven(world: World, variant: Variant, attempt: int) -> World:
    """Return the world after the move that a proof allows."""
    sources = [SENDING, UNKNOWN, *([HELD] if variant.held_moves_by_proof else [])]
    if variant.proof_names_state and world.state not in sources:
        return world
    if variant.proof_names_attempt and world.attempt != attempt:
        return world
    return world._replace(state=RETRY) if world.attempt else world


def _others(world: World, variant: Variant) -> Step:
    if world.created & world.taken and world.state in (SENDING, UNKNOWN, RETRY, HELD):
        yield "callback", world._replace(state=SENT)
    owned = any(process.attempt == world.attempt for process in world.processes)
    if variant.holds and world.state == UNKNOWN and not owned:
        # the validity period is over: no request of this attempt is on its way
        yield "hold", world._replace(state=HELD)
    if variant.operator_texts and world.state == HELD and not world.texted_by_hand:
        yield "the operator texts by hand", world._replace(texted_by_hand=True)
    if world.count("reboots") < variant.reboots:
        slots = [process.slot for process in world.processes if process.slot.state != EMPTY]
        # the last store may not be on the disk: an older page still says CLAIMING
        old = () if variant.boot_is_checked else tuple(Dead(slot._replace(state=CLAIMING)) for slot in slots)
        after = world._replace(processes=(Process(), Process()), dead=tuple(sorted(old)))
        yield "power loss", after.counting("reboots")


def broken(before: World, after: World) -> str | None:
    """Return the promise that a step breaks, or None."""
    is_new = len(after.created) > len(before.created)
    if is_new and (len(after.created) > 1 or after.texted_by_hand):
        return DOUBLE
    return None


def is_hopeless(world: World) -> bool:
    """Return whether the part is in doubt, nothing was created, and nothing is left that could tell."""
    if world.state not in (SENDING, UNKNOWN) or world.attempt in world.created:
        return False
    owned = any(process.attempt == world.attempt for process in world.processes)
    proofs = (dead.slot for dead in world.dead if dead.slot.state in (CLAIMING, REFUSED))
    proven = world.attempt in world.late or any(slot.attempt == world.attempt for slot in proofs)
    return not owned and not proven


def search(variant: Variant, *, for_hope: bool = True) -> Finding | Explored[World]:
    """Search all reachable states; return the first broken promise, or everything that was reached.

    `for_hope`: a part that is held without hope ends the search, too.
    """

    def offence(before: World, after: World) -> str | None:
        return broken(before, after) or (HOPELESS if for_hope and is_hopeless(after) else None)

    return explore(World(), lambda world: steps(world, variant), offence)


def without_a_way_out(seen: Explored[World]) -> set[World]:
    """Return the states from which the part can become neither SENT nor due again."""
    out = seen.reaching(lambda world: world.state in (NEW, RETRY, SENT))
    return set(seen.came) - out
