"""Measure how throughput scales with worker processes, and how a backlog of 20,000 texts is drained.

Workers: each process holds eight conversations and the model thinks for two seconds. So one process can answer four
texts a second, two can answer eight, and so on until the cores are full.

Backlog: all texts are in Redis before the first worker starts. One person has sent a thousand of them; the study
measures whether the others wait for that person. The model's answer contains the text's number, so that the order is
checked at the carrier.
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
#: Conversations of a process, and the seconds that the model thinks.
CONVERSATIONS: Final = 8
EACH_SECONDS: Final = 2.0
#: Texts in the backlog: in total, from the one busy person, and from each other person.
BACKLOG: Final = 20_000
OF_ONE: Final = 1_000
OF_OTHERS: Final = 10
#: How long the study waits until the backlog is drained.
DRAIN_SECONDS: Final = 1_800.0
#: Near linear: twice the processes give at least this share of twice the throughput.
LINEAR: Final = 0.8
OURS: Final = "ours"


def workers(at: turns.House, number: int, *, concurrency: int) -> list[Proc]:
    """Start `number` worker processes and wait until they are ready."""
    return [turns.ours(at, concurrency=concurrency, name=f"ours-{place}") for place in range(number)]


def grow(study: Study, *, seconds: float) -> None:
    """Measure replies a second with each number of workers."""
    for number in WORKERS:
        with turns.house(thinks=EACH_SECONDS) as at:
            workers(at, number, concurrency=CONVERSATIONS)
            texts = int(number * CONVERSATIONS / EACH_SECONDS * seconds)
            turns.accept(at, ((one, f"+1555{one:07d}") for one in range(texts)))
            turns.until_sent(at, texts)
            sent = sorted(when for _, _, when in turns.sent(at))
            # leave out the first and the last eighth: start-up and drain
            steady = sent[texts // 8 : -texts // 8]
            study.add(
                f"replies/s, model of 2 s, {number} workers of 8 conversations",
                OURS,
                (len(steady) - 1) / (steady[-1] - steady[0]),
            )


def backlog(study: Study, *, texts: int, of_one: int) -> None:
    """Measure how a backlog is drained: order, first and last reply, fairness, and memory."""
    with turns.house(thinks=0) as at:
        client: Any = redis.Redis.from_url(at.env["REDIS_URL"])
        before = client.info("memory")["used_memory"]
        started_at, cpu_before = time.monotonic(), at.redis.cpu_seconds()
        turns.accept(at, _backlog(texts, of_one))
        study.add(
            "microseconds of Redis's CPU a text brought", OURS, 1e6 * (at.redis.cpu_seconds() - cpu_before) / texts
        )
        study.add("texts/s brought into Redis one by one", OURS, texts / (time.monotonic() - started_at))
        study.add(
            "bytes of Redis's memory a waiting text", OURS, (client.info("memory")["used_memory"] - before) / texts
        )
        client.close()
        started_at = time.monotonic()
        workers(at, 2, concurrency=32)
        ready_at, cpu_before = time.monotonic(), at.redis.cpu_seconds()
        turns.until_sent(at, texts, seconds=DRAIN_SECONDS)
        study.add("microseconds of Redis's CPU a turn", OURS, 1e6 * (at.redis.cpu_seconds() - cpu_before) / texts)
        sent = turns.sent(at)
    one = [when for to, _, when in sent if to == THE_ONE]
    others = [when for to, _, when in sent if to != THE_ONE]
    study.add("s from the workers' start to the first reply", OURS, min(*one, *others) - started_at)
    study.add("s from ready workers to the last reply to everybody else", OURS, max(others) - ready_at)
    study.add("s from ready workers to the last reply to the one with a thousand", OURS, max(one) - ready_at)
    study.add("texts/s drained by two workers", OURS, texts / (max(*one, *others) - ready_at))
    swapped = _swapped(sent)
    study.goals.append(
        Goal(goal=f"{texts:,} waiting texts are drained in order, one reply each",
             met=swapped == 0 and len(set(sent)) == texts, figure=f"{len(sent):,} replies, {swapped} out of order")
    )  # fmt: skip
    # if the others waited behind the thousand texts, most of these would be answered by then
    halfway = sorted(others)[len(others) // 2] - ready_at
    share = sum(when - ready_at <= halfway for when in one) / max(1, len(one))
    study.goals.append(
        Goal(goal="one person's thousand texts do not delay the others: "
                  "when half of the others' texts are answered, at most half of the thousand are",
             figure=f"{share:.0%} of the thousand".replace("%", " %"),
             met=share <= 0.6)  # noqa: PLR2004 - half, with room for the last visit
    )  # fmt: skip


THE_ONE: Final = "+15550000000"


def _backlog(texts: int, of_one: int) -> Iterable[tuple[int, str]]:
    """Yield all texts in order of arrival: the busy person's spread evenly among the others'."""
    every = texts // of_one
    for number in range(texts):
        other = 1 + (number // OF_OTHERS)
        yield number, THE_ONE if number % every == 0 else f"+1555{other:07d}"


def _swapped(sent: Iterable[tuple[str, str, float]]) -> int:
    """Count replies sent after a reply to a later text of the same person."""
    newest: dict[str, int] = defaultdict(lambda: -1)
    swapped = 0
    for to, number, _ in sorted(sent, key=lambda one: one[2]):
        swapped += int(number) < newest[to]
        newest[to] = max(newest[to], int(number))
    return swapped


def study(*, quick: bool = False) -> Study:
    """Run the study."""
    results = Study(name="scale", title="More workers, and a backlog", command="scripts/bench scale")
    for _ in range(1 if quick else 2):
        grow(results, seconds=8 if quick else 12)
    backlog(results, texts=400 if quick else BACKLOG, of_one=20 if quick else OF_ONE)
    metrics = {number: f"replies/s, model of 2 s, {number} workers of 8 conversations" for number in WORKERS}
    rates = [results.samples[metric][OURS] for metric in metrics.values()]
    ratios = [Ratio.of(more, less) for less, more in pairwise(rates)]
    results.goals.append(
        Goal(goal="twice the workers, nearly twice the replies, until the cores are full",
             figure="; ".join(f"{results.median(name, OURS):.1f}/s of {number}" for number, name in metrics.items()),
             ratio=", ".join(map(str, ratios)), met=all(ratio.median >= 2 * LINEAR for ratio in ratios))
    )  # fmt: skip
    return results
