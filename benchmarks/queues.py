"""The queue by itself: what it costs to put something in durably, and what a worker spends on a task that does nothing.

Beside Celery's `delay` and the queues that people take instead of it (`benchmarks/plain/peers.py`). Ours: the webhook's door, which keeps a text in
its person's stream, puts the person on the agenda and rings, thirty-two texts at once; and our worker, which hears a bell, asks for the lease of
somebody whom nobody knows, and finds nothing to do. The others put and do a task that adds one to a number.
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
from inbox import contract, doorbell
from inbox.contract import Who
from sms.messages import InboundSms, MessageSid
from webhook.door import RedisDoor

PEERS: Final = ("Celery", "dramatiq", "RQ", "huey", "arq", "SAQ", "taskiq")
OURS: Final = "ours"
AT_ONCE: Final = 32
WAIT_SECONDS: Final = 120.0
PUT, PUT_CPU = "put a second, appendfsync always", "microseconds of CPU to put one"
DONE_CPU = "milliseconds of worker CPU a task that does nothing"


def bring(url: str, texts: int) -> None:
    """Keep texts through the webhook's door, so many at once; prints the seconds and the CPU seconds that it took."""

    async def main() -> str:
        door = RedisDoor(url, who_key=b"k" * 32)
        numbers = iter(range(texts))

        async def some() -> None:
            for number in numbers:
                await door.accept(
                    InboundSms(
                        sid=MessageSid(f"SM{number:032x}"), sender=f"+1555{number:07d}", to=load.NUMBER, body="hello"
                    )
                )

        begun, spent = time.perf_counter(), time.process_time()
        await asyncio.gather(*(some() for _ in range(AT_ONCE)))
        took = f"{time.perf_counter() - begun} {time.process_time() - spent}"
        await door.close()
        return took

    print(asyncio.run(main()))


def put(study: Study, *, rounds: int, tasks: int) -> None:
    """Putting, each contestant in a process of its own, in turns."""
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
    done = subprocess.run(  # noqa: S603 - the laboratory's own program
        [*command, str(tasks)], cwd=ROOT, env={"REDIS_URL": url, "PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    seconds, cpu = done.stdout.split()[-2:]
    return float(seconds), float(cpu)


def work(study: Study, *, rounds: int, tasks: int) -> None:
    """Doing, each worker by itself."""
    for _ in range(rounds):
        for name in PEERS:
            with Lab() as lab:
                client, url, _ = lab.redis(fsync="no")
                env = {"REDIS_URL": url}
                worker = lab.start("worker", [BENCH_PYTHON, "-m", "benchmarks.plain.peers", name, "work"], env=env)
                for first in (20, tasks):  # the first few, so that all of it is there
                    client.set("done", 0)
                    before = worker.cpu_seconds()
                    _run([str(BENCH_PYTHON), "-m", "benchmarks.plain.peers", name, "bring"], url, first)
                    _until(lambda client=client, first=first: int(_any(client.get("done")) or 0) >= first)
                study.add(DONE_CPU, name, 1000 * (worker.cpu_seconds() - before) / tasks)
        with turns.house(thinks=0) as at:
            worker = turns.ours(at, concurrency=8)
            client = redis.Redis.from_url(at.env["REDIS_URL"])
            for first in (20, tasks):
                before, heard = worker.cpu_seconds(), _scripts_run(client)
                for _ in range(first):
                    client.lpush(contract.QUEUE, doorbell.ring(contract.ANSWER_TASK, Who(secrets.token_hex(12))))
                # a visit to somebody unknown runs one script, which says that nobody is known by that name
                _until(lambda most=heard + first: _scripts_run(client) >= most)  # noqa: B023 - called before the next round
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
    """The whole measurement."""
    found = Study(name="queues", title="The queue by itself, beside others", command="scripts/bench queues")
    put(found, rounds=1 if quick else 2, tasks=300 if quick else 2_000)
    work(found, rounds=1 if quick else 2, tasks=300 if quick else 2_000)
    for what, ours_first in ((PUT, True), (PUT_CPU, False), (DONE_CPU, False)):
        for name in PEERS:
            ratio = found.ratio(what, *((OURS, name) if ours_first else (name, OURS)))
            found.notes.append(f"{what}: {'ours / ' + name if ours_first else name + ' / ours'}: {ratio}")
    found.notes.append(
        "Each peer as its first page has it. huey takes a task out of Redis before it is done: one that a dead worker had is gone."
    )
    return found


if __name__ == "__main__":
    import os

    bring(os.environ["REDIS_URL"], int(sys.argv[1]))
