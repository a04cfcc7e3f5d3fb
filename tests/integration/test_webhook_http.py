"""HTTP of `dadacat webhook`: attacks are harmless, and slow connections are closed."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import redis

from inbox import decoding, keys
from sms import signature
from tests.builders import ANN, OUR_NUMBER, a_sid
from tests.conftest import SLOWER, wait_until
from tests.webhooks import TOKEN, Webhook, a_webhook
from webhook.app import MAX_BODY_BYTES

#: What `dadacat webhook --request-seconds` is set to here, and how long a test waits for its effect.
REQUEST_SECONDS = 1.0
CLOSED_SECONDS = 5.0

HOST = b"Host: cat.example\r\n"
POST = b"POST /sms HTTP/1.1\r\n" + HOST
LIVEZ = b"GET /livez HTTP/1.1\r\n" + HOST + b"\r\n"
LAST_LIVEZ = b"GET /livez HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n"


@pytest.fixture(scope="module")
def running(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Webhook]:
    with a_webhook(redis_url, tmp_path_factory.mktemp("webhook"), request_seconds=REQUEST_SECONDS) as webhook:
        yield webhook


@pytest.fixture
def webhook(running: Webhook, redis_client: redis.Redis) -> Webhook:
    redis_client.flushall()
    return running


def connect(webhook: Webhook) -> socket.socket:
    return socket.create_connection(("127.0.0.1", webhook.port), timeout=CLOSED_SECONDS)


def say(webhook: Webhook, *pieces: bytes) -> bytes:
    """Return all that is answered to these bytes, until the connection ends."""
    with connect(webhook) as connection:
        try:
            for piece in pieces:
                connection.sendall(piece)
        except OSError:
            pass
        return read_all(connection)


def read_all(connection: socket.socket) -> bytes:
    data = b""
    while True:
        try:
            more = connection.recv(65_536)
        except ConnectionError:
            return data
        if not more:
            return data
        data += more


def statuses(answers: bytes) -> list[str]:
    return [part.split(b" ", 1)[0].decode() for part in answers.split(b"HTTP/1.1 ")[1:]]


def a_request(
    webhook: Webhook, body: str = "hello", *, path: str = "/sms", more: tuple[str, ...] = (), last: bool = True
) -> bytes:
    form = {"MessageSid": a_sid(), "AccountSid": "AC1", "From": ANN, "To": OUR_NUMBER, "Body": body}
    encoded = urlencode(form).encode()
    lines = [
        f"POST {path} HTTP/1.1", "Host: cat.example", *more,
        f"X-Twilio-Signature: {signature.sign(TOKEN, webhook.url + path, form)}",
        "Content-Type: application/x-www-form-urlencoded", f"Content-Length: {len(encoded)}",
        *(["Connection: close"] if last else []),
    ]  # fmt: skip
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + encoded


def texts(client: redis.Redis) -> list[str]:
    read: Any = client.xrange  # two protocol versions, two types
    entries = [entry for key in client.keys(keys.texts("*")) for entry in read(key)]
    return [decoding.decode_text(fields[b"text"]).body for _, fields in sorted(entries)]


def test_a_text_is_stored_and_answered_with_a_date_and_a_length(webhook: Webhook, redis_client: redis.Redis) -> None:
    answer = say(webhook, a_request(webhook, "hello cat"))

    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"date: " in head
    assert f"content-length: {len(body)}".encode() in head
    assert body.endswith(b"<Response/>")
    assert texts(redis_client) == ["hello cat"]


def test_one_connection_brings_many_texts_in_pieces_of_any_size(webhook: Webhook, redis_client: redis.Redis) -> None:
    whole = b"".join(a_request(webhook, str(number), last=number == 4) for number in range(5))

    answers = say(webhook, *(whole[at : at + 7] for at in range(0, len(whole), 7)))

    assert statuses(answers) == ["200"] * 5
    assert texts(redis_client) == list("01234")


def test_a_chunked_text_is_a_text(webhook: Webhook, redis_client: redis.Redis) -> None:
    head, _, body = a_request(webhook, "in pieces").partition(b"\r\n\r\n")
    head = head.replace(f"Content-Length: {len(body)}".encode(), b"Transfer-Encoding: chunked") + b"\r\n\r\n"

    answer = say(webhook, head, b"5\r\n" + body[:5], b"\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body) - 5, body[5:]))

    assert statuses(answer) == ["200"]
    assert texts(redis_client) == ["in pieces"]


def test_a_client_that_asks_before_it_sends_the_body_is_told_to_send(webhook: Webhook) -> None:
    head, _, body = a_request(webhook, more=("Expect: 100-continue",)).partition(b"\r\n\r\n")
    with connect(webhook) as connection:
        connection.sendall(head + b"\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 100 ")
        connection.sendall(body)
        assert statuses(read_all(connection)) == ["200"]


def test_a_head_has_no_body(webhook: Webhook) -> None:
    answer = say(webhook, b"HEAD /livez HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n")

    assert statuses(answer) == ["200"]
    assert answer.endswith(b"\r\n\r\n")


CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
ATTACKS = {
    "both lengths": (POST + b"Content-Length: 3\r\n" + CHUNKED + b"0\r\n\r\n", ["403"]),
    "two lengths": (POST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", ["400"]),
    "a list of lengths": (POST + b"Content-Length: 3, 3\r\n\r\nabc", ["400"]),
    "a signed length": (POST + b"Content-Length: +3\r\n\r\nabc", ["400"]),
    "a negative length": (POST + b"Content-Length: -1\r\n\r\n", ["400"]),
    "a length of 23 digits": (POST + b"Content-Length: 99999999999999999999999\r\n\r\n", ["400"]),
    "a length of 5,000 zeros": (POST + b"Connection: close\r\nContent-Length: " + b"0" * 5000 + b"\r\n\r\n", ["403"]),
    "a length above the limit": (POST + b"Content-Length: 99999999\r\n\r\n", ["413"]),
    "an unknown transfer encoding": (POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", ["400"]),
    "chunked not last": (POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", ["400"]),
    "a folded header": (POST + b"X: a\r\n b\r\n\r\n", ["400"]),
    "a space before the colon": (POST + b"Content-Length : 3\r\n\r\nabc", ["400"]),
    "a NUL": (POST + b"X: a\0b\r\n\r\n", ["400"]),
    "a bad chunk size": (POST + CHUNKED + b"zz\r\n\r\n", ["400"]),
    "a long chunk extension": (POST + CHUNKED + b"5;" + b"a" * 200_000 + b"\r\nabcde\r\n0\r\n\r\n", ["400"]),
    "many trailers": (POST + CHUNKED + b"0\r\n" + b"X: a\r\n" * 40_000 + b"\r\n", ["400"]),
    "many headers": (POST + b"X: a\r\n" * 2_000 + b"\r\n", ["431"]),
    "a long header": (POST + b"X: " + b"a" * 40_000 + b"\r\n\r\n", ["431"]),
    "a long target": (b"GET /" + b"x" * 40_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", ["431"]),
    "nonsense": (b"nonsense\r\n\r\n", ["400"]),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00", ["400"]),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", []),
    "a body above the limit, chunked": (
        POST + CHUNKED + (b"8000\r\n" + b"x" * 0x8000 + b"\r\n") * (MAX_BODY_BYTES // 0x8000 + 1) + b"0\r\n\r\n",
        ["413"],
    ),
    "a target without a path": (b"GET http://cat.example HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n", ["404"]),
    "another method": (b"PUT /sms HTTP/1.1\r\n" + HOST + b"Content-Length: 0\r\nConnection: close\r\n\r\n", ["405"]),
    "an upgrade": (
        b"GET /livez HTTP/1.1\r\n" + HOST + b"Connection: Upgrade, close\r\nUpgrade: h2c\r\n\r\n",
        ["200"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_is_refused_and_stores_nothing(webhook: Webhook, redis_client: redis.Redis, attack: str) -> None:
    data, expected = ATTACKS[attack]

    assert statuses(say(webhook, data)) == expected
    assert texts(redis_client) == []
    assert statuses(say(webhook, LAST_LIVEZ)) == ["200"]


def test_a_request_hidden_in_a_body_is_not_answered(webhook: Webhook) -> None:
    hidden = POST + b"Content-Length: 4\r\n" + CHUNKED + b"0\r\n\r\n" + LAST_LIVEZ

    assert statuses(say(webhook, hidden)) == ["403"]


def test_a_signature_in_a_trailer_does_not_count(webhook: Webhook, redis_client: redis.Redis) -> None:
    head, _, body = a_request(webhook).partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    [signed] = [line for line in lines if line.startswith(b"X-Twilio-Signature")]
    kept = [line for line in lines if line != signed and not line.startswith(b"Content-Length")]
    chunks = b"%x\r\n%b\r\n0\r\n%b\r\n\r\n" % (len(body), body, signed)

    assert statuses(say(webhook, b"\r\n".join(kept) + b"\r\n" + CHUNKED + chunks)) == ["403"]
    assert texts(redis_client) == []


def test_a_megabyte_is_refused_with_an_answer_that_arrives(webhook: Webhook) -> None:
    whole = POST + b"Connection: close\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 1_000_000

    assert [statuses(say(webhook, whole)) for _ in range(20)] == [["413"]] * 20


def test_pipelined_requests_are_all_answered_and_no_connection_is_left(webhook: Webhook) -> None:
    [process] = webhook.processes()
    say(webhook, LAST_LIVEZ)
    before = open_files(process)
    for _ in range(20):
        answers = say(webhook, LIVEZ + LIVEZ * 400 + LAST_LIVEZ)
        assert statuses(answers) == ["200"] * 402

    wait_until(lambda: open_files(process) <= before, what="the end of the connections")


def test_answers_that_are_not_read_do_not_pile_up(webhook: Webhook) -> None:
    [process] = webhook.processes()
    before, until = resident_mb(process), time.monotonic() + 3
    clients = [connect(webhook) for _ in range(4)]
    for client in clients:
        client.setblocking(False)
    while time.monotonic() < until:
        for client in clients:
            try:
                client.send(LIVEZ * 100)
            except BlockingIOError:
                time.sleep(0.001)
            except ConnectionError:
                continue

    assert resident_mb(process) < before + 20
    wait_until(lambda: established(webhook.port) == 0, what="the end of connections that do not read")
    for client in clients:
        client.close()


def test_a_thousand_looks_at_readiness_at_once_are_answered(webhook: Webhook) -> None:
    readyz = b"GET /readyz HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n"
    clients = [connect(webhook) for _ in range(1000)]
    for client in clients:
        client.sendall(readyz)
    answers = [statuses(read_all(client)) for client in clients]
    for client in clients:
        client.close()

    assert answers == [["200"]] * 1000


def seconds_until_closed(webhook: Webhook, first: bytes, *, drip: bytes = b"") -> tuple[float, bytes]:
    """Return the life of a connection that sends `first`, then `drip` for ever; and its answers."""
    with connect(webhook) as connection:
        started_at = time.monotonic()
        connection.sendall(first)
        connection.settimeout(0.1)
        data = b""
        while time.monotonic() < started_at + CLOSED_SECONDS:
            try:
                more = connection.recv(65_536)
                if not more:
                    break
                data += more
            except TimeoutError:
                try:
                    connection.sendall(drip)
                except ConnectionError:
                    break
            except ConnectionError:
                break
        return time.monotonic() - started_at, data


@pytest.mark.parametrize(
    ("first", "drip", "expected"),
    [
        pytest.param(b"", b"", [], id="silent"),
        pytest.param(POST + b"X: ", b"a", [], id="slow head"),
        pytest.param(POST + b"Content-Length: 1000\r\n\r\n", b"a", ["408"], id="slow body"),
        pytest.param(POST + b"Content-Length: 1000\r\n\r\n", b"", ["408"], id="stopped body"),
        pytest.param(POST, b"X: a\r\n", [], id="endless head"),
        pytest.param(LIVEZ, b"", ["200"], id="idle after an answer"),
    ],
)
def test_a_slow_connection_is_closed(webhook: Webhook, first: bytes, drip: bytes, expected: list[str]) -> None:
    seconds, answers = seconds_until_closed(webhook, first, drip=drip)

    assert REQUEST_SECONDS * 0.8 < seconds < SLOWER * REQUEST_SECONDS
    assert statuses(answers) == expected


def test_texts_are_stored_beside_many_slow_connections(webhook: Webhook, redis_client: redis.Redis) -> None:
    clients = [connect(webhook) for _ in range(1500)]
    for client in clients:
        client.sendall(POST + b"Content-Length: 1000\r\n\r\na")

    started_at = time.monotonic()
    assert statuses(say(webhook, a_request(webhook))) == ["200"]
    assert time.monotonic() - started_at < REQUEST_SECONDS
    assert len(texts(redis_client)) == 1
    for client in clients:
        client.close()


def test_a_text_under_way_is_answered_while_the_webhook_stops(
    redis_url: str, redis_client: redis.Redis, tmp_path: Path
) -> None:
    redis_client.flushall()
    with a_webhook(redis_url, tmp_path) as stopping, connect(stopping) as connection:
        redis_client.client_pause(1500)
        connection.sendall(a_request(stopping, last=False))
        time.sleep(0.3)
        stopping.process.terminate()
        assert statuses(read_all(connection)) == ["200"]
        assert stopping.process.wait(20) == 0

    assert redis_client.zcard(keys.WAITING) == 1


def established(port: int) -> int:
    command = ["ss", "-Htn", "state", "established", f"sport = :{port}"]
    return len(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines())


def open_files(process: int) -> int:
    return len(list(Path(f"/proc/{process}/fd").iterdir()))


def resident_mb(process: int) -> int:
    listed = subprocess.run(["ps", "-o", "rss=", "-p", str(process)], capture_output=True, text=True, check=True)
    return int(listed.stdout) // 1024
