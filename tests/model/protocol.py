"""The life of one part as a small state machine, of which every interleaving is checked.

The actors are:

- two workers, with up to three attempts
- a carrier that creates the message or not, and whose answer arrives or not
- delivery callbacks
- a lease holder that takes over
- a reconciler that sets a part to HELD
- a worker that suppresses a part that is too old
- an operator who says once of a held part that it is to be sent again; the command may be carried out at any time
  after that, and any number of times
- a reconciler that has a part in doubt sent again, once, because the carrier's list does not show it

Each of them may stop for ever after any step (a crash), or continue later from what it knew before (a pause). None of
them reads before it writes. Two things prevent harmful writes: the table of moves, which is the code's own, and the
check that the attempt to bind is the attempt in the row.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from journal.states import OPERATOR_PART_MOVES, PartState
from tests.model.explore import Explored, Finding, explore

S = PartState
Table = Mapping[PartState, frozenset[PartState]]

MOST_ATTEMPTS = 3
#: No move leads out of these, except that a HELD part may turn out to have been sent, and a SUPPRESSED or FAILED one,
#: if an attempt in doubt was to be repeated and is reported late.
FINAL = frozenset({S.SENT, S.FAILED, S.SUPPRESSED, S.HELD})
#: The possible outcomes of a send: what the worker learns, and whether the carrier created the message.
OUTCOMES = ((S.SENT, True), (S.UNKNOWN, True), (S.UNKNOWN, False), (S.RETRY, False), (S.FAILED, False))


@dataclass(frozen=True, slots=True)
class Worker:
    """The knowledge of one worker: nothing, an attempt that it claimed, or that attempt's outcome."""

    attempt: int | None = None
    outcome: PartState | None = None


@dataclass(frozen=True, slots=True)
class World:
    """The state of the row, the carrier and the two workers."""

    state: PartState = S.NEW
    attempt: int | None = None
    attempts: int = 0
    created: frozenset[int] = frozenset()
    workers: tuple[Worker, Worker] = (Worker(), Worker())
    #: The attempt that the operator said to repeat.
    word: int | None = None
    #: The attempts that were sent again because the list did not show them.
    resent: frozenset[int] = frozenset()

    @property
    def created_since(self) -> frozenset[int]:
        """Return the attempts that created a message, without those that were to be repeated."""
        repeated = max((attempt for attempt in (self.word, *self.resent) if attempt is not None), default=-1)
        return frozenset(attempt for attempt in self.created if attempt > repeated)


@dataclass(slots=True)
class Rules:
    """The guards of a write."""

    table: Table
    #: Whether there is an operator.
    operator: bool = False
    #: Whether the operator's word is carried out only for the attempt that it names.
    word_is_checked: bool = True
    #: Whether the operator chose that absence from the carrier's list counts.
    resends: bool = False
    #: Whether a list that was read often enough shows every message that was created.
    list_is_honest: bool = True
    #: Whether a worker that has waited that long does not send any more: a claim is good for five seconds.
    claims_expire: bool = True
    #: Whether a part is sent again once at most, and not if the operator has spoken of it.
    resent_once: bool = True
    operator_is_heeded: bool = True
    #: How many messages more than one the operator accepted by that choice.
    repeats: int = 0
    #: Whether an outcome is bound only to the attempt in the row.
    attempt_is_checked: bool = True
    #: The moves that were taken, to find out whether a move matters.
    walked: set[tuple[PartState, PartState]] = field(default_factory=set)

    def allow(self, world: World, target: PartState, attempt: int | None, *, any_attempt: bool = False) -> bool:
        """Return whether the row may move to `target` for this attempt, and record the move."""
        if not any_attempt and self.attempt_is_checked and world.attempt != attempt:
            return False
        if target not in self.table[world.state]:
            return False
        self.walked.add((world.state, target))
        return True


def steps(world: World, rules: Rules) -> Iterator[tuple[str, World]]:
    """Yield every possible next step."""
    for place, worker in enumerate(world.workers):
        yield from _worker_steps(world, rules, place, worker)
    for attempt in range(world.attempts):
        # A lease holder with a higher fence read SENDING at some time, and acts on it now.
        if rules.allow(world, S.UNKNOWN, attempt):
            yield "take over", replace(world, state=S.UNKNOWN)
        if rules.allow(world, S.HELD, attempt):
            yield "hold", replace(world, state=S.HELD)
        if attempt in world.created and rules.allow(world, S.SENT, attempt, any_attempt=True):
            yield "callback", replace(world, state=S.SENT)
    yield from _operator_steps(world, rules)
    yield from _resend_steps(world, rules)
    for attempt in (None, *range(world.attempts)):
        if world.state in (S.NEW, S.RETRY) and rules.allow(world, S.FAILED, attempt):
            # A lease holder that a bug keeps from claiming it reads the state first, so it gives up no other part.
            yield "give up", replace(world, state=S.FAILED)
        if rules.allow(world, S.SUPPRESSED, attempt):
            yield "suppress", replace(world, state=S.SUPPRESSED)


def _operator_steps(world: World, rules: Rules) -> Iterator[tuple[str, World]]:
    if not rules.operator or world.state is not S.HELD or S.RETRY not in OPERATOR_PART_MOVES[S.HELD]:
        return
    if world.word is None:
        yield "the operator says it", replace(world, word=world.attempt)
    elif world.attempt == world.word or not rules.word_is_checked:
        yield "resend", replace(world, state=S.RETRY)


def _resend_steps(world: World, rules: Rules) -> Iterator[tuple[str, World]]:
    if not rules.resends or world.attempt is None or (rules.list_is_honest and world.attempt in world.created):
        return
    if (world.resent and rules.resent_once) or (world.word is not None and rules.operator_is_heeded):
        return
    # a reconciler read UNKNOWN at some time, and acts on it now
    if world.state is S.UNKNOWN and rules.allow(world, S.RETRY, world.attempt):
        yield "send again", replace(world, state=S.RETRY, resent=world.resent | {world.attempt})


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
        expired = rules.claims_expire and worker.attempt in world.resent
        for outcome, creates in OUTCOMES:
            if expired and creates:
                continue
            created = world.created | {worker.attempt} if creates else world.created
            name = f"worker {place} sends: {outcome}{', created' if creates else ''}"
            yield name, knowing(replace(worker, outcome=outcome), replace(world, created=created))
        return
    if rules.allow(world, worker.outcome, worker.attempt):
        bound = replace(world, state=worker.outcome)
        yield f"worker {place} binds {worker.outcome}", knowing(Worker(), bound)
        # The write took effect and its answer was lost: the worker will write again.
        yield f"worker {place} binds {worker.outcome}, unconfirmed", bound


def broken(before: World, after: World, repeats: int = 0) -> str | None:
    """Return the promise that a step breaks, or None.

    `repeats`: how many messages more than one the operator accepts.
    """
    if len(after.created) > 1 + (after.word is not None) + repeats:
        return "a second SMS"
    allowed = {(S.HELD, S.SENT)} if after.word is None else {(S.HELD, S.SENT), (S.HELD, S.RETRY)}
    if after.word is not None or after.resent:
        allowed |= {(S.SUPPRESSED, S.SENT), (S.FAILED, S.SENT)}
    if before.state in FINAL and after.state is not before.state and (before.state, after.state) not in allowed:
        return f"{before.state} became {after.state}"
    if after.state is S.HELD and before.state not in (S.UNKNOWN, S.HELD):
        return "given up, though it was not in doubt"
    if before.state is S.RETRY and after.state is S.UNKNOWN:
        return "doubted, though it was proven not created"
    if after.created_since and after.state in (S.FAILED, S.SUPPRESSED, S.RETRY, S.NEW):
        return f"{after.state}, though it was created"
    if after.state is S.SENT and not after.created:
        return "SENT, though nothing was created"
    return None


def search(rules: Rules) -> Finding | None:
    """Search all reachable states. Return None if every promise holds and every state can come to rest."""
    seen = explore(
        World(), lambda world: steps(world, rules), lambda before, after: broken(before, after, rules.repeats)
    )
    return seen if isinstance(seen, Finding) else _stuck(seen)


def _stuck(seen: Explored[World]) -> Finding | None:
    """Find a state from which no rest can be reached.

    The part is for ever in doubt or for ever due, or its message was created and will never be known as sent.
    """
    to_rest = seen.reaching(lambda world: world.state in FINAL)
    to_truth = seen.reaching(lambda world: world.state is S.SENT)
    # A proof of SENT must be accepted at once, not only after the reconciler has set HELD.
    at_once = seen.reaching(lambda world: world.state is S.SENT, not_through=lambda world: world.state is S.HELD)
    for world in seen.came:
        if world.attempts < MOST_ATTEMPTS and world not in to_rest:
            return Finding(f"{world.state} for ever", seen.way(world))
        if world.created_since and world not in (to_truth if world.state is S.HELD else at_once):
            return Finding(f"created, and {world.state} for ever", seen.way(world))
        if world.created and world.state in (S.SUPPRESSED, S.FAILED) and world not in at_once:
            return Finding(f"created, and {world.state} for ever", seen.way(world))
        if world.state in (S.NEW, S.RETRY) and world.attempts < MOST_ATTEMPTS and world not in to_truth:
            return Finding(f"{world.state}, and never sent", seen.way(world))
    return None


def naive() -> Finding | None:
    """Search the obvious design: read whether it was sent, send it, mark it as sent.

    The interleavings are those of two workers, each of which may die and start again.
    """
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
