"""The proxy cuts at exactly the requested request, before or after it took effect."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from chaos.proxy import CUT, CuttingProxy, Exchange, Reaction, When


@pytest.fixture
def served() -> Iterator[tuple[int, list[str]]]:
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            asked.append(self.rfile.read(int(self.headers["content-length"])).decode())
            self.send_response(200)
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port, asked
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(("when", "effects"), [("before", ["1", "2", "4"]), ("after", ["1", "2", "3", "4"])])
def test_the_nth_request_is_cut(served: tuple[int, list[str]], when: str, effects: list[str]) -> None:
    port, asked = served
    struck: list[Exchange] = []
    proxy = CuttingProxy("http", ("127.0.0.1", port), http=True)
    proxy.start()
    proxy.cut(3, When(when), struck.append)

    answers = []
    with httpx.Client(base_url=f"http://127.0.0.1:{proxy.port}") as client:
        for body in ("1", "2", "3", "4"):
            try:
                answers.append(client.post("/", content=body).text)
            except httpx.HTTPError:
                answers.append("cut")
    proxy.stop()

    assert answers == ["ok", "ok", "cut", "ok"]
    assert asked == effects
    assert [(cut.service, str(cut.when), cut.request[-1:]) for cut in struck] == [("http", when, b"3")]


def test_who_watches_sees_every_exchange_and_may_answer_instead(served: tuple[int, list[str]]) -> None:
    port, asked = served
    seen: list[tuple[str, bytes]] = []

    def observe(exchange: Exchange) -> Reaction:
        seen.append((str(exchange.when), exchange.answer[-2:]))
        if exchange.request.endswith(b"no"):
            return b"HTTP/1.1 400 Bad Request\r\ncontent-length: 6\r\n\r\nnot so"
        return CUT if exchange.request.endswith(b"bye") and exchange.when is When.AFTER else None

    proxy = CuttingProxy("http", ("127.0.0.1", port), http=True, observe=observe)
    proxy.start()
    with httpx.Client(base_url=f"http://127.0.0.1:{proxy.port}") as client:
        assert client.post("/", content="yes").text == "ok"
        refused = client.post("/", content="no")
        with pytest.raises(httpx.HTTPError):
            client.post("/", content="bye")
    proxy.stop()

    assert (refused.status_code, refused.text) == (400, "not so")
    assert asked == ["yes", "bye"]
    assert seen == [("before", b""), ("after", b"ok"), ("before", b""), ("before", b""), ("after", b"ok")]


def test_a_silent_network_drops_what_there_is_and_carries_what_is_new(served: tuple[int, list[str]]) -> None:
    port, _ = served
    proxy = CuttingProxy("http", ("127.0.0.1", port), http=True)
    proxy.start()
    with httpx.Client(base_url=f"http://127.0.0.1:{proxy.port}", timeout=0.5) as client:
        assert client.post("/", content="1").text == "ok"
        proxy.fall_silent()
        with pytest.raises(httpx.ReadTimeout):
            client.post("/", content="2")
        assert client.post("/", content="3").text == "ok"
    proxy.stop()


def test_all_people_is_turned_away_for_a_while_and_not_for_ever(served: tuple[int, list[str]]) -> None:
    port, _ = served
    proxy = CuttingProxy("http", ("127.0.0.1", port), http=True)
    proxy.start()
    with httpx.Client(base_url=f"http://127.0.0.1:{proxy.port}") as client:
        assert client.post("/", content="1").text == "ok"
        proxy.away(60)
        with pytest.raises(httpx.HTTPError):
            client.post("/", content="2")
        proxy.heal()
        assert client.post("/", content="3").text == "ok"
    proxy.stop()


@pytest.mark.parametrize(("when", "kept"), [("before", None), ("after", b"1")])
def test_redis_is_cut_before_or_after_it_wrote(
    redis_client: redis.Redis, redis_url: str, when: str, kept: bytes | None
) -> None:
    port = int(redis_url.rpartition(":")[2].partition("/")[0])
    proxy = CuttingProxy("redis", ("127.0.0.1", port), http=False)
    proxy.start()
    client = redis.Redis(port=proxy.port, retry=Retry(NoBackoff(), 0), socket_timeout=5)
    client.ping()
    proxy.cut(1, When(when))

    with pytest.raises(redis.ConnectionError):
        client.set("written", "1")
    client.close()
    proxy.stop()

    assert redis_client.get("written") == kept
