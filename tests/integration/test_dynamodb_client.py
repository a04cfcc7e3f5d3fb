"""How boto3's client is set up: attempts, timeouts, lost answers, closed connections, credentials."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from conversation import dynamodb
from conversation.dynamodb import DynamoDB
from conversation.errors import ConditionFailed, Conflict, NotStorable, StoreAway, StoreRefuses, TableMissing
from conversation.table import Update
from runtime.settings import Settings

#: botocore pauses for a random time below 2^(n-1) s before attempt n+1 in its standard mode: 1 s and 2 s at most.
PAUSES_SECONDS = 3.0
KEY = {"user_id": "+15551230001"}
FOUND = (200, {"Item": {"user_id": {"S": "+15551230001"}, "fence": {"N": "3"}}})
UPDATED = (200, {"Attributes": {"user_id": {"S": "+15551230001"}}})
RAISE = Update(table="T", key=KEY, set={"fence": 1})


class Scripted:
    """A DynamoDB that gives one answer after the other; None: it hangs up after it read the request."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, Any] | None] = []
        self.requests: list[dict[str, Any]] = []
        self.connections = 0
        #: Close the connection after the next answer, without saying so.
        self.close_quietly = False
        scripted = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                scripted.connections += 1
                super().setup()

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                scripted.requests.append(json.loads(body))
                answer = scripted.answers.pop(0)
                if answer is None:
                    self.close_connection = True
                    return
                if scripted.close_quietly:
                    self.close_connection, scripted.close_quietly = True, False
                status, content = answer
                data = content if isinstance(content, bytes) else json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    server = Scripted()
    yield server
    server.server.shutdown()
    server.server.server_close()


@pytest.fixture
def tables(scripted: Scripted) -> DynamoDB:
    return DynamoDB(region_name="us-east-1", endpoint_url=scripted.url)


def error(status: int, code: str, **more: Any) -> tuple[int, Any]:
    return status, {"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": "no", **more}


@pytest.mark.parametrize(
    "answer",
    [None, error(500, "InternalServerError"), error(503, "Busy"), error(400, "ProvisionedThroughputExceededException")],
)
def test_what_another_moment_may_answer_is_asked_again(
    scripted: Scripted, tables: DynamoDB, answer: tuple[int, Any] | None
) -> None:
    scripted.answers += [answer, FOUND]

    assert tables.get("T", KEY) == {"user_id": "+15551230001", "fence": 3}
    assert len(scripted.requests) == 2


def test_no_environment_and_no_profile_changes_the_attempts(
    scripted: Scripted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config").write_text("[default]\nmax_attempts = 7\nretry_mode = legacy\n")
    for name, value in {
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
        "AWS_MAX_ATTEMPTS": "9",
        "AWS_RETRY_MODE": "adaptive",
    }.items():
        monkeypatch.setenv(name, value)
    scripted.answers += [error(500, "InternalServerError")] * 9

    with pytest.raises(StoreAway):
        DynamoDB(region_name="us-east-1", endpoint_url=scripted.url).get("T", KEY)

    assert len(scripted.requests) == dynamodb.ATTEMPTS


def test_all_attempts_at_a_call_end_before_a_lease_does() -> None:
    longest = dynamodb.ATTEMPTS * (dynamodb.CONNECT_TIMEOUT_SECONDS + dynamodb.READ_TIMEOUT_SECONDS)

    assert longest + PAUSES_SECONDS < Settings.load({}).visit.lease_seconds


def test_a_store_that_takes_no_connection_or_says_nothing_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dynamodb, "CONNECT_TIMEOUT_SECONDS", 0.2)
    monkeypatch.setattr(dynamodb, "READ_TIMEOUT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        started_at = time.monotonic()

        with pytest.raises(StoreAway):
            DynamoDB(region_name="us-east-1", endpoint_url=f"http://127.0.0.1:{silent.getsockname()[1]}").get("T", KEY)

        assert time.monotonic() - started_at < 10
    with pytest.raises(StoreAway):
        DynamoDB(region_name="us-east-1", endpoint_url="http://127.0.0.1:9").get("T", KEY)


def test_a_connection_that_the_server_closed_is_replaced(scripted: Scripted, tables: DynamoDB) -> None:
    scripted.answers += [FOUND] * 3
    tables.get("T", KEY)
    scripted.close_quietly = True
    tables.get("T", KEY)

    assert tables.get("T", KEY) is not None
    assert scripted.connections == 2


def test_a_repeated_transaction_carries_the_same_token(scripted: Scripted, tables: DynamoDB) -> None:
    scripted.answers += [None, (200, {})]

    tables.transact(RAISE)

    first, second = scripted.requests
    assert first["ClientRequestToken"] == second["ClientRequestToken"]


@pytest.mark.parametrize(
    ("answer", "raised"),
    [
        (error(400, "ConditionalCheckFailedException", Item={"fence": {"N": "7"}}), ConditionFailed),
        (error(400, "TransactionConflictException"), Conflict),
        (error(400, "ResourceNotFoundException"), TableMissing),
        (error(400, "ValidationException"), NotStorable),
        (error(400, "ValidationException", message="The table does not have the specified index: x"), StoreRefuses),
        (error(400, "AccessDeniedException"), StoreRefuses),
        (error(400, "ExpiredTokenException"), StoreRefuses),
        (error(400, "KMSAccessDeniedException"), StoreRefuses),
        (error(400, "ANewException"), StoreRefuses),
    ],
)
def test_a_refusal_is_not_asked_again(
    scripted: Scripted, tables: DynamoDB, answer: tuple[int, Any], raised: type[Exception]
) -> None:
    scripted.answers += [answer]

    with pytest.raises(raised) as caught:
        tables.update(RAISE)

    assert len(scripted.requests) == 1
    if isinstance(caught.value, ConditionFailed):
        assert caught.value.rows == [{"fence": 7}]


@pytest.mark.parametrize(
    ("reasons", "raised"),
    [
        (["None", "ConditionalCheckFailed"], ConditionFailed),
        (["TransactionConflict", "None"], Conflict),
        (["None", "ThrottlingError"], StoreAway),
        (["None", "AccessDenied"], StoreRefuses),
        (["ValidationError", "None"], NotStorable),
    ],
)
def test_a_cancelled_transaction_says_why(
    scripted: Scripted, tables: DynamoDB, reasons: list[str], raised: type[Exception]
) -> None:
    causes = [
        {"Code": reason, "Item": {"n": {"N": "1"}}} if "Cond" in reason else {"Code": reason} for reason in reasons
    ]
    scripted.answers += [error(400, "TransactionCanceledException", CancellationReasons=causes)] * dynamodb.ATTEMPTS

    with pytest.raises(raised) as caught:
        tables.transact(RAISE, Update(table="T", key={"user_id": "+2"}, set={"fence": 1}))

    if isinstance(caught.value, ConditionFailed):
        assert caught.value.rows == [None, {"n": 1}]


def test_slow_credentials_are_waited_for_once(
    scripted: Scripted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Credentials come from a program that takes its time; sixteen threads ask at once."""
    count = tmp_path / "asked"
    answer = json.dumps({"Version": 1, "AccessKeyId": "id", "SecretAccessKey": "secret", "SessionToken": "token"})
    program = tmp_path / "credentials"
    program.write_text(f"#!/bin/sh\necho asked >> {count}\nsleep 0.5\necho '{answer}'\n")
    program.chmod(0o700)
    (tmp_path / "config").write_text(f"[default]\ncredential_process = {program}\n")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    scripted.answers += [FOUND] * 16
    tables = DynamoDB(region_name="us-east-1", endpoint_url=scripted.url)
    rows: list[object] = []
    threads = [threading.Thread(target=lambda: rows.append(tables.get("T", KEY))) for _ in range(16)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(rows) == 16
    assert count.read_text().splitlines() == ["asked"]


def test_without_credentials_the_error_says_what_to_set(
    scripted: Scripted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")

    with pytest.raises(StoreRefuses, match="AWS_ACCESS_KEY_ID"):
        DynamoDB(region_name="us-east-1", endpoint_url=scripted.url).get("T", KEY)

    assert scripted.requests == []


def test_a_throttled_batch_is_sent_again_as_far_as_it_was_not_taken(scripted: Scripted, tables: DynamoDB) -> None:
    left = {"T": [{"PutRequest": {"Item": {"user_id": {"S": "+2"}}}}]}
    scripted.answers += [(200, {"UnprocessedItems": left}), (200, {"UnprocessedItems": {}})]

    tables.put_all("T", [{"user_id": "+1"}, {"user_id": "+2"}])

    assert scripted.requests[1]["RequestItems"] == left


@pytest.mark.parametrize("page", [b"<html>down for maintenance</html>", b"", b"[]", b'{"Item": {'])
def test_a_page_that_is_not_dynamodbs_is_no_success(scripted: Scripted, tables: DynamoDB, page: bytes) -> None:
    calls: list[Callable[[], object]] = [
        lambda: tables.get("T", KEY),
        lambda: tables.update(RAISE),
        lambda: tables.transact(RAISE),
    ]
    for call in calls:
        scripted.answers = [(200, page)]
        with pytest.raises(StoreAway, match="HTTPClientError"):
            call()
