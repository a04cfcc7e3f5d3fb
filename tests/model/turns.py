"""The life of one text as a small state machine, of which every interleaving is checked.

The actors are two workers that both believe they hold the lease, a webhook that comes twice, a Redis that is emptied, a
reconciler, and a carrier whose list has the text.

A worker may stop for ever after any step, continue later from what it knew before, or write again because the answer to
its write was lost. No actor reads before it writes. Harmful writes are prevented by the code's own table of moves and
by the three checks that `Rules` names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from journal.states import TurnState
from tests.model.explore import Finding, explore

T = TurnState
Table = Mapping[TurnState, frozenset[TurnState]]
SETTLED = frozenset({T.ANSWERED, T.SILENT, T.STALE, T.DEAD})
#: How often the webhook comes at most.
MOST_WEBHOOKS = 2


@dataclass(frozen=True, slots=True)
class Worker:
    """The knowledge of one worker.

    It knows nothing, or the text by its row or its inbox entry, or the reply that it wrote and whether that was
    confirmed.
    """

    filed: bool = False
    #: The token of the reply that it tries to persist.
    token: int | None = None
    #: Whether it learned that the turn is over.
    over: bool = False


@dataclass(frozen=True, slots=True)
class World:
    """The state of the inbox, the row and the two workers."""

    inbox: bool = True
    row: TurnState | None = None
    #: The tokens of the replies that are persisted.
    words: frozenset[int] = frozenset()
    tokens: int = 0
    webhooks: int = 1
    flushes: int = 0
    workers: tuple[Worker, Worker] = (Worker(), Worker())


@dataclass(slots=True)
class Rules:
    """The guards of a write."""

    table: Table
    #: Whether a row is created only if there is none.
    absent_is_checked: bool = True
    #: Whether a text leaves the inbox only when its turn is over.
    over_is_checked: bool = True
    #: Whether texts that Redis lost are put back from the journal and from the carrier's list.
    reconciled: bool = True
    #: How often Redis is emptied at most.
    flushes: int = 2
    walked: set[tuple[TurnState, TurnState]] = field(default_factory=set)

    def allow(self, row: TurnState | None, target: TurnState) -> bool:
        """Return whether a row may move to `target`, and record the move."""
        if row is None or target not in self.table[row]:
            return False
        self.walked.add((row, target))
        return True


def steps(world: World, rules: Rules) -> Iterator[tuple[str, World]]:
    """Yield every possible next step."""
    for place, worker in enumerate(world.workers):
        yield from _worker_steps(world, rules, place, worker)
    if world.webhooks < MOST_WEBHOOKS:
        yield "the webhook comes again", replace(world, inbox=True, webhooks=world.webhooks + 1)
    if world.flushes < rules.flushes and world.inbox:
        yield "redis is emptied", replace(world, inbox=False, flushes=world.flushes + 1)
    if rules.reconciled and not world.inbox and world.row not in SETTLED:
        yield "the reconciler puts it back", replace(world, inbox=True)


def _knowing(world: World, place: int, worker: Worker) -> World:
    """Return `world` with the knowledge of one worker replaced."""
    one, other = world.workers
    return replace(world, workers=(worker, other) if place == 0 else (one, worker))


def _worker_steps(world: World, rules: Rules, place: int, worker: Worker) -> Iterator[tuple[str, World]]:
    if worker != Worker():
        yield f"worker {place} dies", _knowing(world, place, Worker())
    if world.inbox and not worker.filed and not worker.over:
        if world.row is None or not rules.absent_is_checked:
            yield f"worker {place} files", _knowing(replace(world, row=T.FILED), place, Worker(filed=True))
        elif world.row is T.FILED:
            yield f"worker {place} finds it filed", _knowing(world, place, Worker(filed=True))
        else:
            yield f"worker {place} finds it over", _knowing(world, place, Worker(over=True))
    if worker.filed:
        yield from _ends(world, rules, place, worker)
    if world.inbox and (worker.over or (worker.filed and not rules.over_is_checked)):
        yield f"worker {place} removes", _knowing(replace(world, inbox=False), place, Worker())


def _ends(world: World, rules: Rules, place: int, worker: Worker) -> Iterator[tuple[str, World]]:
    """Yield the steps of a worker that filed the text: it persists a reply, or settles without one."""
    token = worker.token if worker.token is not None else world.tokens
    if token < len(world.workers) and rules.allow(world.row, T.ANSWERED):
        words, tokens = world.words | {token}, max(world.tokens, token + 1)
        kept = replace(world, row=T.ANSWERED, words=words, tokens=tokens)
        yield f"worker {place} persists", _knowing(kept, place, Worker(over=True))
        yield f"worker {place} persists, unconfirmed", _knowing(kept, place, replace(worker, token=token))
    elif token in world.words:
        yield f"worker {place} reads its own mark back", _knowing(world, place, Worker(over=True))
    for target in (T.SILENT, T.STALE, T.DEAD):
        if rules.allow(world.row, target):
            yield f"worker {place} settles {target}", _knowing(replace(world, row=target), place, Worker(over=True))


def broken(before: World, after: World) -> str | None:
    """Return the promise that a step breaks, or None."""
    if len(after.words) > 1:
        return "two replies"
    if before.row in SETTLED and after.row is not before.row:
        return f"{before.row} became {after.row}"
    if after.words and after.row is not T.ANSWERED:
        return f"{after.row}, though a reply is kept"
    if after.row is T.ANSWERED and not after.words:
        return "ANSWERED without a reply"
    return None


def search(rules: Rules) -> Finding | None:
    """Search all reachable states. Return None if every promise holds and no text is ever lost."""
    seen = explore(World(), lambda world: steps(world, rules), broken)
    if isinstance(seen, Finding):
        return seen
    answered = seen.reaching(lambda world: world.row is T.ANSWERED)
    at_rest = seen.reaching(lambda world: world.row in SETTLED and not world.inbox)
    for world in seen.came:
        if world.row not in SETTLED and world not in answered:
            return Finding("lost: no way to an answer", seen.way(world))
        if world not in at_rest:
            return Finding("never comes to rest", seen.way(world))
    return None
