"""One POST gives one outcome, whatever the server does."""

from __future__ import annotations

import base64
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import certifi
import pytest
import trustme

from chaos.tree import free_port
from sms import http
from sms.credentials import Login
from sms.errors import CarrierAway, NotWritten
from sms.http import OneAttemptClient
from sms.ports import ErrorClass, NotCreated, OutboundSms, Outcome, Sent, Unknown
from sms.twilio import TwilioSender
from tests.builders import a_login
from tests.conftest import SLOWER

MESSAGE = OutboundSms(
    to="+15551230001",
    sender="+15005550006",
    body="prrt",
    status_callback="http://127.0.0.1/s?i=SM1-0-a",
    validity_seconds=60,
)

Behaviour = Callable[[socket.socket, bytes], None]


def read_request(connection: socket.socket) -> tuple[bytes, bytes]:
    """Read one request to its end; return its head and its body."""
    request = b""
    while b"\r\n\r\n" not in request:
        chunk = connection.recv(65536)
        if not chunk:
            raise ConnectionError("the client closed the connection")
        request += chunk
    head, _, body = request.partition(b"\r\n\r\n")
    lengths = [line.split(b":")[1] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")]
    while len(body) < int(next(iter(lengths), b"0")):
        body += connection.recv(65536)
    return head, body


@contextmanager
def a_listener(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """Run `serve` for each connection, one after the other; yield the port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection, suppress(OSError):
                    connection.settimeout(5)
                    serve(connection)

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(1)


@contextmanager
def a_server(*behaviours: Behaviour, heads: list[bytes] | None = None) -> Iterator[tuple[str, list[bytes]]]:
    """Start a server that reads each request, then runs the next of `behaviours`, or the last one."""
    asked: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        head, body = read_request(connection)
        asked.append(body)
        if heads is not None:
            heads.append(head)
        behaviours[min(len(asked), len(behaviours)) - 1](connection, head)

    with a_listener(serve) as port:
        yield f"http://127.0.0.1:{port}", asked


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
    connection.recv(1)  # until the client gives up


def truncate(connection: socket.socket, _: bytes) -> None:
    connection.sendall(b'HTTP/1.1 201 Created\r\nContent-Length: 500\r\n\r\n{"sid": "SM')


def login_with(*tokens: str) -> Login:
    return Login(lambda: [("AC1", token) for token in tokens])


def sender_at(url: str, *tokens: str, read_seconds: float = 5) -> TwilioSender:
    login = login_with(*(tokens or ("token",)))
    return TwilioSender(account_sid="AC1", login=login, api_base_url=url, read_seconds=read_seconds)


def send(url: str, *tokens: str, read_seconds: float = 5, may_begin: Callable[[], bool] = lambda: True) -> Outcome:
    return sender_at(url, *tokens, read_seconds=read_seconds).send(MESSAGE, may_begin=may_begin)


CREATED = answering("201 Created", b'{"sid": "SM9", "status": "queued"}')
WHO = answering("401 Who", b'{"code": 20003, "message": "Authenticate"}')


def test_a_message_that_was_created_is_sent_and_asked_for_once() -> None:
    with a_server(CREATED) as (url, asked):
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
        answering("400 Bad", b"<html>"),
        answering("500 Oops", json.dumps({"type": "x", "title": "x", "status": 400, "code": 21610}).encode()),
        answering("201 Created", b"{}"),
        answering("201 Created", b"not json"),
        answering("201 Created", b"[]"),
        answering("201 Created", b'{"sid": 7}'),
        answering("201 Created", b'{"sid": "SM9", "date_created": 7}'),
        answering("201 Created", b"[" * 100_000),
        answering("201 Created", b"{}", b"Content-Encoding: gzip"),
        answering("204 Nothing", b""),
        answering("302 Elsewhere", b"", b"Location: http://127.0.0.1:1/"),
    ],
    ids=[
        "reset", "hang", "truncated", "500", "502", "503", "408", "a proxy's 400", "another status in the body",
        "no sid", "no json", "no object", "no text for a sid", "no date", "too deep", "not gzip", "204", "redirect",
    ],
)  # fmt: skip
def test_whatever_may_have_been_created_is_unknown_and_asked_for_once(behaviour: Behaviour) -> None:
    started_at = time.monotonic()
    with a_server(behaviour) as (url, asked):
        outcome = send(url, read_seconds=0.3)

        assert time.monotonic() - started_at < 3 * SLOWER
    assert isinstance(outcome, Unknown)
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("behaviour", "error_class", "code"),
    [
        (answering("429 Too Many", b'{"code": 20429}', b"Retry-After: 7"), ErrorClass.TRY_AGAIN, 20429),
        (answering("400 Bad", b'{"code": 21610}'), ErrorClass.PERMANENT, 21610),
        (answering("401 Who", b'{"code": 20003}'), ErrorClass.CONFIGURATION, 20003),
        (answering("400 Bad", b'{"code": 21617}'), ErrorClass.BUG, 21617),
        (
            answering("400 Bad", b'{"type": "x", "title": "x", "status": 400, "code": 21610}'),
            ErrorClass.PERMANENT,
            21610,
        ),
    ],
)
def test_whatever_was_refused_was_not_created(behaviour: Behaviour, error_class: ErrorClass, code: int) -> None:
    with a_server(behaviour) as (url, _):
        outcome = send(url)

    assert isinstance(outcome, NotCreated)
    assert (outcome.verdict.error_class, outcome.verdict.code) == (error_class, code)
    if code == 20429:
        assert outcome.retry_after is not None
        assert outcome.retry_after.total_seconds() == 7


@pytest.mark.parametrize("url", ["http://127.0.0.1:{port}", "http://no-such-host.invalid"])
def test_a_connection_that_was_never_made_created_nothing(url: str) -> None:
    outcome = send(url.format(port=free_port()))

    assert isinstance(outcome, NotCreated)
    assert outcome.verdict.error_class is ErrorClass.TRY_AGAIN


def test_a_connection_that_cannot_be_made_again_created_nothing() -> None:
    with a_server(CREATED) as (url, _):
        sender = sender_at(url)
        first = sender.send(MESSAGE, may_begin=lambda: True)
    second = sender.send(MESSAGE, may_begin=lambda: True)

    assert isinstance(first, Sent)
    assert isinstance(second, NotCreated)


def test_a_claim_that_grew_too_old_writes_no_byte() -> None:
    with a_server(answering("201 Created", b"{}")) as (url, asked):
        outcome = send(url, may_begin=lambda: False)

    assert isinstance(outcome, NotCreated)
    assert asked == []


def test_a_claim_is_checked_once_a_connection_stands_and_before_a_byte() -> None:
    accepted, checked, looked = threading.Event(), threading.Event(), threading.Event()
    early: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        accepted.set()
        checked.wait(5)
        connection.setblocking(False)
        with suppress(BlockingIOError):
            early.append(connection.recv(1))
        looked.set()

    def may_begin() -> bool:
        assert accepted.wait(5)
        checked.set()
        assert looked.wait(5)
        return False

    with a_listener(serve) as port:
        outcome = send(f"http://127.0.0.1:{port}", may_begin=may_begin)

    assert isinstance(outcome, NotCreated)
    assert early == []


class Recorder:
    """A socket that notes what is written to it."""

    def __init__(self, seen: list[bytes]) -> None:
        self.sendall = seen.append

    def settimeout(self, _: object) -> None:
        pass

    def close(self) -> None:
        pass


def test_the_hook_and_one_write_of_the_whole_request_follow_each_other() -> None:
    """A process that dies between the two leaves a doubt, and so would one that dies between two writes."""
    seen: list[bytes] = []
    connection = http._Connection("127.0.0.1", before_writing=lambda: seen.append(b"hook"))
    connection.sock = Recorder(seen)

    connection.request("POST", "/Messages.json", body="Body=prrt", headers={"Host": "127.0.0.1"})

    hook, whole = seen
    assert hook == b"hook"
    assert whole.startswith(b"POST /Messages.json HTTP/1.1\r\n")
    assert whole.endswith(b"\r\n\r\nBody=prrt")


def test_a_refused_login_is_followed_by_one_attempt_with_the_other() -> None:
    heads: list[bytes] = []
    with a_server(WHO, CREATED, heads=heads) as (url, asked):
        sender = sender_at(url, "old", "new")
        checks = iter([True, True])
        first = sender.send(MESSAGE, may_begin=lambda: next(checks))
        second = sender.send(MESSAGE, may_begin=lambda: True)

    assert isinstance(first, Sent)
    assert isinstance(second, Sent)
    # the same bytes both times, with the same attempt id; the accepted login is tried first from then on
    assert asked == [asked[0]] * 3
    assert list(checks) == []
    shown = [next(line for line in head.split(b"\r\n") if line.startswith(b"Authorization")) for head in heads]
    assert [base64.b64decode(line.split()[-1]) for line in shown] == [b"AC1:old", b"AC1:new", b"AC1:new"]


def test_an_answer_that_is_lost_after_a_refused_login_is_unknown() -> None:
    with a_server(WHO, reset) as (url, asked):
        outcome = send(url, "old", "new")

    assert isinstance(outcome, Unknown)
    assert len(asked) == 2


def test_logins_that_are_all_refused_are_tried_once_each() -> None:
    with a_server(WHO) as (url, asked):
        outcome = send(url, "old", "new")

    assert isinstance(outcome, NotCreated)
    assert outcome.verdict.error_class is ErrorClass.CONFIGURATION
    assert len(asked) == 2


def test_a_claim_that_grows_too_old_between_two_logins_writes_no_further_byte() -> None:
    answers = iter([True, False])
    with a_server(WHO, CREATED) as (url, asked):
        outcome = send(url, "old", "new", may_begin=lambda: next(answers))

    assert isinstance(outcome, NotCreated)
    assert outcome.verdict.error_class is ErrorClass.TRY_AGAIN
    assert len(asked) == 1


def test_the_environment_changes_neither_destination_nor_login(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login thief password thief\n")
    elsewhere = f"http://127.0.0.1:{free_port()}"
    for name, value in {
        "NETRC": str(netrc), "HTTP_PROXY": elsewhere, "http_proxy": elsewhere, "ALL_PROXY": elsewhere, "NO_PROXY": "",
        "no_proxy": "", "TWILIO_EDGE": "sydney", "TWILIO_REGION": "au1", "TWILIO_ACCOUNT_SID": "AC2",
        "TWILIO_AUTH_TOKEN": "other",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)

    heads: list[bytes] = []
    with a_server(CREATED, heads=heads) as (url, _):
        outcome = send(url)

    assert isinstance(outcome, Sent)
    assert heads[0].startswith(b"POST /2010-04-01/Accounts/AC1/Messages.json HTTP/1.1\r\n")
    assert f"Host: {url.removeprefix('http://')}".encode() in heads[0]
    assert base64.b64encode(b"AC1:token") in heads[0]


def test_a_server_below_a_path_is_asked_there() -> None:
    heads: list[bytes] = []
    with a_server(CREATED, heads=heads) as (url, _):
        send(f"{url}/below/")

    assert heads[0].startswith(b"POST /below/2010-04-01/Accounts/AC1/Messages.json ")


def test_a_connection_that_twilio_closed_while_idle_is_opened_again() -> None:
    body = b'{"sid": "SM9"}'
    kept = b"HTTP/1.1 201 Created\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)

    with a_server(lambda connection, _: connection.sendall(kept)) as (url, asked):
        sender = sender_at(url)
        first = sender.send(MESSAGE, may_begin=lambda: True)
        time.sleep(0.2)  # until the server's end has arrived
        second = sender.send(MESSAGE, may_begin=lambda: True)

    assert isinstance(first, Sent)
    assert isinstance(second, Sent)
    assert len(asked) == 2


def test_a_kept_connection_that_breaks_under_a_request_is_unknown_and_not_tried_again() -> None:
    requests: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        requests.append(read_request(connection)[1])
        connection.sendall(b'HTTP/1.1 201 Created\r\nContent-Length: 14\r\n\r\n{"sid": "SM9"}')
        requests.append(read_request(connection)[1])
        reset(connection, b"")

    with a_listener(serve) as port:
        sender = sender_at(f"http://127.0.0.1:{port}")
        first = sender.send(MESSAGE, may_begin=lambda: True)
        second = sender.send(MESSAGE, may_begin=lambda: True)

    assert isinstance(first, Sent)
    assert isinstance(second, Unknown)
    assert len(requests) == 2


def test_warming_needs_a_connection_and_nothing_more() -> None:
    with a_server(answering("401 Who", b'{"code": 20003, "message": "Authenticate"}')) as (url, _):
        TwilioSender(account_sid="AC1", login=a_login("AC1", "wrong"), api_base_url=url).warm()

    away = TwilioSender(account_sid="AC1", login=a_login("AC1", "t"), api_base_url=f"http://127.0.0.1:{free_port()}")
    with pytest.raises(CarrierAway):
        away.warm()


def test_a_connection_that_just_answered_is_not_tested_again() -> None:
    with a_server(WHO) as (url, asked):
        sender = sender_at(url)
        sender.warm()
        sender.warm()

    assert len(asked) == 1


@pytest.fixture
def authority(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[trustme.CA]:
    """An authority that the client trusts in place of the public ones."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setattr(certifi, "where", lambda: str(tmp_path / "ca.pem"))
    http.tls.cache_clear()
    yield authority
    http.tls.cache_clear()


def certified(authority: trustme.CA, name: str = "localhost") -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


def over_tls(context: ssl.SSLContext, behaviour: Behaviour, asked: list[bytes]) -> Callable[[socket.socket], None]:
    """Return a server's side: a handshake, a request, and `behaviour` on the connection below TLS."""

    def serve(connection: socket.socket) -> None:
        with context.wrap_socket(connection.dup(), server_side=True) as wrapped:
            asked.append(read_request(wrapped)[1])
            if behaviour is CREATED:
                behaviour(wrapped, b"")
            else:
                behaviour(connection, b"")

    return serve


def break_the_record(connection: socket.socket, _: bytes) -> None:
    connection.sendall(b"\x17\x03\x03\x00\x20" + bytes(32))


def test_a_message_is_created_over_tls(authority: trustme.CA) -> None:
    asked: list[bytes] = []
    with a_listener(over_tls(certified(authority), CREATED, asked)) as port:
        assert isinstance(send(f"https://localhost:{port}"), Sent)
    assert len(asked) == 1


@pytest.mark.parametrize("behaviour", [break_the_record, reset], ids=["a broken record", "a reset"])
def test_a_tls_connection_that_breaks_after_the_request_proves_nothing(
    behaviour: Behaviour, authority: trustme.CA
) -> None:
    asked: list[bytes] = []
    with a_listener(over_tls(certified(authority), behaviour, asked)) as port:
        outcome = send(f"https://localhost:{port}")

    assert isinstance(outcome, Unknown)
    assert len(asked) == 1


@pytest.mark.parametrize("name", ["another.example", "unknown authority"])
def test_a_refused_certificate_proves_that_no_byte_was_sent(name: str, authority: trustme.CA) -> None:
    context = certified(trustme.CA()) if name == "unknown authority" else certified(authority, name)
    asked: list[bytes] = []
    checks: list[int] = []

    def may_begin() -> bool:
        checks.append(1)
        return True

    with a_listener(over_tls(context, CREATED, asked)) as port:
        outcome = send(f"https://localhost:{port}", may_begin=may_begin)

    assert isinstance(outcome, NotCreated)
    assert outcome.verdict.error_class is ErrorClass.TRY_AGAIN
    assert (asked, checks) == ([], [])


def test_a_handshake_that_breaks_or_never_ends_proves_that_no_byte_was_sent() -> None:
    def break_off(connection: socket.socket) -> None:
        connection.recv(65536)
        reset(connection, b"")

    with a_listener(break_off) as port:
        outcome = send(f"https://localhost:{port}")
    assert isinstance(outcome, NotCreated)

    with a_listener(hang_up_late) as port:
        client = OneAttemptClient(login=login_with("t"), api_base_url=f"https://localhost:{port}", connect_seconds=0.3)
        started_at = time.monotonic()
        with pytest.raises(NotWritten):
            client.request("GET", "https://api.twilio.com/x")
    assert time.monotonic() - started_at < 3 * SLOWER


def hang_up_late(connection: socket.socket) -> None:
    """Read until the client gives up, and answer nothing."""
    while connection.recv(65536):
        pass
