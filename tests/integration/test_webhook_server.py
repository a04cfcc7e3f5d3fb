"""The webhook's own HTTP, on real sockets: what it answers, in which order, and to whom it does not listen any longer."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from urllib.parse import urlencode

import pytest
import uvicorn
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from webhook.door import InMemoryDoor
from webhook.server import MAX_HEAD_BYTES, WebhookProtocol

from sms import signature
from sms.messages import InboundSms
from sms.signature import Validator
from tests.builders import ANN, OUR_NUMBER, a_sid
from tests.conftest import wait_until
from webhook import server as server_module
from webhook.app import MAX_BODY_BYTES, Ours, create_app

URL = "https://cat.example"


class SlowDoor(InMemoryDoor):
    """Keeps a text only when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.held: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = []
        self.holds = False

    def accept(self, text: InboundSms) -> asyncio.Future[None]:
        if not self.holds:
            return super().accept(text)
        self.texts.append(text)
        loop = asyncio.get_running_loop()
        self.held.append((loop, loop.create_future()))
        return self.held[-1][1]

    def let_go(self, at: int) -> None:
        loop, kept = self.held[at]
        loop.call_soon_threadsafe(kept.set_result, None)


class Served:
    """A running webhook."""

    def __init__(self, door: SlowDoor, server: uvicorn.Server, thread: threading.Thread, port: int) -> None:
        self.door, self.server, self.thread, self.port = door, server, thread, port

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)

    def say(self, *pieces: bytes) -> bytes:
        """All that is answered to these bytes, until the connection ends."""
        with self.connect() as one:
            for piece in pieces:
                one.sendall(piece)
            return read_all(one)


@contextmanager
def serving(http: type[asyncio.Protocol] | str = WebhookProtocol, *, keep_alive: int = 5) -> Iterator[Served]:
    door = SlowDoor()
    app = create_app(
        validator=Validator(URL, signature.tokens("token")),
        ours=Ours(account_sid="AC1", numbers=frozenset({OUR_NUMBER})),
        door=door,
        stuck_after_seconds=120,
    )
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    config = uvicorn.Config(
        app, http=http, proxy_headers=False, log_config=None, timeout_keep_alive=keep_alive, access_log=False
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    wait_until(lambda: server.started, what="the webhook's start")
    try:
        yield Served(door, server, thread, listening.getsockname()[1])
    finally:
        server.should_exit = True
        thread.join(15)
        listening.close()


@pytest.fixture
def served() -> Iterator[Served]:
    with serving() as one:
        yield one


def read_all(one: socket.socket) -> bytes:
    data = b""
    while True:
        try:
            more = one.recv(65_536)
        except ConnectionResetError:
            return data
        if not more:
            return data
        data += more


def a_request(
    body: str = "hello", *, path: str = "/sms", method: str = "POST", more: tuple[str, ...] = (), last: bool = True
) -> bytes:
    form = {"MessageSid": a_sid(), "AccountSid": "AC1", "From": ANN, "To": OUR_NUMBER, "Body": body}
    encoded = urlencode(form).encode() if method == "POST" else b""
    lines = [
        f"{method} {path} HTTP/1.1", "Host: cat.example", *more,
        f"X-Twilio-Signature: {signature.sign('token', URL + path, form)}",
        "Content-Type: application/x-www-form-urlencoded", f"Content-Length: {len(encoded)}",
        *(["Connection: close"] if last else []),
    ]  # fmt: skip
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + encoded


def statuses(answers: bytes) -> list[str]:
    return [part.split(b" ", 1)[0].decode() for part in answers.split(b"HTTP/1.1 ")[1:]]


def test_a_text_is_kept_and_answered_with_a_date_and_a_length(served: Served) -> None:
    answer = served.say(a_request("hello cat"))

    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"date: " in head
    assert b"connection: close" in head
    assert f"content-length: {len(body)}".encode() in head
    assert body.endswith(b"<Response/>")
    assert [text.body for text in served.door.texts] == ["hello cat"]


def test_one_connection_brings_many_texts_in_pieces_of_any_size(served: Served) -> None:
    whole = b"".join(a_request(str(number), last=number == 4) for number in range(5))

    answers = served.say(*(whole[at : at + 7] for at in range(0, len(whole), 7)))

    assert statuses(answers) == ["200"] * 5
    assert [text.body for text in served.door.texts] == list("01234")


def test_requests_sent_ahead_are_answered_in_their_order(served: Served) -> None:
    served.door.holds = True
    with served.connect() as one:
        one.sendall(a_request("first", last=False) + b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        wait_until(lambda: served.door.held, what="the first text")
        one.settimeout(0.2)
        with pytest.raises(TimeoutError):
            one.recv(1)
        served.door.let_go(0)
        one.settimeout(10)
        answers = read_all(one)

    assert statuses(answers) == ["200", "200"]
    assert answers.index(b"<Response/>") < answers.index(b"alive")


def test_a_text_is_answered_only_when_it_is_kept_also_while_the_webhook_stops(served: Served) -> None:
    served.door.holds = True
    with served.connect() as one, served.connect() as idle:
        one.sendall(a_request(last=False))
        wait_until(lambda: served.door.held, what="the text")
        served.server.should_exit = True
        assert read_all(idle) == b""
        served.door.let_go(0)
        answers = read_all(one)

    assert statuses(answers) == ["200"]
    served.thread.join(10)
    assert not served.thread.is_alive()


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        (b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "200"),
        (b"GET http://cat.example/livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "200"),
        (b"GET /livez HTTP/1.0\r\n\r\n", "200"),
        (b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "200"),
        (b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "200"),
        (b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n", "200"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "404"),
        (b"GET /sms HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "405"),
        (b"POST /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", "405"),
        (b"POST /sms HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", "403"),
        (b"nonsense\r\n\r\n", "400"),
        (b"\x16\x03\x01\x02\x00\x01\x00", "400"),
        (b"POST /sms HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400"),
        (b"POST /sms HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", "400"),
        (b"POST /sms HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n", "413"),
        (
            b"POST /sms HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
            + (b"8000\r\n" + b"x" * 0x8000 + b"\r\n") * (MAX_BODY_BYTES // 0x8000 + 1),
            "413",
        ),
        (b"GET /livez HTTP/1.1\r\nHost: x\r\nX-Long: " + b"x" * (2 * MAX_HEAD_BYTES), "431"),
        (b"GET /" + b"x" * (2 * MAX_HEAD_BYTES), "431"),
    ],
)
def test_everything_else_is_answered_as_http_says(served: Served, asked: bytes, status: str) -> None:
    assert statuses(served.say(asked)) == [status]
    assert served.door.texts == []


def test_a_head_has_no_body(served: Served) -> None:
    answer = served.say(b"HEAD /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")

    assert statuses(answer) == ["200"]
    assert answer.endswith(b"\r\n\r\n")
    assert b"content-length: 6\r\n" in answer


def test_a_chunked_text_is_a_text(served: Served) -> None:
    whole = a_request("in pieces")
    head, _, body = whole.partition(b"\r\n\r\n")
    chunked = head.replace(f"Content-Length: {len(body)}".encode(), b"Transfer-Encoding: chunked")

    answer = served.say(
        chunked + b"\r\n\r\n", b"5\r\n" + body[:5], b"\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body) - 5, body[5:])
    )

    assert statuses(answer) == ["200"]
    assert [text.body for text in served.door.texts] == ["in pieces"]


def test_the_one_that_asks_whether_to_go_on_is_told_to(served: Served) -> None:
    whole = a_request(more=("Expect: 100-continue",))
    head, _, body = whole.partition(b"\r\n\r\n")
    with served.connect() as one:
        one.sendall(head + b"\r\n\r\n")
        assert one.recv(100).startswith(b"HTTP/1.1 100 ")
        one.sendall(body)
        assert statuses(read_all(one)) == ["200"]


def test_a_request_that_never_becomes_whole_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "REQUEST_SECONDS", 0.3)
    with serving() as served:
        assert statuses(served.say(b"POST /sms HTTP/1.1\r\nHost: x\r\n")) == ["408"]


def test_a_connection_that_is_silent_for_long_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "REQUEST_SECONDS", 0.3)
    with serving(keep_alive=1) as served, served.connect() as one:
        one.sendall(a_request(last=False))
        assert statuses(read_all(one)) == ["200"]


def test_who_leaves_early_is_not_missed(served: Served) -> None:
    served.door.holds = True
    with served.connect() as one:
        one.sendall(a_request("kept all the same", last=False))
        wait_until(lambda: served.door.held, what="the text")
    served.door.let_go(0)
    served.door.holds = False

    assert statuses(served.say(a_request("and on"))) == ["200"]
    assert [text.body for text in served.door.texts] == ["kept all the same", "and on"]


@pytest.fixture(scope="module")
def both() -> Iterator[tuple[Served, Served]]:
    with serving() as ours, serving("httptools") as uvicorns:
        yield ours, uvicorns


REQUESTS: list[Callable[[], bytes]] = [
    lambda: a_request("a text"),
    lambda: a_request(path="/sms/fallback"),
    lambda: a_request(path="/sms/status?i=SM1-0-a"),
    lambda: a_request(path="/sms?x=%20y"),
    lambda: a_request().replace(b"Body=hello", b"Body=other"),
    lambda: a_request(path="/s%6ds"),
    lambda: b"GET /livez?x=1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    lambda: b"HEAD /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    lambda: b"PUT /sms HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx",
    lambda: b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx",
]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(REQUESTS), st.lists(st.integers(1, 400), max_size=3))
def test_the_same_is_answered_as_over_asgi(
    both: tuple[Served, Served], request_: Callable[[], bytes], cuts: list[int]
) -> None:
    asked = request_()
    places = [0, *sorted({cut for cut in cuts if cut < len(asked)}), len(asked)]
    pieces = [asked[start:end] for start, end in pairwise(places)]

    ours, theirs = (one.say(*pieces) for one in both)

    assert statuses(ours) == statuses(theirs)
    assert ours.partition(b"\r\n\r\n")[2] == theirs.partition(b"\r\n\r\n")[2]
