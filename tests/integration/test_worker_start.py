"""A worker that cannot work ends with a sentence and an error code before it takes a task.

Also: what any client can write into Redis's queue ends no worker.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
import redis

from inbox import keys, wakeup, worker_keys
from inbox.payloads import SWEEP_TASK
from runtime.settings import without_settings
from tests.conftest import end, wait_until
from tests.servers import a_server, asked_of, send

pytestmark = [pytest.mark.servers, pytest.mark.timeout(300)]

LONG = pytest.mark.long
#: The other pool is tried by `scripts/test -m long`.
POOLS = pytest.mark.parametrize("pool", ["threads", pytest.param("prefork", marks=LONG)])
DADACAT = str(Path(sys.executable).parent / "dadacat")


def settings(redis_url: str, store: str, **more: str) -> dict[str, str]:
    return {
        **without_settings(os.environ), "REDIS_URL": redis_url, "AWS_ENDPOINT_URL": store,
        "AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local", "TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
        "TWILIO_AUTH_TOKEN": "t" * 32, "TWILIO_PHONE_NUMBER": "+15005550006", "PUBLIC_URL": "http://127.0.0.1:1",
        "TWILIO_API_BASE_URL": "http://127.0.0.1:1", "LOG_LEVEL": "warning", "WORKER_CONCURRENCY": "2", **more,
    }  # fmt: skip


def run(role: str, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [DADACAT, role], env=dict(environment), capture_output=True, text=True, timeout=120, check=False
    )


@contextmanager
def a_store_that_refuses(operation: str, code: str = "AccessDeniedException") -> Iterator[str]:
    """Run a DynamoDB whose tables are there and empty, and that refuses one operation."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        asked_of(handler)
        asked = handler.headers["X-Amz-Target"].rpartition(".")[2]
        if asked == operation:
            refusal = {"__type": f"x#{code}", "message": f"not authorized to perform: dynamodb:{asked}"}
            return send(handler, json.dumps(refusal).encode(), status=400)
        if asked in ("UpdateItem", "DeleteItem", "TransactWriteItems"):
            return send(handler, b'{"__type": "x#ConditionalCheckFailedException"}', status=400)
        page = {"Table": {"TableStatus": "ACTIVE"}, "Items": [], "Responses": {}, "UnprocessedItems": {}}
        return send(handler, json.dumps(page).encode())

    with a_server(answer) as url:
        yield url


@pytest.mark.parametrize(
    ("operation", "code", "sentence"),
    [
        ("TransactWriteItems", "AccessDeniedException", "dynamodb:TransactWriteItems"),
        pytest.param("BatchWriteItem", "AccessDeniedException", "BatchWriteItem on DadaCatMessages", marks=LONG),
        pytest.param("GetItem", "UnrecognizedClientException", "UnrecognizedClientException", marks=LONG),
    ],
)
def test_a_worker_without_a_permission_ends_with_a_sentence(
    redis_client: redis.Redis, redis_url: str, operation: str, code: str, sentence: str
) -> None:
    redis_client.lpush(keys.QUEUE, wakeup.message(SWEEP_TASK))
    with a_store_that_refuses(operation, code) as store:
        ended = run("worker", settings(redis_url, store))

    assert ended.returncode != 0
    assert "this worker cannot work" in ended.stderr
    assert sentence in ended.stderr
    assert "Traceback" not in ended.stderr
    assert redis_client.llen(keys.QUEUE) == 1


#: A worker whose check fails in a way that no code foresees.
UNFORESEEN = """
from celery.signals import worker_init
from worker import start, tasks

def check(chosen):
    raise OverflowError("date value out of range")

start.check = check
worker_init.send(sender=None)
print("goes on")
"""


def test_a_worker_whose_start_fails_in_any_way_ends(redis_url: str) -> None:
    """Celery itself logs the error and goes on: such a worker takes texts and answers none."""
    environment = settings(redis_url, "http://127.0.0.1:1")

    command = [sys.executable, "-c", UNFORESEEN]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)

    assert ended.returncode != 0
    assert "goes on" not in ended.stdout
    assert "this worker cannot work: OverflowError" in ended.stderr
    assert "date value out of range" in ended.stderr, "the operator sees why"


@LONG
def test_a_worker_without_credentials_ends_with_a_sentence(redis_url: str, tmp_path: Path) -> None:
    none = str(tmp_path / "none")
    environment = settings(redis_url, "http://127.0.0.1:1", AWS_CONFIG_FILE=none, AWS_SHARED_CREDENTIALS_FILE=none,
                           AWS_EC2_METADATA_DISABLED="true", WORKER_POOL="prefork")  # fmt: skip
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        del environment[name]

    ended = run("worker", environment)

    assert ended.returncode != 0
    assert "there are no AWS credentials" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("role", ["beat", *(pytest.param(role, marks=LONG) for role in ("worker", "webhook"))])
def test_a_process_whose_redis_login_is_refused_ends_with_a_sentence(redis_url: str, role: str) -> None:
    address = redis_url.replace("redis://", "redis://cat:wrong-sekret@")

    ended = run(role, settings(address, "http://127.0.0.1:1"))

    assert ended.returncode != 0
    assert "Redis refuses the user in REDIS_URL: WRONGPASS" in ended.stderr
    assert "sekret" not in ended.stderr + ended.stdout
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("role", ["beat", pytest.param("worker", marks=LONG)])
def test_a_process_whose_metrics_port_is_taken_ends_with_a_sentence(redis_url: str, role: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = run(role, settings(redis_url, "http://127.0.0.1:1", METRICS_PORT=str(port)))

    assert ended.returncode != 0
    assert f"this {role} cannot work: METRICS_PORT {port}: Address already in use" in ended.stderr
    assert "Traceback" not in ended.stderr


def bad_messages() -> list[bytes]:
    """Return what is no wake-up message, though some of it looks like one."""
    good = json.loads(wakeup.message(SWEEP_TASK))
    odd: list[object] = [
        {**good, "body": "%%%"},
        {**good, "body": b64encode(b"\xff\xfe").decode()},
        {**good, "headers": []},
        {**good, "headers": {"task": ["a"]}},
        {**good, "headers": {"task": SWEEP_TASK}},
        {**good, "headers": {**good["headers"], "eta": "never"}},
        {**good, "properties": {}},
        {**good, "properties": {**good["properties"], "delivery_tag": []}},
        {**good, "content-type": "application/x-python-serialize"},
        {"body": None},
        {},
        [],
        None,
        1,
        "x",
    ]
    return [b"%%%", b"\xff\xfe", b"[" * 100_000, b"", *(json.dumps(message).encode() for message in odd)]


@POOLS
def test_a_message_that_cannot_be_read_ends_no_worker(
    redis_client: redis.Redis, redis_url: str, dynamodb_url: str, tmp_path: Path, pool: str
) -> None:
    ready = tmp_path / "ready"
    environment = settings(redis_url, dynamodb_url, WORKER_POOL=pool, DADACAT_READY_FILE=str(ready))
    with (tmp_path / "log").open("wb") as log:
        worker = subprocess.Popen([DADACAT, "worker"], env=environment, stdout=log, stderr=log)
    try:
        wait_until(ready.exists, what="the worker")
        # each of them would take one of the worker's two places for good
        for message in bad_messages() * 2:
            redis_client.lpush(keys.QUEUE, message)
        redis_client.publish("/0.celery.pidbox", b"[" * 100_000)
        redis_client.publish("/0.celery.pidbox", b'{"properties": 1}')

        wait_until(lambda: redis_client.llen(keys.QUEUE) == 0, what="an empty queue")
        redis_client.delete(worker_keys.EPOCH)
        redis_client.lpush(keys.QUEUE, wakeup.message(SWEEP_TASK), wakeup.message(SWEEP_TASK))
        wait_until(lambda: redis_client.exists(worker_keys.EPOCH), what="a sweep")
        assert worker.poll() is None
    finally:
        end(worker)
    assert worker.returncode == 0
    written = (tmp_path / "log").read_text(errors="replace")
    assert '"set aside"' in written
    assert "Unrecoverable" not in written


@LONG
@pytest.mark.parametrize("pool", ["threads", "prefork"])
def test_a_worker_that_ends_by_an_error_says_so_by_its_exit_code(redis_url: str, dynamodb_url: str, pool: str) -> None:
    broken = "from worker import broker; broker.EventsInBatches.start = lambda *_: 1 / 0"
    command = f"{broken}; from dadacat.cli import main; main(['worker'])"

    ended = subprocess.run(
        [sys.executable, "-c", command], env=settings(redis_url, dynamodb_url, WORKER_POOL=pool),
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip

    assert "ZeroDivisionError" in ended.stderr
    assert ended.returncode == 1


@LONG
def test_a_worker_waits_for_a_store_that_does_not_answer_yet(
    redis_client: redis.Redis, redis_url: str, tmp_path: Path
) -> None:
    redis_client.ping()
    away = threading.Event()

    def answer(handler: BaseHTTPRequestHandler) -> None:
        asked_of(handler)
        away.set()
        send(handler, b'{"__type": "x#ThrottlingException"}', status=400)

    with a_server(answer) as store, (tmp_path / "log").open("wb") as log:
        worker = subprocess.Popen([DADACAT, "worker"], env=settings(redis_url, store), stdout=log, stderr=log)
        try:
            assert away.wait(60)
            wait_until(lambda: "the store refuses for now" in (tmp_path / "log").read_text(), what="the warning")
            assert worker.poll() is None
        finally:
            end(worker)
