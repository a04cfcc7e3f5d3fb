"""How many texts a second one webhook process acknowledges: signature checked, durable in Redis, answered.

Contestants, each in a process of its own at the same Redis, in turns: ours; ours over ASGI, without its own HTTP; FastAPI and Flask with Twilio's
validator and Celery's `delay` (`benchmarks/plain/`); and uvicorn with an application that answers without doing anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks import load
from benchmarks.lab import BENCH_PYTHON, ROOT, Lab, Proc, alone, bring, listens
from benchmarks.load import Plan, Result
from benchmarks.report import Goal, Study
from dadacat.chaos.tree import free_port

#: Goals of this measurement.
TIMES_WITHOUT_FSYNC: Final = 20
TIMES_WITH_FSYNC: Final = {32: 15, 256: 20}
PART_OF_BARE: Final = 1 / 3
HALF_LOAD_P99_MS: Final = 10.0
#: As many processes at one port; and what a text costs one alone, as a part of what it costs several, at so many a second.
PROCESSES: Final = (1, 2, 4)
ALONE_COSTS: Final = 0.8
SAME_RATE: Final = 1_500.0


@dataclass(frozen=True, slots=True)
class Contestant:
    """A webhook to be measured."""

    proc: Proc
    port: int


def commands(port: int, processes: int = 1) -> dict[str, list[str | Path]]:
    """Who takes part, and how each is started."""
    here, there = ROOT / ".venv" / "bin", BENCH_PYTHON.parent
    # an older checkout, which this one is compared with, knows one process only
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
    """What all of them are told."""
    return {
        "REDIS_URL": redis_url,
        "PUBLIC_URL": f"http://127.0.0.1:{port}",
        "TWILIO_ACCOUNT_SID": load.ACCOUNT_SID,
        "TWILIO_AUTH_TOKEN": load.AUTH_TOKEN,
        "TWILIO_PHONE_NUMBER": load.NUMBER,
        "LOG_LEVEL": "warning",
    }


def start(lab: Lab, name: str, redis_url: str, *, label: str = "", root: Path = ROOT, processes: int = 1) -> Contestant:
    """Start one contestant."""
    port = free_port()
    label = label or name
    proc = lab.start(
        label.replace(" ", "-").replace("+", "and"),
        commands(port, processes)[name],
        env=environment(port, redis_url),
        until=listens(port),
        root=root,
    )
    return Contestant(proc, port)


def measure(study: Study, *, rounds: int, seconds: float) -> None:
    """Capacity, closed loop."""
    first = 0
    for fsync, connections, names in (
        ("no", 32, ["ours", "ours over ASGI", "FastAPI + delay", "Flask + delay", "answers only"]),
        ("always", 32, ["ours", "FastAPI + delay"]),
        ("always", 256, ["ours", "FastAPI + delay"]),
    ):
        what = f"texts/s, appendfsync {fsync}, {connections} connections"
        with Lab() as lab:
            client, url, _ = lab.redis(fsync=fsync)
            there = {name: start(lab, name, url) for name in names}
            for _ in range(rounds):
                for name, one in there.items():
                    first += 100_000
                    alone(one.proc, (other.proc for other in there.values()))
                    before = one.proc.cpu_seconds()
                    done = run(one, connections, seconds, first)
                    study.add(what, name, done.per_second)
                    study.add(what.replace("texts/s", "microseconds of CPU a text"), name,
                              1e6 * (one.proc.cpu_seconds() - before) / done.texts)  # fmt: skip
                    client.flushall()
            for one in there.values():
                one.proc.thaw()


def several(study: Study, *, rounds: int, seconds: float) -> None:
    """Several processes at one port."""
    what = "texts/s of several processes, appendfsync always, 128 connections"
    same = f"microseconds of CPU a text of several processes at {SAME_RATE:,.0f} texts/s"
    with Lab() as lab:
        client, url, redis = lab.redis(fsync="always")
        who = [("ours", number) for number in PROCESSES] + [("FastAPI + delay", PROCESSES[1])]
        there = {
            f"{name}, {number}": start(lab, name, url, label=f"{name}-{number}", processes=number)
            for name, number in who
        }
        for (_, number), one in zip(who, there.values(), strict=True):
            if number > 1:
                # the supervisor, what multiprocessing keeps beside it, and the processes
                one.proc.grow(number + 2)
            run(one, 128, seconds, number)
            client.flushall()
        for at in range(1, rounds + 1):
            for number, (label, one) in enumerate(there.items()):
                alone(one.proc, (other.proc for other in there.values()))
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
        for one in there.values():
            one.proc.thaw()
    one, two, most = (f"ours, {number}" for number in PROCESSES)
    study.hold(
        f"at {SAME_RATE:,.0f} texts/s four processes spend what one does, within a fifth: cores are their limit, not each other",
        figure=f"{study.median(same, one):.0f} microseconds a text of 1, {study.median(same, most):.0f} of {PROCESSES[-1]}",
        ratio=study.ratio(same, one, most),
        least=ALONE_COSTS,
    )
    study.notes += [
        f"{two} / {one}, texts/s, on two cores that Redis and the loader share: {study.ratio(what, two, one)}",
        f"{two} / FastAPI + `task.delay`, 2, texts/s: {study.ratio(what, two, 'FastAPI + delay, 2')}",
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
    """One sample. Raises `RuntimeError` where anything was not kept."""
    done = bring(
        Plan(
            host="127.0.0.1", port=one.port, connections=connections, seconds=seconds, first=first, rate=rate, path=path
        )
    )
    if set(done.statuses) != {kept}:
        raise RuntimeError(f"not everything was kept: {done.statuses}")
    return done


def half_load(study: Study, *, rounds: int, seconds: float) -> None:
    """How long an answer takes at half of what it can do, texts coming at random moments."""
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
    """Delivery reports, of which every reply brings two or three, beside texts."""
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
    """The whole measurement."""
    found = Study(
        name="acknowledge", title="Acknowledged texts a second, one process", command="scripts/bench acknowledge"
    )
    rounds, seconds = (1, 1.0) if quick else (5, 2.0)
    measure(found, rounds=rounds, seconds=seconds)
    half_load(found, rounds=rounds, seconds=seconds * 2)
    for fsync, connections, times in (
        ("no", 32, TIMES_WITHOUT_FSYNC), *(("always", number, times) for number, times in TIMES_WITH_FSYNC.items())
    ):  # fmt: skip
        what = f"texts/s, appendfsync {fsync}, {connections} connections"
        found.hold(
            f"{times} times FastAPI + `task.delay`, appendfsync {fsync}, {connections} connections",
            figure=f"{found.median(what, 'ours'):,.0f} texts/s",
            ratio=found.ratio(what, "ours", "FastAPI + delay"),
            least=times,
        )
    several(found, rounds=rounds, seconds=seconds)
    reports(found, rounds=rounds, seconds=seconds)
    what = "texts/s, appendfsync no, 32 connections"
    found.hold(
        "a third of the server's answer that does nothing",
        figure=f"{found.median(what, 'ours'):,.0f} of {found.median(what, 'answers only'):,.0f}",
        ratio=found.ratio(what, "ours", "answers only"),
        least=PART_OF_BARE,
    )
    cost = what.replace("texts/s", "microseconds of CPU a text")
    bare = found.ratio(what, "answers only", "FastAPI + delay")
    found.notes += [
        f"CPU a text, FastAPI + `task.delay` / ours: {found.ratio(cost, 'FastAPI + delay', 'ours')}",
        f"answers only / FastAPI + `task.delay`, the most that any webhook on this server could reach here: {bare}",
    ]
    what = "ms at half load, appendfsync always"
    p99 = found.median(what, "ours, p99")
    found.goals.append(Goal(goal="p99 under 10 ms at half load", figure=f"{p99:.1f} ms", met=p99 < HALF_LOAD_P99_MS))
    return found


def compare(found: Study, base: Path, *, quick: bool = False) -> None:
    """This checkout beside another, in turns."""
    rounds, seconds = (2, 1.0) if quick else (7, 2.0)
    with Lab() as lab:
        client, url, _ = lab.redis(fsync="always")
        there = {
            "this": start(lab, "ours", url, label="this"),
            "base": start(lab, "ours", url, label="base", root=base),
        }
        for number in range(rounds):
            for name, one in there.items():
                alone(one.proc, (other.proc for other in there.values()))
                done = run(one, 32, seconds, (number * 2 + len(name)) * 1_000_000)
                found.add("acknowledged texts/s", name, done.per_second)
                client.flushall()
        for one in there.values():
            one.proc.thaw()
    found.notes.append(f"this / base, acknowledged texts/s: {found.ratio('acknowledged texts/s', 'this', 'base')}")
