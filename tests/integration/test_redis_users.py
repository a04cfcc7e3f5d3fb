"""The users of Redis that `deploy/compose/make-secrets` makes: each may do its work, and no more."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis

from chaos.tree import free_port
from console.audit import Audit
from console.sessions import Sessions
from inbox import keys, payloads, processes, snapshot, worker_keys
from inbox import server as server_figures
from local.programs import redis_server
from operations.logins import Login, Role
from runtime.settings import Settings
from tests.builders import OUR_NUMBER, a_text
from tests.conftest import ROOT, end, wait_for_redis
from webhook import build
from worker.build import celery
from worker.build.inbox import circuit, redis_client, redis_inbox

MAKE = ROOT / "deploy/compose/make-secrets"


@dataclass(frozen=True, slots=True)
class Server:
    folder: Path
    port: int

    def settings(self, user: str) -> Settings:
        url = (self.folder / f"redis-url-{user}").read_text().strip().replace("@redis:6379", f"@127.0.0.1:{self.port}")
        return Settings.load(
            {"REDIS_URL": url, "TWILIO_ACCOUNT_SID": "AC" + "1" * 32, "TWILIO_PHONE_NUMBER": OUR_NUMBER}
        )

    def client(self, user: str) -> redis.Redis:
        return redis.Redis.from_url(self.settings(user).redis.url)

    def denials(self) -> list[str]:
        """Return what Redis refused so far to a user with a password."""
        with redis.Redis(port=self.port, username="test", password="") as client:
            refused = [(entry["username"], entry["object"]) for entry in client.acl_log()]
        return [f"{user}: {what}" for user, what in refused if user != "default"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder, port = tmp_path_factory.mktemp("redis"), free_port()
    subprocess.run([MAKE, "--trial"], env={**os.environ, "SECRETS": str(folder)}, check=True, capture_output=True)
    users = folder / "redis-users"
    users.write_text(f"{users.read_text()}\nuser test on nopass ~* &* +@all\n")
    process = subprocess.Popen(
        [redis_server(), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--aclfile", str(users)],
        stdout=subprocess.DEVNULL,
    )
    try:
        with redis.Redis(port=port) as client:
            # without a password
            wait_for_redis(client)
        yield Server(folder, port)
    finally:
        end(process)


def test_each_process_may_do_its_work(server: Server) -> None:
    async def accept() -> None:
        ingest = build.build_ingest(server.settings("webhook"))
        await ingest.accept(a_text())
        await ingest.state()
        await ingest.close()

    asyncio.run(accept())
    beat = celery.app(server.settings("beat"))
    beat.send_task(payloads.SWEEP_TASK)
    worker = server.settings("worker")
    with redis_client(worker) as client:
        inbox = redis_inbox(worker, client)
        (person,) = client.hkeys(keys.PEOPLE)
        lease = inbox.leases.take(payloads.Who(person.decode()))
        assert lease
        assert [waiting.text and waiting.text.body for waiting in inbox.texts.waiting(lease, limit=5)] == ["hello"]
        assert client.config_get("appendonly")
    app = celery.app(worker)
    with app.connection_for_read() as connection:
        queue = connection.SimpleQueue(keys.QUEUE)
        # the wake-up task of the text, and the sweep
        for _ in range(2):
            queue.get(timeout=10).ack()
        queue.close()
    # asks the workers, and none is here
    assert celery.app(server.settings("flower")).control.inspect(timeout=0.2).ping() is None
    console = server.settings("console")
    with redis_client(console, "console") as client:
        sessions, log = Sessions(client), Audit(client)
        session = sessions.find(sessions.open(Login(name="operator", role=Role.ACT, hash="")))
        assert session is not None
        assert sessions.may_try("192.0.2.1")
        log.end(log.begin(name="operator", address="192.0.2.1", what="login"), "done")
        assert [person.texts for person in snapshot.read(client, circuit(console, client).stopped()).waiting] == [1]
        assert server_figures.read(client).appends is False
        assert "console" in {process.role for process in processes.connected(client)}

    assert server.denials() == []


@pytest.mark.parametrize(
    ("user", "command"),
    [
        ("webhook", ("FLUSHALL",)),
        ("webhook", ("CONFIG", "GET", "*")),
        ("worker", ("SHUTDOWN",)),
        ("worker", ("CONFIG", "SET", "appendonly", "no")),
        ("worker", ("ACL", "LIST")),
        ("console", ("CONFIG", "SET", "appendonly", "no")),
        ("console", ("CLIENT", "KILL", "TYPE", "normal")),
        ("beat", ("HGETALL", keys.PEOPLE)),
        ("beat", ("KEYS", "*")),
        ("flower", ("XRANGE", keys.texts("x"), "-", "+")),
        ("flower", ("EVAL", "return redis.call('HGETALL', KEYS[1])", "1", keys.PEOPLE)),
        ("backup", ("GET", worker_keys.EPOCH)),
    ],
)
def test_a_user_may_do_no_more(server: Server, user: str, command: tuple[str, ...]) -> None:
    with server.client(user) as client, pytest.raises(redis.exceptions.NoPermissionError):
        client.execute_command(*command)


def test_without_a_password_nothing_is_read(server: Server) -> None:
    with redis.Redis(port=server.port) as client, pytest.raises(redis.exceptions.NoPermissionError):
        client.get(worker_keys.EPOCH)


def test_secrets_are_made_once_and_their_folder_is_private(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    for _ in range(2):
        subprocess.run([MAKE], env={**os.environ, "SECRETS": str(folder)}, check=True, capture_output=True)
        first = {path.name: path.read_text() for path in folder.iterdir()}

    subprocess.run([MAKE], env={**os.environ, "SECRETS": str(folder)}, check=True, capture_output=True)
    assert {path.name: path.read_text() for path in folder.iterdir()} == first
    assert folder.stat().st_mode & 0o777 == 0o700
