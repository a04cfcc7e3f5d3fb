"""Measure what traces cost an acknowledgement and a turn: off, for one text in ten, for each.

The CPU of the webhook and of the worker includes what the exporter does in its own thread. The collector, a server that
answers and does nothing else, is a process of its own.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Final

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from benchmarks import acknowledge, turns
from benchmarks.lab import ROOT, Lab, alone, listens
from benchmarks.report import Study
from chaos.tree import free_port
from runtime import otel, tracing

OFF, TENTH, ALL = "off", "one text in ten", "each text"
#: Sampled and not, the share of the CPU that an acknowledgement and a turn without traces take.
LEAST: Final = {TENTH: 0.7, ALL: 0.5}
CONNECTIONS: Final = 32
SPANS: Final = 20_000
#: The trace context of a text.
CAUSE: Final = f"00-{'a' * 32}-{'b' * 16}-01"


def environment(lab: Lab) -> Mapping[str, Mapping[str, str]]:
    """Start a collector, and return the variables of each contestant."""
    port = free_port()
    lab.start(
        "collector",
        [ROOT / ".venv/bin/uvicorn", "benchmarks.plain.nothing:app", "--lifespan", "off", "--port", str(port),
         "--no-access-log", "--log-level", "warning"],
        until=listens(port),
    )  # fmt: skip
    to = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}"}
    tenth = {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.1"}
    return {OFF: {}, TENTH: {**to, **tenth}, ALL: to}


def spans(study: Study, *, rounds: int) -> None:
    """Measure one span of ours in this thread, without what the exporter does."""
    dropped = otel.Discreet(InMemorySpanExporter)
    for _ in range(rounds):
        for name, provider in ((OFF, None), (ALL, TracerProvider(shutdown_on_exit=False))):
            if provider is not None:
                provider.add_span_processor(BatchSpanProcessor(dropped))
            tracing.use(None if provider is None else otel.Spans(provider, dropped))
            started_at = time.thread_time()
            for _ in range(SPANS):
                with tracing.span("turn", after=[CAUSE], sid="SM0"):
                    pass
            study.add("microseconds of CPU a span", name, 1e6 * (time.thread_time() - started_at) / SPANS)
            tracing.use(None)
            if provider is not None:
                provider.shutdown()


def acknowledgements(study: Study, *, rounds: int, seconds: float) -> None:
    """Measure the CPU of a webhook a text."""
    with Lab() as lab:
        client, url, _ = lab.redis(fsync="always")
        contestants = {
            name: acknowledge.start(lab, "ours", url, label=f"webhook {name}", more=more)
            for name, more in environment(lab).items()
        }
        for number in range(rounds + 1):
            for place, (name, one) in enumerate(contestants.items()):
                alone(one.proc, (other.proc for other in contestants.values()))
                before = one.proc.cpu_seconds()
                done = acknowledge.run(one, CONNECTIONS, seconds, number * 1_000_000 + place * 200_000)
                if number:
                    used = one.proc.cpu_seconds() - before
                    study.add("microseconds of webhook CPU a text", name, 1e6 * used / done.texts)
                client.flushall()
        for one in contestants.values():
            one.proc.thaw()


def replies(study: Study, *, rounds: int, counted: int) -> None:
    """Measure the CPU of a worker a turn; each sample has its own Redis."""
    for _ in range(rounds):
        for name in (OFF, TENTH, ALL):
            with turns.house(thinks=0) as at:
                worker = turns.ours(at, concurrency=32, more=environment(at.lab)[name])
                before = 0.0
                for number in range(turns.WARM_ROUNDS + counted):
                    if number == turns.WARM_ROUNDS:
                        before = worker.cpu_seconds()
                    turns.a_round(at, turns.OURS, number * turns.PEOPLE)
                used = worker.cpu_seconds() - before
                study.add("ms of worker CPU a turn", name, 1000 * used / (counted * turns.PEOPLE))


def study(*, quick: bool = False) -> Study:
    """Run the study."""
    results = Study(name="traces", title="What traces cost", command="scripts/bench traces")
    spans(results, rounds=1 if quick else 5)
    acknowledgements(results, rounds=1 if quick else 3, seconds=1.0 if quick else 2.0)
    replies(results, rounds=1 if quick else 2, counted=1 if quick else 2)
    for what, unit in (("microseconds of webhook CPU a text", "microseconds"), ("ms of worker CPU a turn", "ms")):
        for name, least in LEAST.items():
            results.hold(
                f"{what}: traces of {name} leave at least {least:.0%} of what the CPU does without them",
                figure=f"{results.median(what, name):.3g} {unit}, {results.median(what, OFF):.3g} without",
                ratio=results.ratio(what, OFF, name),
                least=least,
            )
    return results
