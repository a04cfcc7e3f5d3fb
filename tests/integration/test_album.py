"""Pictures are fetched from Twilio, with a login that nobody else gets to see, and never for longer than a reply can wait."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from sms.errors import CarrierAway
from sms.media import MOST_BYTES, TwilioAlbum
from sms.messages import Media

PNG = b"\x89PNG" + b"roof" * 100


@contextmanager
def a_server(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[tuple[str, list[str | None]]]:
    """A server, its address, and the logins that it was shown."""
    logins: list[str | None] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            logins.append(self.headers.get("authorization"))
            answer(self)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", logins
    server.shutdown()
    server.server_close()


def sending(
    data: bytes, kind: str = "image/png; charset=x", status: int = 200
) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("content-type", kind)
        handler.send_header("content-length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    return answer


def fetch(home: str, url: str, seconds: float = 5) -> bytes:
    album = TwilioAlbum(username="AC1", password="token", api_base_url=home)
    return album.fetch(Media(url=url, content_type="image/png"), seconds=seconds).data


def test_a_picture_is_fetched_with_a_login() -> None:
    with a_server(sending(PNG)) as (home, logins):
        album = TwilioAlbum(username="AC1", password="token", api_base_url=home)
        found = album.fetch(Media(url=f"{home}/Media/ME1", content_type=""), seconds=5)

    assert (found.content_type, found.data) == ("image/png", PNG)
    assert logins == ["Basic QUMxOnRva2Vu"]


def test_strangers_are_not_asked_and_see_no_login() -> None:
    with a_server(sending(PNG)) as (stranger, seen):

        def leading_away(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(307)
            handler.send_header("location", f"{stranger}/secret")
            handler.send_header("content-length", "0")
            handler.end_headers()

        with a_server(leading_away) as (home, _):
            for url in (f"{home}/Media/ME1", f"{stranger}/Media/ME1", "file:///etc/passwd", "http://169.254.169.254/"):
                with pytest.raises(CarrierAway, match="stranger"):
                    fetch(home, url)
    assert seen == []


def test_where_the_bytes_lie_no_login_is_shown() -> None:
    class Knowing(TwilioAlbum):
        def _is_known(self, url: str) -> bool:
            return url.startswith(elsewhere)

    with a_server(sending(PNG)) as (elsewhere, seen):

        def leading_on(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(307)
            handler.send_header("location", f"{elsewhere}/bytes")
            handler.send_header("content-length", "0")
            handler.end_headers()

        with a_server(leading_on) as (home, logins):
            album = Knowing(username="AC1", password="token", api_base_url=home)
            found = album.fetch(Media(url=f"{home}/Media/ME1", content_type="image/png"), seconds=5)

    assert found.data == PNG
    assert logins == ["Basic QUMxOnRva2Vu"]
    assert seen == [None]


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (sending(b"", status=404), "not to be had: 404"),
        (sending(b"x" * (MOST_BYTES + 1)), "larger"),
    ],
)
def test_what_cannot_be_had_is_said(answer: Callable[[BaseHTTPRequestHandler], None], why: str) -> None:
    with a_server(answer) as (home, _), pytest.raises(CarrierAway, match=why):
        fetch(home, f"{home}/Media/ME1")


def test_a_trickle_is_not_waited_for() -> None:
    over = threading.Event()

    def trickling(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("content-length", "100000")
        handler.end_headers()
        while not over.wait(0.1):
            try:
                handler.wfile.write(b"x")
            except OSError:
                return

    with a_server(trickling) as (home, _):
        begun = time.monotonic()
        with pytest.raises(CarrierAway, match="too long"):
            fetch(home, f"{home}/Media/ME1", seconds=1)
        took = time.monotonic() - begun
        over.set()
    # far less than the hours that it would take
    assert took < 10
