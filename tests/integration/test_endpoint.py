"""The tables' own client, against a server that answers as it is told: what is repeated, what is not, and how it is told."""

from __future__ import annotations

import json
import socket
import socketserver
import ssl
import threading
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import botocore.session
import pytest
import trustme
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    ReadTimeoutError,
    SSLError,
)

from conversation.dynamodb import translated
from conversation.endpoint import Endpoint
from conversation.errors import StoreAway, TableMissing
from conversation.wire import Way, Wire
from tests.conftest import wait_until

OK = (200, {"Item": {"user_id": {"S": "+1"}}})
ATTEMPTS = 3


class Told:
    """A DynamoDB that answers one thing after the other; None: it hangs up."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, Any] | None] = []
        self.asked: list[tuple[dict[str, str], dict[str, Any]]] = []
        self.paths: list[str] = []
        self.crc: int | None = None
        #: For so long it says nothing, and then a byte at a time.
        self.hold = threading.Event()
        self.hold.set()
        self.trickles = False
        self.over = threading.Event()
        self.connections = self.open = 0
        self.close_after_next = False
        told = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                told.connections += 1
                told.open += 1
                super().setup()

            def finish(self) -> None:
                super().finish()
                told.open -= 1

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                told.asked.append(({name.lower(): value for name, value in self.headers.items()}, json.loads(body)))
                told.paths.append(self.path)
                told.hold.wait(60)
                answer = told.answers.pop(0)
                if answer is None:
                    self.close_connection = True
                    return
                if told.close_after_next:
                    # not announced: whoever keeps the connection finds out when he uses it
                    self.close_connection, told.close_after_next = True, False
                status, said = answer
                data = json.dumps(said).encode() if not isinstance(said, bytes) else said
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.send_header("x-amz-crc32", str(zlib.crc32(data) if told.crc is None else told.crc))
                told.crc = None
                self.end_headers()
                if not told.trickles:
                    self.wfile.write(data)
                    return
                with suppress(OSError):
                    for at in range(len(data)):
                        self.wfile.write(data[at : at + 1])
                        told.over.wait(0.2)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def told() -> Iterator[Told]:
    one = Told()
    yield one
    one.hold.set()
    one.over.set()
    one.server.shutdown()
    one.server.server_close()


def endpoint(
    url: str, pauses: list[float] | None = None, *, known: bool = True, connect_seconds: float = 2
) -> Endpoint:
    session = botocore.session.Session()
    if known:
        session.set_credentials("an id", "a secret", "a token")
    else:
        session.get_credentials = lambda: None  # type: ignore[method-assign]
    return Endpoint(
        session, url=url, region="eu-west-1", connect_seconds=connect_seconds, read_seconds=0.5, attempts=ATTEMPTS, connections=2,
        sleep=(pauses if pauses is not None else []).append,
    )  # fmt: skip


def refusal(code: str, **more: Any) -> tuple[int, Any]:
    return 400, {"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": "why", **more}


def test_a_call_is_one_signed_post_in_the_protocol_of_the_service(told: Told) -> None:
    told.answers = [OK]

    answer = endpoint(told.url).ask("GetItem", {"TableName": "Cats", "Key": {"user_id": {"S": "ein Kätzchen"}}})

    assert answer == OK[1]
    [(headers, body)] = told.asked
    assert body == {"TableName": "Cats", "Key": {"user_id": {"S": "ein Kätzchen"}}}
    assert headers["x-amz-target"] == "DynamoDB_20120810.GetItem"
    assert headers["content-type"] == "application/x-amz-json-1.0"
    assert headers["x-amz-security-token"] == "a token"
    # signed over what arrived, at the time that it names
    again = AWSRequest(
        "POST", told.url + "/", data=json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode(),
        headers={"X-Amz-Target": headers["x-amz-target"], "Content-Type": headers["content-type"], "X-Amz-Security-Token": "a token"},
    )  # fmt: skip
    again.context["timestamp"] = headers["x-amz-date"]
    again.headers["X-Amz-Date"] = headers["x-amz-date"]
    signer = SigV4Auth(Credentials("an id", "a secret", "a token"), "dynamodb", "eu-west-1")
    signature = signer.signature(signer.string_to_sign(again, signer.canonical_request(again)), again)
    assert headers["authorization"].endswith(f"Signature={signature}")
    assert "/eu-west-1/dynamodb/aws4_request" in headers["authorization"]


@pytest.mark.parametrize(
    "answer",
    [
        (500, {"__type": "InternalServerError"}),
        (503, b"<html>busy</html>"),
        refusal("ProvisionedThroughputExceededException"),
        refusal("ThrottlingException"),
        None,
    ],
)
def test_what_another_moment_may_answer_is_asked_again(told: Told, answer: tuple[int, Any] | None) -> None:
    told.answers, pauses = [answer, answer, OK], list[float]()

    assert endpoint(told.url, pauses).ask("GetItem", {"TableName": "Cats"}) == OK[1]

    assert len(told.asked) == 3
    assert len(pauses) == 2
    assert 0 <= pauses[0] <= 0.05
    assert 0 <= pauses[1] <= 0.1


def test_a_server_in_trouble_is_away_whatever_it_says(told: Told) -> None:
    told.answers = [(503, b"<html>busy</html>")] * ATTEMPTS

    with pytest.raises(StoreAway, match="503"), translated():
        endpoint(told.url).ask("GetItem", {"TableName": "Cats"})


def test_after_so_many_attempts_the_last_answer_is_told(told: Told) -> None:
    told.answers = [(500, {"__type": "InternalServerError", "message": "oh"})] * ATTEMPTS

    with pytest.raises(StoreAway, match="InternalServerError"), translated():
        endpoint(told.url).ask("GetItem", {"TableName": "Cats"})

    assert len(told.asked) == ATTEMPTS


def test_a_refusal_is_told_at_once_with_all_that_was_answered(told: Told) -> None:
    told.answers = [refusal("ConditionalCheckFailedException", Item={"state": {"S": "SENT"}})]

    with pytest.raises(ClientError) as caught:
        endpoint(told.url).ask("UpdateItem", {"TableName": "Cats"})

    assert caught.value.response["Error"] == {"Code": "ConditionalCheckFailedException", "Message": "why"}
    assert caught.value.response["Item"] == {"state": {"S": "SENT"}}  # type: ignore[typeddict-item]
    assert caught.value.operation_name == "UpdateItem"
    assert len(told.asked) == 1


def test_a_repeated_transaction_bears_the_same_token(told: Told) -> None:
    told.answers = [None, (500, {}), (200, {}), (200, {})]
    one = endpoint(told.url)

    one.ask("TransactWriteItems", {"TransactItems": []})
    one.ask("TransactWriteItems", {"TransactItems": []})

    first, second, third, other = (body["ClientRequestToken"] for _, body in told.asked)
    assert first == second == third != other


def test_an_answer_that_was_damaged_on_its_way_is_asked_for_again(told: Told) -> None:
    told.answers, told.crc = [OK, OK], 1

    assert endpoint(told.url).ask("GetItem", {"TableName": "Cats"}) == OK[1]
    assert len(told.asked) == 2


@pytest.mark.parametrize("body", [b"<html>sign in</html>", b"", b"[]"])
def test_an_answer_of_another_is_no_missing_row(told: Told, body: bytes) -> None:
    told.answers = [(200, body)] * ATTEMPTS

    with pytest.raises(StoreAway), translated():
        endpoint(told.url).ask("GetItem", {"TableName": "Cats"})


def test_no_one_there_no_one_who_answers_and_no_credentials_are_told_apart(told: Told) -> None:
    told.answers = [None] * ATTEMPTS
    with pytest.raises(ConnectionClosedError):
        endpoint(told.url).ask("GetItem", {"TableName": "Cats"})
    with pytest.raises(NoCredentialsError), translated():
        endpoint(told.url, known=False).ask("GetItem", {"TableName": "Cats"})
    told.answers = [refusal("ResourceNotFoundException")]
    with pytest.raises(TableMissing), translated():
        endpoint(told.url).ask("GetItem", {"TableName": "Cats"})
    with pytest.raises(EndpointConnectionError):
        endpoint("http://127.0.0.1:1").ask("GetItem", {"TableName": "Cats"})
    with pytest.raises(StoreAway, match="EndpointConnectionError"), translated():
        endpoint("http://127.0.0.1:1").ask("GetItem", {"TableName": "Cats"})


def over_tls(told: Told, folder: Path) -> str:
    """Have it speak TLS as `localhost`; the file of the authority that says so."""
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    told.server.socket = context.wrap_socket(told.server.socket, server_side=True)
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    return str(folder / "ca.pem")


def test_a_server_is_believed_by_its_certificate_and_its_name_alone(
    told: Told, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    authority = over_tls(told, tmp_path)
    port, asked = told.server.server_port, {"TableName": "Cats"}
    told.answers = [OK]

    with pytest.raises(SSLError, match="unable to get local issuer certificate"):
        endpoint(f"https://localhost:{port}").ask("GetItem", asked)
    monkeypatch.setenv("AWS_CA_BUNDLE", authority)
    assert endpoint(f"https://localhost:{port}").ask("GetItem", asked) == OK[1]
    with pytest.raises(SSLError, match="no alternative certificate subject name matches"):
        endpoint(f"https://127.0.0.1:{port}").ask("GetItem", asked)
    assert len(told.asked) == 1


@contextmanager
def a_tunnel() -> Iterator[tuple[str, list[str]]]:
    """A proxy that carries what it cannot read (HTTP's CONNECT); its address, and where it was asked to go."""
    asked: list[str] = []

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            where = self.rfile.readline().split()[1].decode()
            asked.append(where)
            while self.rfile.readline().strip():
                continue
            host, _, port = where.rpartition(":")
            with socket.create_connection((host, int(port))) as there:
                self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                back = threading.Thread(target=pipe, args=(there, self.connection))
                back.start()
                pipe(self.connection, there)
                back.join()

    def pipe(one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while chunk := one.recv(65_536):
                other.sendall(chunk)
        with suppress(OSError):
            other.shutdown(socket.SHUT_WR)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
        server.shutdown()


def test_https_goes_through_the_proxy_that_the_environment_names(
    told: Told, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", over_tls(told, tmp_path))
    port, told.answers = told.server.server_port, [OK, OK]

    with a_tunnel() as (proxy, asked):
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        one = endpoint(f"https://localhost:{port}")
        for _ in range(2):
            assert one.ask("GetItem", {"TableName": "Cats"}) == OK[1]
        del one

    assert asked == [f"localhost:{port}"], "one tunnel, kept for the second call"
    assert len(told.asked) == 2


def test_the_one_that_does_not_take_the_connection_is_not_waited_for_longer_than_told() -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        with ExitStack() as ahead:
            # who stands in the queue of connections that nobody takes; the next one's requests are dropped
            for _ in range(3):
                waiting = ahead.enter_context(socket.socket())
                waiting.setblocking(False)
                waiting.connect_ex(listening.getsockname())
            port = listening.getsockname()[1]

            with pytest.raises(ConnectTimeoutError):
                endpoint(f"http://127.0.0.1:{port}", connect_seconds=0.3).ask("GetItem", {"TableName": "Cats"})


def test_a_server_that_says_nothing_is_waited_for_no_longer_than_told(told: Told) -> None:
    told.hold.clear()

    with pytest.raises(ReadTimeoutError):
        endpoint(told.url, connect_seconds=0.1).ask("GetItem", {"TableName": "Cats"})

    assert len(told.asked) == ATTEMPTS


def test_a_connection_that_is_kept_needs_no_time_to_connect(told: Told) -> None:
    told.answers = [OK]
    wire = Wire(Way(url=f"{told.url}/", connect_seconds=300, read_seconds=0.5), connections=1)
    assert wire.post(b"{}", [])[0] == 200
    told.hold.clear()
    begun = time.monotonic()

    with pytest.raises(ReadTimeoutError):
        wire.post(b"{}", [])

    # far less than the minutes that connecting may take
    assert time.monotonic() - begun < 60


def test_what_was_brought_over_a_connection_that_died_is_brought_again_with_the_same_token(told: Told) -> None:
    told.answers, pauses = [(200, {}), None, (200, {})], list[float]()
    one = endpoint(told.url, pauses)
    one.ask("TransactWriteItems", {"TransactItems": []})

    one.ask("TransactWriteItems", {"TransactItems": []})

    _, second, third = (body["ClientRequestToken"] for _, body in told.asked)
    assert second == third
    # by libcurl itself, within one attempt
    assert pauses == []


def test_a_server_that_trickles_is_waited_for_no_longer_than_told(told: Told) -> None:
    told.answers, told.trickles = [(200, {"Item": {"user_id": {"S": "a" * 1000}}})] * ATTEMPTS, True

    # the whole would take minutes, and no pause in it is as long as any timeout
    with pytest.raises(ReadTimeoutError):
        endpoint(told.url, connect_seconds=0.1).ask("GetItem", {"TableName": "Cats"})


def test_connections_are_kept_and_a_dead_one_is_not_noticed(told: Told) -> None:
    told.answers, pauses = [OK] * 20, list[float]()
    one = endpoint(told.url, pauses)

    for _ in range(5):
        one.ask("GetItem", {"TableName": "Cats"})
    assert told.connections == 1
    told.close_after_next = True
    for _ in range(2):
        one.ask("GetItem", {"TableName": "Cats"})
    assert (told.connections, pauses) == (2, [])
    # no more are kept than was said, however many there are at a time
    told.hold.clear()
    with ThreadPoolExecutor(5) as pool:
        asking = [pool.submit(one.ask, "GetItem", {"TableName": "Cats"}) for _ in range(5)]
        wait_until(lambda: len(told.asked) == 12, what="five at a time")
        told.hold.set()
        assert [each.result() for each in asking] == [OK[1]] * 5
    wait_until(lambda: told.open == 2, what="the end of all but two")


def test_a_large_body_does_not_wait_for_leave(told: Told) -> None:
    told.answers = [OK]

    endpoint(told.url).ask("BatchWriteItem", {"Item": "a" * 3_000_000})

    assert "expect" not in told.asked[0][0]


def test_it_goes_the_way_that_the_environment_wants(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    """By Python's rules, as every other program that uses botocore: a proxy is asked for the whole address."""
    told.answers = [OK, OK]
    monkeypatch.setenv("HTTP_PROXY", told.url)
    monkeypatch.setenv("NO_PROXY", "")

    endpoint("http://dynamodb.example").ask("GetItem", {"TableName": "Cats"})
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    endpoint(told.url).ask("GetItem", {"TableName": "Cats"})

    assert told.paths == ["http://dynamodb.example/", "/"]
