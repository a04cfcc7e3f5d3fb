"""Pictures are fetched from Twilio within a deadline, and only Twilio is sent the login."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler

import pytest

from sms.errors import CarrierAway
from sms.media import MOST_BYTES, TwilioMedia
from sms.messages import Media
from tests.builders import a_login
from tests.conftest import SLOWER
from tests.servers import Answer, a_server, send, trickle

PNG = b"\x89PNG" + b"roof" * 100


@contextmanager
def twilio(answer: Answer) -> Iterator[tuple[str, list[str | None]]]:
    """Start a server; yield its address and the `Authorization` headers that it received."""
    logins: list[str | None] = []

    def noting(handler: BaseHTTPRequestHandler) -> None:
        logins.append(handler.headers.get("authorization"))
        answer(handler)

    with a_server(noting) as url:
        yield url, logins


def sending(data: bytes, kind: str = "image/png; charset=x", status: int = 200) -> Answer:
    return lambda handler: send(handler, data, kind=kind, status=status)


def leading_to(url: str) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(307)
        handler.send_header("location", url)
        handler.send_header("content-length", "0")
        handler.end_headers()

    return answer


def fetch(home: str, url: str, seconds: float = 5) -> bytes:
    album = TwilioMedia(login=a_login("AC1", "token"), api_base_url=home)
    return album.fetch(Media(url=url, content_type="image/png"), seconds=seconds).data


def test_a_picture_is_fetched_with_a_login() -> None:
    with twilio(sending(PNG)) as (home, logins):
        album = TwilioMedia(login=a_login("AC1", "token"), api_base_url=home)
        picture = album.fetch(Media(url=f"{home}/Media/ME1", content_type=""), seconds=5)

    assert (picture.content_type, picture.data) == ("image/png", PNG)
    assert logins == ["Basic QUMxOnRva2Vu"]


def test_strangers_are_not_asked_and_see_no_login() -> None:
    with twilio(sending(PNG)) as (stranger, seen), twilio(leading_to(f"{stranger}/secret")) as (home, _):
        for url in (f"{home}/Media/ME1", f"{stranger}/Media/ME1", "file:///etc/passwd", "http://169.254.169.254/"):
            with pytest.raises(CarrierAway, match="not allowed"):
                fetch(home, url)
    assert seen == []


def test_where_the_bytes_lie_no_login_is_shown() -> None:
    class Knowing(TwilioMedia):
        def _is_known(self, url: str) -> bool:
            return url.startswith(elsewhere)

    with twilio(sending(PNG)) as (elsewhere, seen), twilio(leading_to(f"{elsewhere}/bytes")) as (home, logins):
        album = Knowing(login=a_login("AC1", "token"), api_base_url=home)
        picture = album.fetch(Media(url=f"{home}/Media/ME1", content_type="image/png"), seconds=5)

    assert picture.data == PNG
    assert logins == ["Basic QUMxOnRva2Vu"]
    assert seen == [None]


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (sending(b"", status=404), "HTTP 404"),
        (sending(b"x" * (MOST_BYTES + 1)), "larger"),
    ],
)
def test_what_cannot_be_had_is_said(answer: Answer, why: str) -> None:
    with twilio(answer) as (home, _), pytest.raises(CarrierAway, match=why):
        fetch(home, f"{home}/Media/ME1")


def test_a_trickle_is_not_waited_for() -> None:
    over = threading.Event()

    with twilio(lambda handler: trickle(handler, over)) as (home, _):
        started_at = time.monotonic()
        with pytest.raises(CarrierAway, match="too long"):
            fetch(home, f"{home}/Media/ME1", seconds=1)
        took = time.monotonic() - started_at
        over.set()
    # the whole answer would take hours
    assert took < 2 * SLOWER


def test_a_server_that_says_nothing_is_waited_for_no_longer_than_told() -> None:
    over = threading.Event()

    def silence(_: BaseHTTPRequestHandler) -> None:
        over.wait(10)

    with twilio(silence) as (home, _):
        started_at = time.monotonic()
        with pytest.raises(CarrierAway):
            fetch(home, f"{home}/Media/ME1", seconds=0.5)
        took = time.monotonic() - started_at
        over.set()

    assert took < 1.5 * SLOWER


@pytest.mark.parametrize("url", ["https://[::1/Media", "", "http://", "https://\udcff.twilio.com/x"])
def test_an_address_that_is_none_is_no_picture(url: str) -> None:
    with pytest.raises(CarrierAway):
        fetch("https://api.twilio.com", url)
    # the same if the carrier redirects to it
    with twilio(leading_to("https://[::1/Media")) as (home, _), pytest.raises(CarrierAway):
        fetch(home, f"{home}/Media/ME1")
