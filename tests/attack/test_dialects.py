"""Bytes that servers read in different ways: none of them brings an unsigned text in or an answer out of order."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from tests.integration.test_webhook_http import HOST, LIVEZ, POST, a_request, say, statuses, texts
from tests.webhooks import Webhook, a_webhook


@pytest.fixture(scope="module")
def running(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Webhook]:
    with a_webhook(redis_url, tmp_path_factory.mktemp("webhook"), request_seconds=1) as webhook:
        yield webhook


@pytest.fixture
def webhook(running: Webhook, redis_client: redis.Redis) -> Webhook:
    redis_client.flushall()
    return running


def test_a_client_is_told_to_continue_once_and_after_the_earlier_answers(webhook: Webhook) -> None:
    expecting = POST + b"Content-Length: 1\r\nExpect: 100-continue\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"

    answers = statuses(say(webhook, LIVEZ + expecting + b"x"))

    assert answers in (["200", "100", "403"], ["200", "403"])


def test_a_fragment_in_the_target_is_not_signed_for(webhook: Webhook, redis_client: redis.Redis) -> None:
    request = a_request(webhook).replace(b"POST /sms HTTP", b"POST /sms#x HTTP")

    assert statuses(say(webhook, request)) in (["400"], ["200"])
    assert len(texts(redis_client)) <= 1


def test_an_old_client_that_keeps_the_connection_gets_as_many_answers_as_it_asked(webhook: Webhook) -> None:
    old = b"GET /livez HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"

    answers = say(webhook, old + old)

    assert answers.count(b"alive\n") in (1, 2)
    assert answers.count(b"HTTP/1.") == answers.count(b"alive\n")


@pytest.mark.parametrize(
    "header", [b"Content-Type: application/json", b"Content-Type: multipart/form-data; boundary=x"]
)
@pytest.mark.parametrize(
    "query", [b"", b"?bodySHA256=%C3%A9", b"?bodySHA256=\xc3\xa9", b"?%ff=%00&&=", b"?" + b"a" * 9_000]
)
@pytest.mark.parametrize("signature", [b"x" * 28, b"\xc3\xa9" * 14, b"\xff" * 28, b"=" * 44, b""])
def test_an_unsigned_request_of_any_kind_is_refused(
    webhook: Webhook, redis_client: redis.Redis, header: bytes, query: bytes, signature: bytes
) -> None:
    request = (
        b"POST /sms" + query + b" HTTP/1.1\r\n" + HOST + header + b"\r\nX-Twilio-Signature: " + signature
        + b'\r\nContent-Length: 11\r\nConnection: close\r\n\r\n{"a": "\xc3\xa9"}'
    )  # fmt: skip

    assert statuses(say(webhook, request)) in (["403"], ["400"], ["414"])
    assert texts(redis_client) == []
