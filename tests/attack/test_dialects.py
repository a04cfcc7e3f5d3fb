"""Bytes that servers read in different ways bring in no unsigned text and no answer out of order."""

from __future__ import annotations

from itertools import product

import pytest
import redis

from tests.integration.test_webhook_http import HOST, LIVEZ, POST, a_request, say, statuses, texts
from tests.webhooks import Webhook


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

    answers = say(webhook, old + old.replace(b"keep-alive", b"close"))

    assert answers.count(b"alive\n") in (1, 2)
    assert answers.count(b"HTTP/1.") == answers.count(b"alive\n")


QUERIES = [b"", b"?bodySHA256=%C3%A9", b"?bodySHA256=\xc3\xa9", b"?%ff=%00&&=", b"?" + b"a" * 9_000]
SIGNATURES = [b"x" * 28, b"\xc3\xa9" * 14, b"\xff" * 28, b"=" * 44, b""]
KINDS = [b"application/json", b"multipart/form-data; boundary=x"]


@pytest.mark.parametrize("query", QUERIES)
def test_an_unsigned_request_of_any_kind_is_refused(webhook: Webhook, redis_client: redis.Redis, query: bytes) -> None:
    for kind, signature in product(KINDS, SIGNATURES):
        request = (
            b"POST /sms" + query + b" HTTP/1.1\r\n" + HOST + b"Content-Type: " + kind + b"\r\n"
            b"X-Twilio-Signature: " + signature + b"\r\nContent-Length: 11\r\nConnection: close\r\n\r\n"
            b'{"a": "\xc3\xa9"}'
        )  # fmt: skip
        assert statuses(say(webhook, request)) in (["403"], ["400"], ["414"])

    assert texts(redis_client) == []
