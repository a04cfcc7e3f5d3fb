"""One POST gives one outcome, whatever the server does."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import requests
from urllib3 import HTTPSConnectionPool
from urllib3.exceptions import MaxRetryError, SSLError

from chaos.tree import free_port
from sms import twilio
from sms.errors import CarrierAway
from sms.login import Login
from sms.messages import OutboundSms
from sms.ports import ErrorClass, NotCreated, Outcome, Sent, Unknown
from sms.twilio import TwilioSender

MESSAGE = OutboundSms(
    to="+15551230001",
    sender="+15005550006",
    body="prrt",
    status_callback="http://127.0.0.1/s?i=SM1-0-a",
    validity_seconds=60,
)

Behaviour = Callable[[socket.socket, bytes], None]


@contextmanager
def a_server(behaviour: Behaviour) -> Iterator[tuple[str, list[bytes]]]:
    """Start a server that reads each request to its end, then runs `behaviour`."""
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.settimeout(5)
                    request = b""
                    while b"\r\n\r\n" not in request:
                        request += connection.recv(65536)
                    head, _, body = request.partition(b"\r\n\r\n")
                    length = next(
                        (
                            int(line.split(b":")[1])
                            for line in head.split(b"\r\n")
                            if line.lower().startswith(b"content-length")
                        ),
                        0,
                    )
                    while len(body) < length:
                        body += connection.recv(65536)
                    asked.append(body)
                    behaviour(connection, request)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", asked
    thread.join(1)


def answering(status: str, body: bytes, *headers: bytes) -> Behaviour:
    def behave(connection: socket.socket, _: bytes) -> None:
        lines = [
            b"HTTP/1.1 " + status.encode(),
            b"Content-Type: application/json",
            b"Content-Length: %d" % len(body),
            *headers,
        ]
        connection.sendall(b"\r\n".join([*lines, b"Connection: close", b"", body]))

    return behave


def reset(connection: socket.socket, _: bytes) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")


def hang(connection: socket.socket, _: bytes) -> None:
    connection.recv(1)


def truncate(connection: socket.socket, _: bytes) -> None:
    connection.sendall(b'HTTP/1.1 201 Created\r\nContent-Length: 500\r\n\r\n{"sid": "SM')


def send(url: str, *, may_begin: Callable[[], bool] = lambda: True) -> Outcome:
    sender = TwilioSender(account_sid="AC1", login=Login.of("AC1", "token"), api_base_url=url)
    return sender.send(MESSAGE, may_begin=may_begin)


def test_a_message_that_was_created_is_sent_and_asked_for_once() -> None:
    with a_server(answering("201 Created", b'{"sid": "SM9", "status": "queued"}')) as (url, asked):
        assert send(url) == Sent(sid="SM9", status="queued")  # type: ignore[arg-type]  # a literal sid

    assert len(asked) == 1
    assert b"ValidityPeriod=60" in asked[0]
    assert b"StatusCallback=http%3A%2F%2F127.0.0.1%2Fs%3Fi%3DSM1-0-a" in asked[0]


@pytest.mark.parametrize(
    "behaviour",
    [
        reset,
        hang,
        truncate,
        answering("500 Oops", b"<html>"),
        answering("502 Bad Gateway", b""),
        answering("503 Away", b'{"code": 20503}'),
        answering("408 Slow", b""),
        answering("201 Created", b"{}"),
        answering("201 Created", b"not json"),
        answering("302 Elsewhere", b"", b"Location: http://127.0.0.1:1/"),
    ],
    ids=["reset", "hang", "truncated", "500", "502", "503", "408", "no sid", "no json", "redirect"],
)
def test_whatever_may_have_been_created_is_unknown_and_asked_for_once(
    behaviour: Behaviour, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(twilio, "READ_TIMEOUT_SECONDS", 0.3)
    with a_server(behaviour) as (url, asked):
        outcome = send(url)

    assert isinstance(outcome, Unknown)
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("behaviour", "error_class", "code"),
    [
        (answering("429 Too Many", b'{"code": 20429}', b"Retry-After: 7"), ErrorClass.TRY_AGAIN, 20429),
        (answering("400 Bad", b'{"code": 21610}'), ErrorClass.PERMANENT, 21610),
        (answering("401 Who", b'{"code": 20003}'), ErrorClass.CONFIGURATION, 20003),
        (answering("400 Bad", b'{"code": 21617}'), ErrorClass.BUG, 21617),
    ],
)
def test_whatever_was_refused_was_not_created(behaviour: Behaviour, error_class: ErrorClass, code: int) -> None:
    with a_server(behaviour) as (url, _):
        outcome = send(url)

    assert isinstance(outcome, NotCreated)
    assert (outcome.error_class, outcome.code) == (error_class, code)
    if code == 20429:
        assert outcome.retry_after is not None
        assert outcome.retry_after.total_seconds() == 7


@pytest.mark.parametrize("url", ["http://127.0.0.1:{port}", "http://no-such-host.invalid"])
def test_a_connection_that_was_never_made_created_nothing(url: str) -> None:
    outcome = send(url.format(port=free_port()))

    assert isinstance(outcome, NotCreated)
    assert outcome.error_class is ErrorClass.TRY_AGAIN


def test_a_claim_that_grew_too_old_writes_no_byte() -> None:
    with a_server(answering("201 Created", b"{}")) as (url, asked):
        outcome = send(url, may_begin=lambda: False)

    assert isinstance(outcome, NotCreated)
    assert asked == []


def test_warming_needs_a_connection_and_nothing_more() -> None:
    with a_server(answering("401 Who", b'{"code": 20003, "message": "Authenticate"}')) as (url, _):
        TwilioSender(account_sid="AC1", login=Login.of("AC1", "wrong"), api_base_url=url).warm()

    away = TwilioSender(account_sid="AC1", login=Login.of("AC1", "t"), api_base_url=f"http://127.0.0.1:{free_port()}")
    with pytest.raises(CarrierAway):
        away.warm()


def test_a_broken_tls_record_is_no_proof_and_a_refused_certificate_is() -> None:
    """urllib3 wraps both in the same error; only a refused certificate proves that no byte was sent."""

    def wrapped(cause: ssl.SSLError) -> requests.exceptions.SSLError:
        return requests.exceptions.SSLError(MaxRetryError(HTTPSConnectionPool("x"), "/", SSLError(cause)))

    assert not twilio._never_written(wrapped(ssl.SSLError("bad record mac")))
    assert not twilio._never_written(wrapped(ssl.SSLEOFError("eof")))
    assert twilio._never_written(wrapped(ssl.SSLCertVerificationError("self-signed")))
