"""Measure how many texts a second one webhook process acknowledges.

An acknowledged text has its signature checked, is durable in Redis, and is answered.
The contestants run alternately, each in its own process, on the same Redis:

- ours
- ours over ASGI, without its own HTTP server
- FastAPI and Flask with Twilio's validator and Celery's `delay` (`benchmarks/plain/`)
- uvicorn with an application that answers and does nothing else
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks import load
from benchmarks.lab import BENCH_PYTHON, ROOT, Lab, Proc, alone, bring, listens
from benchmarks.load import Plan, Result
from benchmarks.report import Goal, Study
from chaos.tree import free_port

#: Goals of this measurement.
TIMES_WITHOUT_FSYNC: Final = 12
TIMES_WITH_FSYNC: Final = {32: 12, 256: 15}
PART_OF_BARE: Final = 1 / 3
HALF_LOAD_P99_MS: Final = 10.0
#: Numbers of processes on one port. At `SAME_RATE` texts a second, one process's CPU a text is at least this share of
#: what several processes use.
PROCESSES: Final = (1, 2, 4)
ALONE_COSTS: Final = 0.8
SAME_RATE: Final = 1_500.0


@dataclass(frozen=True, slots=True)
class Contestant:
    """A running webhook and its port."""

    proc: Proc
    port: int


def commands(port: int, processes: int = 1) -> dict[str, list[str | Path]]:
    """Return the contestants, each with its command line."""
    here, there = ROOT / ".venv" / "bin", BENCH_PYTHON.parent
    # omit the option for one process: an older checkout, run by `compare`, does not have it
    several = ["--processes", str(processes)] if processes > 1 else []
    quiet = ["--port", str(port), "--no-access-log", "--log-level", "warning"]
    return {
        "ours": [here / "dadacat", "webhook", "--port", str(port), *several],
        "ours over ASGI": [here / "uvicorn", "webhook.asgi:app", *quiet],
        "FastAPI + delay": [there / "uvicorn", "benchmarks.plain.fastapi_app:app", *quiet, "--workers", str(processes)],
        "Flask + delay": [
            there / "gunicorn", "--worker-class", "gthread", "--threads", "8", "--bind", f"127.0.0.1:{port}",
            "benchmarks.plain.flask_app:app", "--log-level", "warning",
        ],
        "answers only": [here / "uvicorn", "benchmarks.plain.nothing:app", "--lifespan", "off", *quiet],
    }  # fmt: skip


def environment(port: int, redis_url: str) -> dict[str, str]:
    """Return the environment of every contestant."""
    return {
        "REDIS_URL": redis_url,
        "PUBLIC_URL": f"http://127.0.0.1:{port}",
        "TWILIO_ACCOUNT_SID": load.ACCOUNT_SID,
        "TWILIO_AUTH_TOKEN": load.AUTH_TOKEN,
        "TWILIO_PHONE_NUMBER": load.NUMBER,
        "LOG_LEVEL": "warning",
    }


def start(
    lab: Lab,
    name: str,
    redis_url: str,
    *,
    label: str = "",
    root: Path = ROOT,
    processes: int = 1,
    more: Mapping[str, str] | None = None,
) -> Contestant:
    """Start one contestant, with `more` in its environment."""
    port = free_port()
    label = label or name
    proc = lab.start(
        label.replace(" ", "-").replace("+", "and"),
        commands(port, processes)[name],
        env={**environment(port, redis_url), **(more or {})},
        until=listens(port),
        root=root,
    )
    return Contestant(proc, port)


def measure(study: Study, *, rounds: int, seconds: float) -> None:
    """Measure capacity with a closed loop."""
    first = 0
    for fsync, connections, names in (
        ("no", 32, ["ours", "ours over ASGI", "FastAPI + delay", "Flask + delay", "answers only"]),
        ("always", 32, ["ours", "FastAPI + delay"]),
        ("always", 256, ["ours", "FastAPI + delay"]),
    ):
        what = f"texts/s, appendfsync {fsync}, {connections} connections"
        with Lab() as lab:
            client, url, _ = lab.redis(fsync=fsync)
            contestants = {name: start(lab, name, url) for name in names}
            for _ in range(rounds):
                for name, one in contestants.items():
                    first += 100_000
                    alone(one.proc, (other.proc for other in contestants.values()))
                    before = one.proc.cpu_seconds()
                    done = run(one, connections, seconds, first)
                    study.add(what, name, done.per_second)
                    study.add(what.replace("texts/s", "microseconds of CPU a text"), name,
                              1e6 * (one.proc.cpu_seconds() - before) / done.texts)  # fmt: skip
                    client.flushall()
            for one in contestants.values():
                one.proc.thaw()


def several(study: Study, *, rounds: int, seconds: float) -> None:
    """Measure several processes on one port."""
    what = "texts/s of several processes, appendfsync always, 128 connections"
    same = f"microseconds of CPU a text of several processes at {SAME_RATE:,.0f} texts/s"
    with Lab() as lab:
        client, url, redis = lab.redis(fsync="always")
        entries = [("ours", number) for number in PROCESSES] + [("FastAPI + delay", PROCESSES[1])]
        contestants = {
            f"{name}, {number}": start(lab, name, url, label=f"{name}-{number}", processes=number)
            for name, number in entries
        }
        for (_, number), one in zip(entries, contestants.values(), strict=True):
            if number > 1:
                # the supervisor, multiprocessing's resource tracker, and the processes
                one.proc.grow(number + 2)
            run(one, 128, seconds, number)
            client.flushall()
        for at in range(1, rounds + 1):
            for number, (label, one) in enumerate(contestants.items()):
                alone(one.proc, (other.proc for other in contestants.values()))
                before, redis_before = one.proc.cpu_seconds(), redis.cpu_seconds()
                done = run(one, 128, seconds, at * 1_000_000 + number * 100_000)
                study.add(what, label, done.per_second)
                study.add(what.replace("texts/s", "microseconds of CPU a text"), label,
                          1e6 * (one.proc.cpu_seconds() - before) / done.texts)  # fmt: skip
                study.add(what.replace("texts/s", "microseconds of Redis's CPU a text"), label,
                          1e6 * (redis.cpu_seconds() - redis_before) / done.texts)  # fmt: skip
                client.flushall()
                if "ours" in label:
                    before = one.proc.cpu_seconds()
                    done = run(one, 128, seconds, at * 1_000_000 + number * 100_000 + 50_000, rate=SAME_RATE)
                    study.add(same, label, 1e6 * (one.proc.cpu_seconds() - before) / done.texts)
                    client.flushall()
        for one in contestants.values():
            one.proc.thaw()
    single, double, most = (f"ours, {number}" for number in PROCESSES)
    study.hold(
        f"at {SAME_RATE:,.0f} texts/s four processes use the CPU a text of one, within a fifth: "
        "cores limit them, not contention",
        figure=f"{study.median(same, single):.0f} microseconds a text of 1, "
        f"{study.median(same, most):.0f} of {PROCESSES[-1]}",
        ratio=study.ratio(same, single, most),
        least=ALONE_COSTS,
    )
    study.notes += [
        f"{double} / {single}, texts/s, on two cores that Redis shares: {study.ratio(what, double, single)}",
        f"{double} / FastAPI + `task.delay`, 2, texts/s: {study.ratio(what, double, 'FastAPI + delay, 2')}",
    ]


def run(
    one: Contestant,
    connections: int,
    seconds: float,
    first: int,
    *,
    rate: float = 0.0,
    path: str = "/sms",
    kept: str = "200",
) -> Result:
    """Measure one sample. Raises `RuntimeError` if a text was not acknowledged."""
    done = bring(
        Plan(
            host="127.0.0.1", port=one.port, connections=connections, seconds=seconds, first=first, rate=rate, path=path
        )
    )
    if set(done.statuses) != {kept}:
        raise RuntimeError(f"not all texts were acknowledged: {done.statuses}")
    return done


def half_load(study: Study, *, rounds: int, seconds: float) -> None:
    """Measure the latency at half of the capacity, with texts at random moments."""
    with Lab() as lab:
        client, url, _ = lab.redis(fsync="always")
        one = start(lab, "ours", url)
        capacity = run(one, 32, seconds, 1).per_second
        for number in range(1, rounds + 1):
            client.flushall()
            done = run(one, 128, seconds, number * 1_000_000, rate=capacity / 2)
            study.add("ms at half load, appendfsync always", "ours, p50", done.p50)
            study.add("ms at half load, appendfsync always", "ours, p99", done.p99)


def reports(study: Study, *, rounds: int, seconds: float) -> None:
    """Measure delivery reports, of which each reply causes two or three, beside texts."""
    what = "texts/s and delivery reports/s, appendfsync always, 32 connections"
    with Lab() as lab:
        client, url, _ = lab.redis(fsync="always")
        one = start(lab, "ours", url)
        for number in range(1, rounds + 1):
            for name, path, kept in (("texts", "/sms", "200"), ("reports", load.REPORTS, "204")):
                done = run(one, 32, seconds, number * 1_000_000, path=path, kept=kept)
                study.add(what, name, done.per_second)
                client.flushall()
    study.notes.append(f"reports/s / texts/s: {study.ratio(what, 'reports', 'texts')}")


def study(*, quick: bool = False) -> Study:
    """Run the study."""
    results = Study(
        name="acknowledge", title="Acknowledged texts a second, one process", command="scripts/bench acknowledge"
    )
    rounds, seconds = (1, 1.0) if quick else (5, 2.0)
    measure(results, rounds=rounds, seconds=seconds)
    half_load(results, rounds=rounds, seconds=seconds * 2)
    for fsync, connections, times in (
        ("no", 32, TIMES_WITHOUT_FSYNC), *(("always", number, times) for number, times in TIMES_WITH_FSYNC.items())
    ):  # fmt: skip
        what = f"texts/s, appendfsync {fsync}, {connections} connections"
        results.hold(
            f"{times} times FastAPI + `task.delay`, appendfsync {fsync}, {connections} connections",
            figure=f"{results.median(what, 'ours'):,.0f} texts/s",
            ratio=results.ratio(what, "ours", "FastAPI + delay"),
            least=times,
        )
    several(results, rounds=rounds, seconds=seconds)
    reports(results, rounds=rounds, seconds=seconds)
    what = "texts/s, appendfsync no, 32 connections"
    results.hold(
        "a third of the throughput of a server that does nothing",
        figure=f"{results.median(what, 'ours'):,.0f} of {results.median(what, 'answers only'):,.0f}",
        ratio=results.ratio(what, "ours", "answers only"),
        least=PART_OF_BARE,
    )
    cost = what.replace("texts/s", "microseconds of CPU a text")
    bare = results.ratio(what, "answers only", "FastAPI + delay")
    results.notes += [
        f"CPU a text, FastAPI + `task.delay` / ours: {results.ratio(cost, 'FastAPI + delay', 'ours')}",
        f"answers only / FastAPI + `task.delay`, the most that any webhook on this server could reach here: {bare}",
    ]
    what = "ms at half load, appendfsync always"
    p99 = results.median(what, "ours, p99")
    results.goals.append(Goal(goal="p99 under 10 ms at half load", figure=f"{p99:.1f} ms", met=p99 < HALF_LOAD_P99_MS))
    return results


def compare(found: Study, base: Path, *, quick: bool = False) -> None:
    """Measure this checkout and another alternately."""
    rounds, seconds = (2, 1.0) if quick else (7, 2.0)
    with Lab() as lab:
        client, url, _ = lab.redis(fsync="always")
        contestants = {
            "this": start(lab, "ours", url, label="this"),
            "base": start(lab, "ours", url, label="base", root=base),
        }
        for number in range(rounds):
            for name, one in contestants.items():
                alone(one.proc, (other.proc for other in contestants.values()))
                done = run(one, 32, seconds, (number * 2 + len(name)) * 1_000_000)
                found.add("acknowledged texts/s", name, done.per_second)
                client.flushall()
        for one in contestants.values():
            one.proc.thaw()
    found.notes.append(f"this / base, acknowledged texts/s: {found.ratio('acknowledged texts/s', 'this', 'base')}")
