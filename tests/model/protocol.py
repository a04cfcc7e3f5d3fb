"""The life of one part as a small state machine, every interleaving of which is looked at.

Two workers, up to three attempts, a carrier that creates or does not and whose answer comes or does not, callbacks, a holder that takes over, a
reconciler that holds, and somebody who suppresses what is too old. Any of them may stop for ever after any step (a crash) or go on later from
what it knew before (a pause). Nobody looks before he writes: what keeps a write from doing harm is the table of moves, which is the code's own,
and the check that the attempt that is bound is the one that stands.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from conversation.journal import PartState
from tests.model.explore import Explored, Finding, explore

S = PartState
Table = Mapping[PartState, frozenset[PartState]]

MOST_ATTEMPTS = 3
#: From these nothing leads away, but that a held part turns out to have been sent.
FINAL = frozenset({S.SENT, S.FAILED, S.SUPPRESSED, S.HELD})
#: What a claimant may learn: the carrier's answer, and whether it created anything.
OUTCOMES = ((S.SENT, True), (S.UNKNOWN, True), (S.UNKNOWN, False), (S.RETRY, False), (S.FAILED, False))


@dataclass(frozen=True, slots=True)
class Worker:
    """What one worker knows: nothing, an attempt that it claimed, or that attempt's outcome."""

    attempt: int | None = None
    outcome: PartState | None = None


@dataclass(frozen=True, slots=True)
class World:
    """The row, the carrier, and the two workers."""

    state: PartState = S.NEW
    attempt: int | None = None
    attempts: int = 0
    created: frozenset[int] = frozenset()
    workers: tuple[Worker, Worker] = (Worker(), Worker())


@dataclass(slots=True)
class Rules:
    """What guards a write."""

    table: Table
    #: An outcome is bound only to the attempt that stands in the row.
    attempt_is_checked: bool = True
    #: Arrows that were walked, for whoever asks whether one matters.
    walked: set[tuple[PartState, PartState]] = field(default_factory=set)

    def allow(self, world: World, target: PartState, attempt: int | None, *, any_attempt: bool = False) -> bool:
        """Whether the row may move to `target` for this attempt."""
        if not any_attempt and self.attempt_is_checked and world.attempt != attempt:
            return False
        if target not in self.table[world.state]:
            return False
        self.walked.add((world.state, target))
        return True


def steps(world: World, rules: Rules) -> Iterator[tuple[str, World]]:
    """Everything that can happen next."""
    for place, worker in enumerate(world.workers):
        yield from _worker_steps(world, rules, place, worker)
    for attempt in range(world.attempts):
        # a holder with a higher fence found SENDING at some time, and acts on it now
        if rules.allow(world, S.UNKNOWN, attempt):
            yield "take over", replace(world, state=S.UNKNOWN)
        if rules.allow(world, S.HELD, attempt):
            yield "hold", replace(world, state=S.HELD)
        if attempt in world.created and rules.allow(world, S.SENT, attempt, any_attempt=True):
            yield "callback", replace(world, state=S.SENT)
    for attempt in (None, *range(world.attempts)):
        if world.state in (S.NEW, S.RETRY) and rules.allow(world, S.FAILED, attempt):
            # a holder whom a bug keeps from claiming it; it looks at the state first, so nothing else is ever given up
            yield "give up", replace(world, state=S.FAILED)
        if rules.allow(world, S.SUPPRESSED, attempt):
            yield "suppress", replace(world, state=S.SUPPRESSED)


def _worker_steps(world: World, rules: Rules, place: int, worker: Worker) -> Iterator[tuple[str, World]]:
    def knowing(changed: Worker, now: World) -> World:
        workers = list(now.workers)
        workers[place] = changed
        return replace(now, workers=(workers[0], workers[1]))

    if worker.attempt is None:
        if world.attempts < MOST_ATTEMPTS and rules.allow(world, S.SENDING, None, any_attempt=True):
            attempt = world.attempts
            claimed = replace(world, state=S.SENDING, attempt=attempt, attempts=attempt + 1)
            yield f"worker {place} claims", knowing(Worker(attempt), claimed)
        return
    yield f"worker {place} dies", knowing(Worker(), world)
    if worker.outcome is None:
        for outcome, creates in OUTCOMES:
            created = world.created | {worker.attempt} if creates else world.created
            name = f"worker {place} sends: {outcome}{', created' if creates else ''}"
            yield name, knowing(replace(worker, outcome=outcome), replace(world, created=created))
        return
    if rules.allow(world, worker.outcome, worker.attempt):
        bound = replace(world, state=worker.outcome)
        yield f"worker {place} binds {worker.outcome}", knowing(Worker(), bound)
        # the write took effect and its answer was lost: it will be written again
        yield f"worker {place} binds {worker.outcome}, unconfirmed", bound


def broken(before: World, after: World) -> str | None:
    """Which promise a step breaks."""
    if len(after.created) > 1:
        return "a second SMS"
    if before.state in FINAL and after.state is not before.state and (before.state, after.state) != (S.HELD, S.SENT):
        return f"{before.state} became {after.state}"
    if after.state is S.HELD and before.state not in (S.UNKNOWN, S.HELD):
        return "given up, though it was not in doubt"
    if before.state is S.RETRY and after.state is S.UNKNOWN:
        return "doubted, though it was proven not created"
    if after.created and after.state in (S.FAILED, S.SUPPRESSED, S.RETRY, S.NEW):
        return f"{after.state}, though it was created"
    if after.state is S.SENT and not after.created:
        return "SENT, though nothing was created"
    return None


def search(rules: Rules) -> Finding | None:
    """Look at every reachable world. None: every promise holds, and every world can still come to rest."""
    seen = explore(World(), lambda world: steps(world, rules), broken)
    return seen if isinstance(seen, Finding) else _stuck(seen)


def _stuck(seen: Explored[World]) -> Finding | None:
    """A world from which no rest can be reached: for ever in doubt, or for ever due; or created, and never to be known as sent."""
    to_rest = seen.reaching(lambda world: world.state in FINAL)
    to_truth = seen.reaching(lambda world: world.state is S.SENT)
    # evidence must be taken as it comes: not only after somebody has given up
    at_once = seen.reaching(lambda world: world.state is S.SENT, not_through=lambda world: world.state is S.HELD)
    for world in seen.came:
        if world.attempts < MOST_ATTEMPTS and world not in to_rest:
            return Finding(f"{world.state} for ever", seen.way(world))
        if world.created and world not in (to_truth if world.state is S.HELD else at_once):
            return Finding(f"created, and {world.state} for ever", seen.way(world))
        if world.state in (S.NEW, S.RETRY) and world.attempts < MOST_ATTEMPTS and world not in to_truth:
            return Finding(f"{world.state}, and never sent", seen.way(world))
    return None


def naive() -> Finding | None:
    """What anybody would write first: look whether it was sent, send, mark it sent. Two workers, or one that dies and comes again."""
    start = (False, 0, ("idle", "idle"))
    came: dict[tuple[bool, int, tuple[str, str]], list[str]] = {start: []}
    queue = deque([start])
    while queue:
        marked, created, workers = world = queue.popleft()
        for place in (0, 1):
            for name, after_marked, after_created, now in _naive_steps(workers[place], marked=marked, created=created):
                both = (now, workers[1]) if place == 0 else (workers[0], now)
                after = (after_marked, after_created, both)
                way = [*came[world], f"worker {place} {name}"]
                if after_created > 1:
                    return Finding("a second SMS", way)
                if after not in came:
                    came[after] = way
                    queue.append(after)
    return None


def _naive_steps(worker: str, *, marked: bool, created: int) -> Iterator[tuple[str, bool, int, str]]:
    if worker == "idle" and not marked:
        yield "looks: not sent", marked, created, "looked"
    elif worker == "looked":
        yield "sends", marked, created + 1, "sent"
    elif worker == "sent":
        yield "marks it sent", True, created, "idle"
        yield "dies", marked, created, "idle"
