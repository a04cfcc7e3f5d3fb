"""The life of one text as a small state machine, every interleaving of which is looked at.

Two workers that both think they serve, a webhook that comes twice, a Redis that is emptied, a reconciler, and a carrier whose list knows the text.
Any worker may stop for ever after any step, or go on later from what it knew before, or write again because the answer to its write was lost. Nobody
looks before he writes: what keeps a write from doing harm is the code's own table of moves and the three checks that `Rules` names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from conversation.journal import TurnState
from tests.model.explore import Finding, explore

T = TurnState
Table = Mapping[TurnState, frozenset[TurnState]]
SETTLED = frozenset({T.ANSWERED, T.SILENT, T.STALE, T.DEAD})
#: The most often that a webhook comes.
MOST_WEBHOOKS = 2


@dataclass(frozen=True, slots=True)
class Worker:
    """What one worker knows: nothing; the text, by its row or by its entry; the reply that it wrote and whether that was confirmed."""

    filed: bool = False
    #: The token of the words that it tries to persist.
    token: int | None = None
    #: It was told that the turn is over.
    over: bool = False


@dataclass(frozen=True, slots=True)
class World:
    """Inbox, row, and the two workers."""

    inbox: bool = True
    row: TurnState | None = None
    #: Whose words are kept, one token each.
    words: frozenset[int] = frozenset()
    tokens: int = 0
    webhooks: int = 1
    flushes: int = 0
    workers: tuple[Worker, Worker] = (Worker(), Worker())


@dataclass(slots=True)
class Rules:
    """What guards a write."""

    table: Table
    #: A row is made only where there is none.
    absent_is_checked: bool = True
    #: A text leaves the inbox only when its turn is over.
    over_is_checked: bool = True
    #: What Redis lost is put back from the journal and from the carrier's list.
    reconciled: bool = True
    #: The most often that Redis is emptied.
    flushes: int = 2
    walked: set[tuple[TurnState, TurnState]] = field(default_factory=set)

    def allow(self, row: TurnState | None, target: TurnState) -> bool:
        """Whether a row may move to `target`."""
        if row is None or target not in self.table[row]:
            return False
        self.walked.add((row, target))
        return True


def steps(world: World, rules: Rules) -> Iterator[tuple[str, World]]:
    """Everything that can happen next."""
    for place, worker in enumerate(world.workers):
        yield from _worker_steps(world, rules, place, worker)
    if world.webhooks < MOST_WEBHOOKS:
        yield "the webhook comes again", replace(world, inbox=True, webhooks=world.webhooks + 1)
    if world.flushes < rules.flushes and world.inbox:
        yield "redis is emptied", replace(world, inbox=False, flushes=world.flushes + 1)
    if rules.reconciled and not world.inbox and world.row not in SETTLED:
        yield "the reconciler puts it back", replace(world, inbox=True)


def _knowing(world: World, place: int, worker: Worker) -> World:
    """`world` in which one worker knows something else."""
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
    """A worker that has filed the text persists a reply, or settles it without one."""
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
    """Which promise a step breaks."""
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
    """Look at every reachable world. None: every promise holds, and no text is ever lost."""
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
