"""Run one suite on every store: inside the process, embedded server, and Amazon's DynamoDB Local.

DynamoDB Local takes part if DYNAMODB_LOCAL_DIR names its folder.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import redis

from chaos.days.fake_redis import a_redis
from chaos.tree import free_port
from conversation.storage import DynamoDBStorage, InMemoryStorage
from inbox.connection import connect
from journal.store import Journal
from tests.conftest import end, wait_until

DYNAMODB_LOCAL_DIR = os.environ.get("DYNAMODB_LOCAL_DIR", "")
STORES = ["memory", "embedded", *(["dynamodb-local"] if DYNAMODB_LOCAL_DIR else [])]


@pytest.fixture(scope="session")
def dynamodb_local_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = Path(DYNAMODB_LOCAL_DIR)
    port = free_port()
    java = shutil.which("java")
    assert java, "DynamoDB Local needs Java"
    process = subprocess.Popen(
        [
            java, f"-Djava.library.path={folder / 'DynamoDBLocal_lib'}", "-jar", str(folder / "DynamoDBLocal.jar"),
            "-port", str(port), "-inMemory", "-sharedDb", "-disableTelemetry",
        ],
        cwd=tmp_path_factory.mktemp("dynamodb-local"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.environ.setdefault("AWS_ACCESS_KEY_ID", "local")
    os.environ.setdefault("AWS_SECRET_ACCESS_KEY", "local")
    storage = DynamoDBStorage("Probe", endpoint_url=f"http://127.0.0.1:{port}")

    def answers() -> bool:
        try:
            storage.ensure_tables()
        except Exception:  # noqa: BLE001 - not there yet
            return False
        return True

    wait_until(answers, seconds=60, what="DynamoDB Local's answer")
    yield f"http://127.0.0.1:{port}"
    end(process)


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest) -> Journal:
    if request.param == "memory":
        return Journal.on(InMemoryStorage())
    url = request.getfixturevalue("dynamodb_url" if request.param == "embedded" else "dynamodb_local_url")
    name = f"T{uuid4().hex[:12]}"
    return Journal.on(DynamoDBStorage(name, messages_table_name=f"{name}M", endpoint_url=url))


@pytest.fixture(params=["inside the process", "embedded"])
def server(request: pytest.FixtureRequest) -> Iterator[redis.Redis]:
    """Return a client of an empty Redis: fakeredis, then a real server."""
    if request.param == "inside the process":
        yield a_redis()
        return
    request.getfixturevalue("redis_client")
    client = connect(request.getfixturevalue("redis_url"))
    yield client
    client.close()
