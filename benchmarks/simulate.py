"""Simulate a million people: which resource fills first, at what rate, and what it costs.

Every resource is a queue with a speed: a webhook process, a shard of Redis, a worker's core, the carrier's numbers.
A worker's conversations are slots, taken while a text is answered.
A text passes the queues one after the other, and waits if a queue is busy.
Our speeds are the medians of the benchmark results in `docs/benchmarks/`, measured on this machine.
Vendors' speeds and prices are as published (`Vendors`).
Texts arrive at random moments from a fixed seed, so the same command gives the same result.

The simulation leaves out the latency that `scripts/bench road` measures, and what a queue cannot show: networks,
a slow neighbour, a bug.
"""

from __future__ import annotations

import heapq
import json
import math
import random
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Any, Final

from benchmarks.report import RESULTS, Goal, Study

SEED: Final = 20
#: One colour per scenario, distinguishable by colour-blind readers (Okabe and Ito, 2008).
COLOURS: Final = ("#0072b2", "#e69f00", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#000000")
#: The lease of a dead worker expires after this time, and another worker takes over.
LEASE_SECONDS: Final = 20.0
MILLION: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Vendors:
    """Published limits and prices, read 2026-11 on the pages named below."""

    #: Segments a second that a number sends: a long code, and a short code (Twilio, "Message throughput").
    long_code: float = 1.0
    short_code: float = 100.0
    #: Write units a second that one partition key of DynamoDB takes, in a table or an index.
    units_a_key: float = 1000.0
    #: Dollars for a million write and read units, on demand, us-east-1 (aws.amazon.com/dynamodb/pricing/on-demand).
    write_units: float = 0.625
    read_units: float = 0.125
    #: Dollars for an hour of a core, approximately (Fargate, us-east-1).
    core_hour: float = 0.04
    #: Dollars for a segment out and a text in, to and from the United States, including carriers' fees.
    segment: float = 0.0128
    text: float = 0.0083
    #: Dollars for a million tokens in and out (gpt-5-mini), and the tokens of a turn: persona and window in, reply out.
    tokens_in: float = 0.25
    tokens_out: float = 2.00
    turn_in: int = 1_500
    turn_out: int = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Medians of the benchmark results of this machine."""

    acknowledged: float
    worker_cpu: float
    redis_accept: float
    redis_turn: float
    write_units: float
    index_writes: float

    @classmethod
    def read(cls) -> Measured:
        """Read `docs/benchmarks/`. Raises `FileNotFoundError` if a result is missing."""

        def median(paper: str, what: str, contestant: str = "ours") -> float:
            document = json.loads((RESULTS / f"{paper}.json").read_text())
            samples = sorted(document["samples"][what][contestant])
            return float(samples[len(samples) // 2])

        return cls(
            acknowledged=median("acknowledge", "texts/s, appendfsync always, 32 connections"),
            worker_cpu=median("turns", "ms of worker CPU a turn") / 1000,
            redis_accept=median("scale", "microseconds of Redis's CPU a text brought") / 1e6,
            redis_turn=median("scale", "microseconds of Redis's CPU a turn") / 1e6,
            write_units=median("growth", "write units a turn, 100 texts"),
            index_writes=median("growth", "writes a turn into the index of the unsettled"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """The processes of a deployment, its sending rate, its model, and an outage."""

    webhooks: int = 2
    shards: int = 1
    workers: int = 16
    #: Conversations that a worker process holds at once. Each worker process has its own core.
    conversations: int = 32
    #: Segments a second that all our numbers send together.
    segments: float = 100.0
    #: Median seconds that a model thinks; the distribution is lognormal.
    thinks: float = 2.0
    #: At second `lost_at`, this share of the workers dies; the workers return after `back_after` seconds.
    lost_at: float = math.inf
    lost_share: float = 0.5
    back_after: float = 120.0


class _Line:
    """A queue that serves in order of arrival, one at a time."""

    def __init__(self) -> None:
        self._free = 0.0

    def serve(self, at: float, takes: float) -> float:
        """Return when an arrival at `at` has been served. Call in order of arrival."""
        self._free = max(self._free, at) + takes
        return self._free


class _Evening:
    """One run: events, processed in order of time."""

    def __init__(self, fleet: Fleet, measured: Measured, seed: int) -> None:
        self._fleet, self._measured = fleet, measured
        self._rng = random.Random(seed)  # noqa: S311 - a simulation
        self._webhooks = [_Line() for _ in range(fleet.webhooks)]
        self._shards = [_Line() for _ in range(fleet.shards)]
        self._cores = [_Line() for _ in range(fleet.workers)]
        self._numbers = _Line()
        self._free = deque(worker for _ in range(fleet.conversations) for worker in range(fleet.workers))
        self._waiting: deque[int] = deque()
        #: Text -> the worker that holds it. Later events of a dead worker are ignored.
        self._held: dict[int, int] = {}
        self._lost = range(int(fleet.workers * fleet.lost_share)) if math.isfinite(fleet.lost_at) else range(0)
        self._due: list[tuple[float, int, Callable[[float], None]]] = []
        self._ties = count()
        self.sent: dict[int, float] = {}

    def run(self, arrivals: Iterator[float]) -> list[tuple[float, float]]:
        """Schedule all arrivals and process events until none is left."""
        times = list(arrivals)
        for text, moment in enumerate(times):
            self._at(moment, partial(self._brought, text))
        if self._lost:
            self._at(self._fleet.lost_at, self._die)
            self._at(self._fleet.lost_at + self._fleet.back_after, self._come_back)
        while self._due:
            now, _, happen = heapq.heappop(self._due)
            happen(now)
        return [(moment, self.sent[text] - moment) for text, moment in enumerate(times)]

    def _at(self, moment: float, happen: Callable[[float], None]) -> None:
        heapq.heappush(self._due, (moment, next(self._ties), happen))

    def _shard(self, text: int) -> _Line:
        return self._shards[text % len(self._shards)]

    def _brought(self, text: int, now: float) -> None:
        webhook = self._webhooks[text % len(self._webhooks)]
        self._at(webhook.serve(now, 1 / self._measured.acknowledged), partial(self._keep, text))

    def _keep(self, text: int, now: float) -> None:
        self._at(self._shard(text).serve(now, self._measured.redis_accept), partial(self._wait, text))

    def _wait(self, text: int, now: float) -> None:
        self._waiting.append(text)
        self._begin(now)

    def _begin(self, now: float) -> None:
        while self._waiting and self._free:
            text, worker = self._waiting.popleft(), self._free.popleft()
            self._held[text] = worker
            self._at(self._shard(text).serve(now, self._measured.redis_turn), partial(self._compute, text, worker))

    def _compute(self, text: int, worker: int, now: float) -> None:
        if self._held.get(text) == worker:
            thinks = self._rng.lognormvariate(math.log(self._fleet.thinks), 0.4)
            self._at(
                self._cores[worker].serve(now, self._measured.worker_cpu) + thinks, partial(self._send, text, worker)
            )

    def _send(self, text: int, worker: int, now: float) -> None:
        if self._held.get(text) == worker:
            del self._held[text]
            self._free.append(worker)
            self.sent[text] = self._numbers.serve(now, 1 / self._fleet.segments)
            self._begin(now)

    def _die(self, now: float) -> None:
        self._free = deque(worker for worker in self._free if worker not in self._lost)
        for text in [text for text, worker in self._held.items() if worker in self._lost]:
            del self._held[text]
            # after its lease expires, another worker starts over
            self._at(now + LEASE_SECONDS, partial(self._wait, text))

    def _come_back(self, now: float) -> None:
        self._free.extend(worker for _ in range(self._fleet.conversations) for worker in self._lost)
        self._begin(now)


def simulate(
    arrivals: Iterator[float], fleet: Fleet, measured: Measured, *, seed: int = SEED
) -> list[tuple[float, float]]:
    """Return a pair for each text: its arrival, and the seconds until the carrier sent its reply."""
    return _Evening(fleet, measured, seed).run(arrivals)


def steadily(rate: float, seconds: float, *, seed: int = SEED) -> Iterator[float]:
    """Yield arrivals at random moments, `rate` a second on average."""
    rng, now = random.Random(seed), 0.0  # noqa: S311 - a simulation
    while (now := now + rng.expovariate(rate)) < seconds:
        yield now


def after_a_broadcast(people: int, share: float, mean_seconds: float, *, seed: int = SEED) -> Iterator[float]:
    """Yield arrivals after a message to all people at once: a share of them answers, most of them soon."""
    rng = random.Random(seed)  # noqa: S311 - a simulation
    yield from sorted(rng.expovariate(1 / mean_seconds) for _ in range(int(people * share)))


def at(latencies: Sequence[float], share: float) -> float:
    """Return a percentile, such as `share=0.99`."""
    ordered = sorted(latencies)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def limits(measured: Measured, vendors: Vendors, fleet: Fleet) -> dict[str, float]:
    """Return the turns a second at which each resource is full."""
    return {
        "one long code": vendors.long_code,
        "a worker process of 32 conversations, models of 2 s": min(
            fleet.conversations / fleet.thinks, 1 / measured.worker_cpu
        ),
        "a worker's core": 1 / measured.worker_cpu,
        "one short code": vendors.short_code,
        "a shard of Redis": 1 / (measured.redis_accept + measured.redis_turn),
        "the index of what is not settled, 16 buckets": 16 * vendors.units_a_key / measured.index_writes,
        "a webhook process": measured.acknowledged,
        "one person's rows in DynamoDB": vendors.units_a_key / measured.write_units,
    }


def costs(measured: Measured, vendors: Vendors) -> dict[str, float]:
    """Return dollars for a million texts, each with a reply of one segment."""
    return {
        "carrier: a segment out and a text in": MILLION * (vendors.segment + vendors.text),
        "model": vendors.turn_in * vendors.tokens_in + vendors.turn_out * vendors.tokens_out,
        "DynamoDB": measured.write_units * vendors.write_units,
        "cores of workers and webhooks": (measured.worker_cpu + 1 / measured.acknowledged)
        * MILLION
        / 3600
        * vendors.core_hour,
    }


SCENARIOS: Final[dict[str, Callable[[], tuple[Iterator[float], Fleet]]]] = {
    # three texts a day from each person, and 2.5 times the mean rate in the busiest hour
    "a usual evening of a million people: 87 texts/s, a short code": lambda: (steadily(87, 600), Fleet()),
    "the same, 60 long codes": lambda: (steadily(87, 600), Fleet(segments=60)),
    "a fifth of a million answers a broadcast, a short code": lambda: (after_a_broadcast(MILLION, 0.2, 180), Fleet()),
    "the same, ten short codes": lambda: (after_a_broadcast(MILLION, 0.2, 180), Fleet(segments=1000)),
    "the same, ten short codes, 80 workers": lambda: (
        after_a_broadcast(MILLION, 0.2, 180), Fleet(segments=1000, workers=80, webhooks=4)
    ),
    "the same, ten short codes, 80 workers, 4 shards": lambda: (
        after_a_broadcast(MILLION, 0.2, 180), Fleet(segments=1000, workers=80, webhooks=4, shards=4)
    ),
    "a usual evening, half of the workers gone for two minutes": lambda: (
        steadily(87, 600), Fleet(lost_at=200, workers=12)
    ),
}  # fmt: skip


def study(*, quick: bool = False) -> Study:
    """Run the study."""
    results = Study(name="simulate", title="A million people, simulated", command="scripts/bench simulate")
    measured, vendors, fleet = Measured.read(), Vendors(), Fleet()
    lines: dict[str, list[tuple[float, float]]] = {}
    for name, scenario in SCENARIOS.items():
        arrivals, deployment = scenario()
        texts = (one for number, one in enumerate(arrivals) if not quick or number < 2_000)  # noqa: PLR2004
        replies = simulate(texts, deployment, measured)
        latencies = [seconds for _, seconds in replies]
        results.add(name, "p50, s", at(latencies, 0.5))
        results.add(name, "p99, s", at(latencies, 0.99))
        results.add(name, "last reply, s after the first text", max(came + seconds for came, seconds in replies))
        lines[name] = replies
    for what, number in sorted(limits(measured, vendors, fleet).items(), key=lambda one: one[1]):
        results.add("turns/s at which it is full", what, number)
    for what, dollars in costs(measured, vendors).items():
        results.add("dollars for a million texts with a reply each", what, dollars)
    usual = at([seconds for _, seconds in lines["a usual evening of a million people: 87 texts/s, a short code"]], 0.99)
    results.goals.append(
        Goal(goal="a million people on a usual evening, simulated: 99 of 100 have their reply within 10 s",
             figure=f"{usual:.1f} s", met=usual < 10)  # noqa: PLR2004 - the goal's
    )  # fmt: skip
    if not quick:
        draw(lines)
    return results


def draw(lines: dict[str, list[tuple[float, float]]]) -> None:
    """Plot the slowest reply of every ten seconds, by scenario."""
    import pygal  # noqa: PLC0415 - as in `benchmarks.report`
    from pygal.style import CleanStyle  # noqa: PLC0415

    chart = pygal.XY(
        title="Seconds until the reply, by when the text came", style=CleanStyle(colors=COLOURS),
        width=900, height=520, show_dots=False, js=[],
        x_title="seconds since the first text", legend_at_bottom=True, legend_at_bottom_columns=1, truncate_legend=-1,
        logarithmic=True, disable_xml_declaration=True,
    )  # fmt: skip
    for name, replies in lines.items():
        slowest: dict[int, float] = {}
        for came, seconds in replies:
            stretch = int(came // 10) * 10
            slowest[stretch] = max(slowest.get(stretch, 0.0), seconds)
        points: Any = sorted(slowest.items())
        chart.add(name, points)
    (RESULTS / "simulate-replies.svg").write_text(chart.render())
