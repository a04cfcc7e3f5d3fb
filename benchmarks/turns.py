"""What a turn costs a worker, and how many conversations it holds while models think.

Ours: `dadacat worker`, threads. Plain: Celery prefork, boto3, openai, twilio (`benchmarks/plain/tasks.py`). Both get as many texts as
people, the same model and the same carrier (`benchmarks/stubs.py`), the embedded DynamoDB and a Redis of their own.

CPU a turn is the worker processes' own time, from /proc, so that the store's does not count; the model answers at once. Conversations in flight: the
model thinks for two seconds, and the model counts how many think at once; memory is the workers' PSS at that moment.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import boto3
import httpx

from benchmarks import load
from benchmarks.lab import BENCH_PYTHON, ROOT, Lab, Proc, listens
from benchmarks.report import Study
from dadacat.chaos.tree import free_port
from inbox import redis as inbox_redis
from inbox.redis import RedisInbox
from sms.messages import InboundSms, MessageSid

TIMES_IN_FLIGHT: Final = 20
#: So many people text, once a round each, and have done so for so many rounds before it counts: the plain worker shows its model twenty messages.
PEOPLE: Final = 100
EXCHANGES: Final = 10
#: Rounds that do not count where two checkouts are compared: connections are made, and everybody has texted.
WARM_ROUNDS: Final = 2
WAIT_SECONDS: Final = 240.0
WHO_KEY: Final = "be" * 16
OURS, PLAIN = "ours", "prefork, boto3, openai, twilio"


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """What a worker needs around it."""

    lab: Lab
    env: dict[str, str]
    stubs: str
    redis: Proc


@contextmanager
def house(*, thinks: float) -> Iterator[House]:
    """Stores, a model and a carrier."""
    with Lab() as lab:
        _, url, server = lab.redis(fsync="always")
        store, stubs = free_port(), free_port()
        (lab.data / "dynamodb").mkdir()
        lab.start(
            "dynamodb",
            [ROOT / ".venv/dynamodb/bin/python", "-P", ROOT / "dadacat/embedded/dynamodb.py", "--port", str(store),
             "--data", lab.data / "dynamodb"],
            until=listens(store),
        )  # fmt: skip
        lab.start(
            "stubs",
            [ROOT / ".venv/bin/uvicorn", "benchmarks.stubs:app", "--lifespan", "off", "--port", str(stubs),
             "--no-access-log", "--log-level", "warning", "--timeout-keep-alive", "75"],
            env={"MODEL_SECONDS": str(thinks)}, until=listens(stubs),
        )  # fmt: skip
        at = f"http://127.0.0.1:{stubs}"
        env = {
            "REDIS_URL": url, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{store}", "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local", "OPENAI_BASE_URL": f"{at}/v1", "OPENAI_API_KEY": "none",
            "TWILIO_API_BASE_URL": at, "TWILIO_ACCOUNT_SID": load.ACCOUNT_SID, "TWILIO_AUTH_TOKEN": load.AUTH_TOKEN,
            "TWILIO_PHONE_NUMBER": load.NUMBER, "PUBLIC_URL": "http://127.0.0.1:9", "LOG_LEVEL": "warning", "LIMITS": "off",
            "CAT_ENGINES": "openai:gpt-5-mini", "DOUBLE_TEXT_POLICY": "each", "WHO_KEY": WHO_KEY,
        }  # fmt: skip
        yield House(lab=lab, env=env, stubs=at, redis=server)


def ours(at: House, *, concurrency: int, name: str = "ours", root: Path = ROOT) -> Proc:
    """Our worker, ready."""
    ready = at.lab.data / f"{name}.ready"
    env = {**at.env, "WORKER_CONCURRENCY": str(concurrency), "DADACAT_READY_FILE": str(ready)}
    return at.lab.start(
        name, [ROOT / ".venv/bin/dadacat", "worker", "--name", name], env=env, until=ready.exists, root=root
    )


def local_credentials() -> None:
    """The embedded store takes any; boto3 asks for some."""
    os.environ.setdefault("AWS_ACCESS_KEY_ID", "local")
    os.environ.setdefault("AWS_SECRET_ACCESS_KEY", "local")


def plain_table(url: str) -> None:
    """The plain worker's table. Nothing happens where it is there."""
    client = boto3.client("dynamodb", endpoint_url=url, region_name="us-east-1")
    with suppress(client.exceptions.ResourceInUseException):
        client.create_table(
            TableName="PlainConversations",
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": "user_id", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "user_id", "KeyType": "HASH"}],
        )


def plain(at: House, *, concurrency: int) -> Proc:
    """The plain worker, ready."""
    local_credentials()
    plain_table(at.env["AWS_ENDPOINT_URL"])
    log = at.lab.data / "plain.log"
    return at.lab.start(
        "plain",
        [BENCH_PYTHON, "-m", "celery", "-A", "benchmarks.plain.tasks", "worker", "--pool", "prefork", "--concurrency", str(concurrency),
         "--without-gossip", "--without-mingle", "--task-events", "--loglevel", "INFO"],
        env=at.env, until=lambda: log.exists() and " ready." in log.read_text(),
    )  # fmt: skip


def accept(at: House, texts: Iterable[tuple[int, str]]) -> None:
    """Put texts into our inbox: the number of each, and who sent it."""
    with inbox_redis.connect(at.env["REDIS_URL"]) as client:
        inbox = RedisInbox(client, who_key=hashlib.blake2b(WHO_KEY.encode()).digest())
        for number, sender in texts:
            inbox.accept(
                InboundSms(sid=MessageSid(f"SM{number:032x}"), sender=sender, to=load.NUMBER, body=f"hello {number}")
            )


def text(at: House, name: str, first: int, texts: int, *, people: int = PEOPLE) -> None:
    """Bring texts, numbered from `first`, of `people` in turn."""
    if name == OURS:
        accept(at, ((number, f"+1555{number % people:07d}") for number in range(first, first + texts)))
        return
    script = (
        "from benchmarks.plain.tasks import answer\n"
        f"for n in range({first}, {first + texts}):\n answer.delay(f'+1555{{n % {people}:07d}}', '{load.NUMBER}', f'hello {{n}}', str(n))"
    )
    subprocess.run([BENCH_PYTHON, "-c", script], env={**at.env, "PYTHONPATH": str(ROOT)}, check=True, cwd=ROOT)  # noqa: S603


def seen(at: House) -> dict[str, float]:
    """What the stubs saw."""
    found = httpx.get(f"{at.stubs}/seen", timeout=10).json()
    assert isinstance(found, dict)
    return found


def until_sent(at: House, texts: int, *, seconds: float = WAIT_SECONDS) -> dict[str, float]:
    """Wait until so many replies were sent. Raises `TimeoutError`."""
    deadline = time.monotonic() + seconds
    while (found := seen(at))["sent"] < texts:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{found['sent']} of {texts} replies were sent")
        time.sleep(0.1)
    return found


def sent(at: House) -> list[tuple[str, str, float]]:
    """Every reply: to whom, the number of the text it answers, and when the carrier was asked, by the machine's monotonic clock."""
    found: Any = httpx.get(f"{at.stubs}/sent", timeout=60).json()
    return [(to, number, when) for to, number, when in found]


def forget(at: House) -> None:
    """Let the stubs begin anew."""
    httpx.get(f"{at.stubs}/forget", timeout=10)


def a_round(at: House, name: str, first: int) -> None:
    """Everybody texts once, and has a reply."""
    forget(at)
    text(at, name, first, PEOPLE)
    until_sent(at, PEOPLE)


def cpu(study: Study, *, rounds: int) -> None:
    """CPU a turn."""
    with house(thinks=0) as at:
        workers = {OURS: ours(at, concurrency=32), PLAIN: plain(at, concurrency=2)}
        first = 1
        for number in range(EXCHANGES + rounds):
            for name, proc in workers.items():
                before, begun = proc.cpu_seconds(), time.monotonic()
                a_round(at, name, first)
                first += PEOPLE
                if number >= EXCHANGES:
                    study.add("ms of worker CPU a turn", name, 1000 * (proc.cpu_seconds() - before) / PEOPLE)
                    study.add(
                        "turns/s with store, model and carrier on the same cores",
                        name,
                        PEOPLE / (time.monotonic() - begun),
                    )


def in_flight(study: Study, *, concurrency: int, children: int) -> None:
    """Conversations in flight for each GB."""
    for name, start, most, texts in (
        (OURS, ours, concurrency, concurrency * 2),
        (PLAIN, plain, children, children * 3),
    ):
        with house(thinks=2) as at:
            proc = start(at, concurrency=most)
            text(at, name, 1, texts, people=texts)
            highest = 0.0
            deadline = time.monotonic() + WAIT_SECONDS
            while seen(at)["sent"] < texts and time.monotonic() < deadline:
                highest = max(highest, proc.pss_mb())
                time.sleep(0.2)
            found = until_sent(at, texts)
            study.add("conversations in flight", name, found["most"])
            study.add("MB of the workers", name, highest)
            study.add("conversations in flight for each GB", name, 1024 * found["most"] / highest)


def study(*, quick: bool = False) -> Study:
    """The whole measurement."""
    found = Study(name="turns", title="Turns: CPU, and conversations in flight", command="scripts/bench turns")
    cpu(found, rounds=2 if quick else 10)
    for _ in range(1 if quick else 2):
        in_flight(found, concurrency=100 if quick else 256, children=4 if quick else 8)
    found.hold(
        "20 times the conversations in flight of plain prefork on the same memory",
        figure=f"{found.median('conversations in flight for each GB', OURS):,.0f} a GB",
        ratio=found.ratio("conversations in flight for each GB", OURS, PLAIN),
        least=TIMES_IN_FLIGHT,
    )
    found.hold(
        "per core at least the plain worker's turns/s",
        figure=f"{found.median('ms of worker CPU a turn', OURS):.1f} ms of CPU a turn",
        ratio=found.ratio("ms of worker CPU a turn", PLAIN, OURS),
        least=1,
    )
    return found


def compare(found: Study, base: Path, *, quick: bool = False) -> None:
    """CPU a turn of this checkout's worker beside another's, in turns.

    Each has a house of its own for each sample: one that stood still at the same Redis would be given bells that it does not hear.
    """
    what, counted = "ms of worker CPU a turn", 2 if quick else 6
    for _ in range(1 if quick else 4):
        for name, root in (("this", ROOT), ("base", base)):
            with house(thinks=0) as at:
                proc = ours(at, concurrency=32, root=root)
                for number in range(WARM_ROUNDS + counted):
                    if number == WARM_ROUNDS:
                        before = proc.cpu_seconds()
                    a_round(at, OURS, number * PEOPLE)
                found.add(what, name, 1000 * (proc.cpu_seconds() - before) / (counted * PEOPLE))
    found.notes.append(f"base / this, CPU a turn: {found.ratio(what, 'base', 'this')}")
