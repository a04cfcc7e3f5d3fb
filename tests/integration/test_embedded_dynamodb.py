"""The embedded DynamoDB of `dadacat up`: an acknowledged write survives `kill -9`."""

from __future__ import annotations

import json
import subprocess
import threading
from pathlib import Path

import httpx
import pytest

from chaos.tree import free_port
from conversation.errors import StoreAway
from conversation.manager import ConversationManager
from conversation.storage import DynamoDBStorage
from conversation.table import Query
from local import environments
from tests.conftest import ROOT, end, start_dynamodb


def test_everything_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    port = free_port()
    server = start_dynamodb(port, tmp_path)
    storage = DynamoDBStorage("Kept", endpoint_url=f"http://127.0.0.1:{port}")
    manager = ConversationManager(storage=storage)
    acknowledged: list[str] = []
    enough = threading.Event()

    def write() -> None:
        number = 0
        while True:
            try:
                manager.add_user_message("+15551230001", f"text {number}")
            except StoreAway:
                return
            acknowledged.append(f"text {number}")
            number += 1
            if number == 60:
                enough.set()

    writer = threading.Thread(target=write)
    writer.start()
    assert enough.wait(60)
    server.kill()
    server.wait()
    writer.join(60)

    with (tmp_path / "journal.jsonl").open("ab") as torn:
        torn.write(b'["PutItem", "us-east-1", "{\\"half')
    server = start_dynamodb(port, tmp_path)
    history = [entry.content for entry in manager.history("+15551230001")]
    end(server)

    assert set(acknowledged) <= set(history)
    assert len(history) <= len(acknowledged) + 1
    assert len(set(history)) == len(history)


def test_a_long_journal_is_written_anew_and_says_the_same(tmp_path: Path) -> None:
    port = free_port()
    server = start_dynamodb(port, tmp_path)
    storage = DynamoDBStorage("Kept", endpoint_url=f"http://127.0.0.1:{port}")
    storage.ensure_tables()
    for number in range(2_100):
        storage.tables.put_all("Kept", [{"user_id": f"+{number % 20}", "n": number}])
    end(server)
    long = (tmp_path / "journal.jsonl").stat().st_size

    server = start_dynamodb(port, tmp_path)
    items = storage.tables.query(Query(table="Kept")).rows
    end(server)

    assert sorted(item["n"] for item in items) == list(range(2_080, 2_100))
    assert (tmp_path / "journal.jsonl").stat().st_size < long / 50
    assert (tmp_path / "journal.jsonl").stat().st_mode & 0o777 == 0o600
    assert all(json.loads(line) for line in (tmp_path / "journal.jsonl").read_text().splitlines())


def test_two_servers_do_not_share_one_folder(tmp_path: Path) -> None:
    server = start_dynamodb(free_port(), tmp_path)
    python = environments.python("dynamodb")

    second = subprocess.run(
        [str(python), "-P", str(ROOT / "local/dynamodb.py"),
         "--port", str(free_port()), "--data", str(tmp_path)],
        capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip
    end(server)

    assert second.returncode == 1
    assert "in use by another server" in second.stderr


def test_a_damaged_journal_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    port = free_port()
    server = start_dynamodb(port, tmp_path)
    tables = DynamoDBStorage("Kept", endpoint_url=f"http://127.0.0.1:{port}").tables
    for number in range(5):
        tables.put_all("Kept", [{"user_id": f"+{number}"}])
    end(server)
    path = tmp_path / "journal.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    damaged = b"".join([*lines[:4], lines[4][:20] + b"\n", *lines[5:]])
    path.write_bytes(damaged)

    python = environments.python("dynamodb")
    answer = subprocess.run(
        [str(python), "-P", str(ROOT / "local/dynamodb.py"), "--port", str(port), "--data", str(tmp_path)],
        capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip

    assert answer.returncode == 1
    assert "line 5 is damaged" in answer.stderr
    assert path.read_bytes() == damaged


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "localhost:8404"}, 200),
        ({"Host": "evil.example"}, 403),
        ({"Host": ""}, 403),
        ({"Origin": "http://127.0.0.1:9000"}, 403),
        ({"Origin": "null"}, 403),
    ],
)
def test_only_programs_of_this_machine_are_answered(dynamodb_url: str, headers: dict[str, str], status: int) -> None:
    for method, target in (("GET", ""), ("POST", "DynamoDB_20120810.ListTables")):
        asked = {**({"X-Amz-Target": target} if target else {}), **headers}
        assert httpx.request(method, dynamodb_url, content=b"{}", headers=asked).status_code == status
