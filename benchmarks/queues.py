"""Measure the queue alone: a durable enqueue, and a worker's CPU for a task that does nothing.

Ours is compared with Celery's `delay` and with alternatives to Celery (`benchmarks/plain/peers.py`).

Our enqueue is the webhook's: it adds the text to the person's stream, puts the person on the agenda, and adds a
wake-up task, for thirty-two texts at once. Our worker takes a wake-up task, asks for the lease of an unknown person,
and has nothing to do. The others enqueue and run a task that increments a number.
"""

from __future__ import annotations

import asyncio
import secrets
import subprocess
import sys
import time
from typing import Any, Final

import redis

from benchmarks import load, turns
from benchmarks.lab import BENCH_PYTHON, ROOT, Lab
from benchmarks.report import Study
from inbox import keys, payloads, wakeup
from inbox.payloads import Who
from sms.messages import InboundSms, MessageSid
from webhook import ingest

PEERS: Final = ("Celery", "dramatiq", "RQ", "huey", "arq", "SAQ", "taskiq")
OURS: Final = "ours"
AT_ONCE: Final = 32
WAIT_SECONDS: Final = 120.0
PUT, PUT_CPU = "put a second, appendfsync always", "microseconds of CPU to put one"
DONE_CPU = "milliseconds of worker CPU a task that does nothing"


def bring(url: str, texts: int) -> None:
    """Enqueue texts as the webhook does, `AT_ONCE` at once; print the seconds and the CPU seconds."""

    async def main() -> str:
        entry = ingest.Ingest(ingest.connect(url), who_key=b"k" * 32)
        numbers = iter(range(texts))

        async def some() -> None:
            for number in numbers:
                await entry.accept(
                    InboundSms(
                        sid=MessageSid(f"SM{number:032x}"), sender=f"+1555{number:07d}", to=load.NUMBER, body="hello"
                    )
                )

        started_at, cpu_before = time.perf_counter(), time.process_time()
        await asyncio.gather(*(some() for _ in range(AT_ONCE)))
        times = f"{time.perf_counter() - started_at} {time.process_time() - cpu_before}"
        await entry.close()
        return times

    print(asyncio.run(main()))


def put(study: Study, *, rounds: int, tasks: int) -> None:
    """Measure enqueueing; the contestants run alternately, each in its own process."""
    commands = {OURS: [sys.executable, "-m", "benchmarks.queues"]}
    commands |= {name: [str(BENCH_PYTHON), "-m", "benchmarks.plain.peers", name, "bring"] for name in PEERS}
    with Lab() as lab:
        client, url, _ = lab.redis(fsync="always")
        for _ in range(rounds):
            for name, command in commands.items():
                seconds, cpu = _run(command, url, tasks)
                study.add(PUT, name, tasks / seconds)
                study.add(PUT_CPU, name, 1e6 * cpu / tasks)
                client.flushall()


def _run(command: list[str], url: str, tasks: int) -> tuple[float, float]:
    finished = subprocess.run(  # noqa: S603 - a program of the benchmarks
        [*command, str(tasks)], cwd=ROOT, env={"REDIS_URL": url, "PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    seconds, cpu = finished.stdout.split()[-2:]
    return float(seconds), float(cpu)


def work(study: Study, *, rounds: int, tasks: int) -> None:
    """Measure running tasks, one worker at a time."""
    for _ in range(rounds):
        for name in PEERS:
            with Lab() as lab:
                client, url, _ = lab.redis(fsync="no")
                env = {"REDIS_URL": url}
                worker = lab.start("worker", [BENCH_PYTHON, "-m", "benchmarks.plain.peers", name, "work"], env=env)
                for first in (20, tasks):  # the first few tasks warm the worker up
                    client.set("done", 0)
                    before = worker.cpu_seconds()
                    _run([str(BENCH_PYTHON), "-m", "benchmarks.plain.peers", name, "bring"], url, first)
                    _until(lambda client=client, first=first: int(_any(client.get("done")) or 0) >= first)
                study.add(DONE_CPU, name, 1000 * (worker.cpu_seconds() - before) / tasks)
        with turns.house(thinks=0) as at:
            worker = turns.ours(at, concurrency=8)
            client = redis.Redis.from_url(at.env["REDIS_URL"])
            for first in (20, tasks):
                before, calls_before = worker.cpu_seconds(), _scripts_run(client)
                for _ in range(first):
                    client.lpush(keys.QUEUE, wakeup.message(payloads.ANSWER_TASK, Who(secrets.token_hex(12))))
                # a visit to an unknown person runs one script, which returns that the person is unknown
                _until(lambda most=calls_before + first: _scripts_run(client) >= most)  # noqa: B023 - called here
            study.add(DONE_CPU, OURS, 1000 * (worker.cpu_seconds() - before) / tasks)
            client.close()


def _scripts_run(client: redis.Redis) -> int:
    return int(_any(client.info("commandstats")).get("cmdstat_evalsha", {"calls": 0})["calls"])


def _any(value: Any) -> Any:  # Any: redis-py's answers are typed for both kinds of client
    return value


def _until(holds: Any) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError("the tasks are not done")
        time.sleep(0.05)


def study(*, quick: bool = False) -> Study:
    """Run the study."""
    results = Study(name="queues", title="The queue by itself, beside others", command="scripts/bench queues")
    put(results, rounds=1 if quick else 2, tasks=300 if quick else 2_000)
    work(results, rounds=1 if quick else 2, tasks=300 if quick else 2_000)
    for what, ours_first in ((PUT, True), (PUT_CPU, False), (DONE_CPU, False)):
        for name in PEERS:
            ratio = results.ratio(what, *((OURS, name) if ours_first else (name, OURS)))
            results.notes.append(f"{what}: {'ours / ' + name if ours_first else name + ' / ours'}: {ratio}")
    results.notes.append(
        "Each peer is set up as on its first documentation page. "
        "huey removes a task from Redis before it runs: the task of a worker that dies is lost."
    )
    return results


if __name__ == "__main__":
    import os

    bring(os.environ["REDIS_URL"], int(sys.argv[1]))
