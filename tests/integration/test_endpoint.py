"""The tables' own client, against a server that answers as it is told: what is repeated, what is not, and how it is told."""

from __future__ import annotations

import json
import ssl
import threading
import zlib
from collections.abc import Iterator
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
    EndpointConnectionError,
    NoCredentialsError,
    SSLError,
)

from conversation.dynamodb import translated
from conversation.endpoint import Endpoint
from conversation.errors import StoreAway, TableMissing

OK = (200, {"Item": {"user_id": {"S": "+1"}}})
ATTEMPTS = 3


class Told:
    """A DynamoDB that answers one thing after the other; None: it hangs up."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, Any] | None] = []
        self.asked: list[tuple[dict[str, str], dict[str, Any]]] = []
        self.crc: int | None = None
        told = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                told.asked.append(({name.lower(): value for name, value in self.headers.items()}, json.loads(body)))
                answer = told.answers.pop(0)
                if answer is None:
                    self.close_connection = True
                    return
                status, said = answer
                data = json.dumps(said).encode() if not isinstance(said, bytes) else said
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.send_header("x-amz-crc32", str(zlib.crc32(data) if told.crc is None else told.crc))
                told.crc = None
                self.end_headers()
                self.wfile.write(data)

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
    one.server.shutdown()
    one.server.server_close()


def endpoint(url: str, pauses: list[float] | None = None, *, known: bool = True) -> Endpoint:
    session = botocore.session.Session()
    if known:
        session.set_credentials("an id", "a secret", "a token")
    else:
        session.get_credentials = lambda: None  # type: ignore[method-assign]
    return Endpoint(
        session, url=url, region="eu-west-1", connect_seconds=2, read_seconds=0.5, attempts=ATTEMPTS, connections=2,
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
def test_an_answer_of_somebody_else_is_no_missing_row(told: Told, body: bytes) -> None:
    told.answers = [(200, body)] * ATTEMPTS

    with pytest.raises(StoreAway), translated():
        endpoint(told.url).ask("GetItem", {"TableName": "Cats"})


def test_nobody_there_nobody_who_answers_and_no_credentials_are_told_apart(told: Told) -> None:
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


def test_a_server_is_believed_by_its_certificate_and_its_name_alone(
    told: Told, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    told.server.socket = context.wrap_socket(told.server.socket, server_side=True)
    port, asked = told.server.server_port, {"TableName": "Cats"}
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    told.answers = [OK]

    with pytest.raises(SSLError, match="CERTIFICATE_VERIFY_FAILED"):
        endpoint(f"https://localhost:{port}").ask("GetItem", asked)
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "ca.pem"))
    assert endpoint(f"https://localhost:{port}").ask("GetItem", asked) == OK[1]
    with pytest.raises(SSLError, match="doesn't match"):
        endpoint(f"https://127.0.0.1:{port}").ask("GetItem", asked)
    assert len(told.asked) == 1
