"""Real servers for the tests.

Each is started once, on a free port of 127.0.0.1, with its files in a temporary folder. A server that cannot be started
is an error, never a skip.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import botocore.client
import pytest
import redis

from chaos.tree import free_port
from local import environments
from local.programs import redis_server
from runtime.settings import without_settings
from tests.calls import policies, recorder

ROOT = Path(__file__).resolve().parent.parent
#: The folder of the modules that a process loads to record its calls to AWS.
CALLS = ROOT / "tests" / "calls"


#: Factor on every timeout, because a busy machine may be so many times slower than the one on which the timeouts were
#: chosen. A test that passes does not take longer.
SLOWER = 5


def wait_until(true: Callable[[], object], *, seconds: float = 20, what: str = "it") -> None:
    """Wait up to `SLOWER` times `seconds` for a condition; name `what` if it does not come true."""
    deadline = time.monotonic() + SLOWER * seconds
    while not true():
        assert time.monotonic() < deadline, f"{what} did not happen within {SLOWER} times {seconds} s"
        time.sleep(0.1)


def wait_for_redis(client: redis.Redis) -> None:
    """Wait until a server that was just started answers."""

    def answers() -> bool:
        try:
            return bool(client.ping())
        except redis.ConnectionError:
            return False

    wait_until(answers, what="Redis's answer")


def end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20 * SLOWER)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture(autouse=True, scope="session")
def no_tree_of_the_developer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep trees of tests out of the developer's list of running trees, and the reverse."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(autouse=True, scope="session")
def calls_to_aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Record what the processes of this run call at AWS, and compare it with their policies.

    `scripts/test` names one folder for all its runs, and then asks for permissions that no process used.
    """
    folder = os.environ.get("DADACAT_CALLS") or str(tmp_path_factory.mktemp("calls"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DADACAT_CALLS", folder)
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(CALLS), os.environ.get("PYTHONPATH")])))
        with recorder.recording(botocore.client):
            yield
    assert policies.not_allowed(recorder.read(Path(folder))) == set()


@pytest.fixture(scope="session")
def ctrl_c() -> Iterator[None]:
    """Let programs that tests start obey SIGINT: a shell has what it runs in the background ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(autouse=True)
def no_settings_of_the_developer(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in set(os.environ) - set(without_settings(os.environ)):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "local")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "local")


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    port, folder = free_port(), tmp_path_factory.mktemp("redis")
    command = [redis_server(), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", ""]
    with (folder / "server.txt").open("wb") as log:
        process = subprocess.Popen([*command, "--appendonly", "yes", "--appendfsync", "always"], stdout=log, stderr=log)
    client = redis.Redis(port=port)
    try:
        wait_for_redis(client)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        client.close()
        end(process)


@pytest.fixture
def redis_client(redis_url: str) -> Iterator[redis.Redis]:
    """Return a client of an emptied Redis."""
    client = redis.Redis.from_url(redis_url)
    client.flushall()
    yield client
    client.close()


@pytest.fixture(scope="session")
def dynamodb_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    port, folder = free_port(), tmp_path_factory.mktemp("dynamodb")
    process = start_dynamodb(port, folder)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        end(process)


def start_dynamodb(port: int, folder: Path, host: str = "127.0.0.1") -> subprocess.Popen[bytes]:
    python = environments.python("dynamodb")
    assert python.exists(), "the embedded DynamoDB is not installed: run scripts/install"
    server = ROOT / "local" / "dynamodb.py"
    with (folder / "server.txt").open("wb") as log:
        process = subprocess.Popen(
            [str(python), "-P", str(server), "--host", host, "--port", str(port), "--data", str(folder)],
            stdout=log,
            stderr=log,
        )
    wait_until(lambda: http_ok(f"http://{host}:{port}/"), what="DynamoDB's answer")
    return process


def http_ok(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
