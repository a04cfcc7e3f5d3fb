"""More workers, and a backlog: how replies grow with processes, and how twenty thousand texts that wait are answered.

Workers: each process holds eight conversations, and the model thinks for two seconds, so that one can answer four texts a second; two of them
eight, and so on until the cores are full. Backlog: all texts are in Redis before the first worker starts; one person has sent a thousand of them,
and whether the others wait for him is looked at. The model's answer bears the text's number, so that order is seen where it counts: at the carrier.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable
from itertools import pairwise
from typing import Any, Final

import redis

from benchmarks import turns
from benchmarks.lab import Proc
from benchmarks.report import Goal, Ratio, Study

WORKERS: Final = (1, 2, 4, 8)
#: Conversations a process, and what it can answer with a model of two seconds.
CONVERSATIONS: Final = 8
EACH_SECONDS: Final = 2.0
#: The backlog: all of it, what one person has sent of it, and what everybody else has.
BACKLOG: Final = 20_000
OF_ONE: Final = 1_000
OF_OTHERS: Final = 10
#: A drained backlog of this size is waited for so long.
DRAIN_SECONDS: Final = 1_800.0
#: Near linear: at least this part of twice as much.
LINEAR: Final = 0.8
OURS: Final = "ours"


def workers(at: turns.House, number: int, *, concurrency: int) -> list[Proc]:
    """So many worker processes, ready."""
    return [turns.ours(at, concurrency=concurrency, name=f"ours-{place}") for place in range(number)]


def grow(study: Study, *, seconds: float) -> None:
    """Replies a second with more and more workers."""
    for number in WORKERS:
        with turns.house(thinks=EACH_SECONDS) as at:
            workers(at, number, concurrency=CONVERSATIONS)
            texts = int(number * CONVERSATIONS / EACH_SECONDS * seconds)
            turns.accept(at, ((one, f"+1555{one:07d}") for one in range(texts)))
            turns.until_sent(at, texts)
            sent = sorted(when for _, _, when in turns.sent(at))
            # what the first and the last eighth did is the filling and the emptying
            among = sent[texts // 8 : -texts // 8]
            study.add(
                f"replies/s, model of 2 s, {number} workers of 8 conversations",
                OURS,
                (len(among) - 1) / (among[-1] - among[0]),
            )


def backlog(study: Study, *, texts: int, of_one: int) -> None:
    """How a backlog is drained: order, first and last reply, fairness, and the memory that it takes."""
    with turns.house(thinks=0) as at:
        client: Any = redis.Redis.from_url(at.env["REDIS_URL"])
        before = client.info("memory")["used_memory"]
        begun, spent = time.monotonic(), at.redis.cpu_seconds()
        turns.accept(at, _backlog(texts, of_one))
        study.add("microseconds of Redis's CPU a text brought", OURS, 1e6 * (at.redis.cpu_seconds() - spent) / texts)
        study.add("texts/s brought into Redis one by one", OURS, texts / (time.monotonic() - begun))
        study.add(
            "bytes of Redis's memory a waiting text", OURS, (client.info("memory")["used_memory"] - before) / texts
        )
        client.close()
        begun = time.monotonic()
        workers(at, 2, concurrency=32)
        started, spent = time.monotonic(), at.redis.cpu_seconds()
        turns.until_sent(at, texts, seconds=DRAIN_SECONDS)
        study.add("microseconds of Redis's CPU a turn", OURS, 1e6 * (at.redis.cpu_seconds() - spent) / texts)
        sent = turns.sent(at)
    one = [when for to, _, when in sent if to == THE_ONE]
    others = [when for to, _, when in sent if to != THE_ONE]
    study.add("s from the workers' start to the first reply", OURS, min(*one, *others) - begun)
    study.add("s from ready workers to the last reply to everybody else", OURS, max(others) - started)
    study.add("s from ready workers to the last reply to the one with a thousand", OURS, max(one) - started)
    study.add("texts/s drained by two workers", OURS, texts / (max(*one, *others) - started))
    swapped = _swapped(sent)
    study.goals.append(
        Goal(goal=f"{texts:,} waiting texts are drained in order, one reply each", met=swapped == 0 and len(set(sent)) == texts,
             figure=f"{len(sent):,} replies, {swapped} out of order")
    )  # fmt: skip
    # whoever is served in turns would end where everybody ends; whoever waits behind a thousand texts would come after them
    halfway = sorted(others)[len(others) // 2] - started
    share = sum(when - started <= halfway for when in one) / max(1, len(one))
    study.goals.append(
        Goal(goal="one person's thousand texts delay nobody: when half of the others' are answered, no more than half of his are",
             met=share <= 0.6, figure=f"{share:.0%} of his".replace("%", " %"))  # noqa: PLR2004 - half, with room for the last visit
    )  # fmt: skip


THE_ONE: Final = "+15550000000"


def _backlog(texts: int, of_one: int) -> Iterable[tuple[int, str]]:
    """All texts as they came: his among everybody else's."""
    every = texts // of_one
    for number in range(texts):
        other = 1 + (number // OF_OTHERS)
        yield number, THE_ONE if number % every == 0 else f"+1555{other:07d}"


def _swapped(sent: Iterable[tuple[str, str, float]]) -> int:
    """How many replies came after one to a later text of the same person."""
    newest: dict[str, int] = defaultdict(lambda: -1)
    swapped = 0
    for to, number, _ in sorted(sent, key=lambda one: one[2]):
        swapped += int(number) < newest[to]
        newest[to] = max(newest[to], int(number))
    return swapped


def study(*, quick: bool = False) -> Study:
    """The whole measurement."""
    found = Study(name="scale", title="More workers, and a backlog", command="scripts/bench scale")
    for _ in range(1 if quick else 2):
        grow(found, seconds=8 if quick else 12)
    backlog(found, texts=400 if quick else BACKLOG, of_one=20 if quick else OF_ONE)
    rates = [found.samples[f"replies/s, model of 2 s, {number} workers of 8 conversations"][OURS] for number in WORKERS]
    ratios = [Ratio.of(more, less) for less, more in pairwise(rates)]
    found.goals.append(
        Goal(goal="twice the workers, nearly twice the replies, until the cores are full",
             figure="; ".join(f"{found.median(f'replies/s, model of 2 s, {number} workers of 8 conversations', OURS):.1f}/s of {number}"
                              for number in WORKERS),
             ratio=", ".join(map(str, ratios)), met=all(ratio.median >= 2 * LINEAR for ratio in ratios))
    )  # fmt: skip
    return found
