"""Connections by the hundred: memory and descriptors stay flat, and texts are answered meanwhile."""

from __future__ import annotations

import resource
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from tests.attack.conftest import REQUEST_SECONDS
from tests.conftest import SLOWER, wait_until
from tests.integration.test_webhook_http import LAST_LIVEZ, LIVEZ, POST, open_files, resident_mb, say, statuses
from tests.webhooks import Webhook, a_webhook


@contextmanager
def connections(webhook: Webhook, count: int, first: bytes = b"") -> Iterator[Sequence[socket.socket]]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, count + 500)), hard))
    opened: list[socket.socket] = []
    try:
        for _ in range(count):
            connection = socket.socket()
            opened.append(connection)
            connection.setblocking(False)
            connection.connect_ex(("127.0.0.1", webhook.port))
        for connection in opened if first else ():
            connection.setblocking(True)
            connection.sendall(first)
        yield opened
    finally:
        for connection in opened:
            connection.close()


def seconds_for_a_text(webhook: Webhook, number: int) -> float:
    started_at = time.monotonic()
    assert webhook.text(number) == 200
    return time.monotonic() - started_at


def log_of(webhook: Webhook) -> str:
    return (webhook.folder / "webhook.txt").read_text()


def test_the_soft_limit_of_files_is_raised_to_the_hard_one(webhook: Webhook) -> None:
    [process] = webhook.processes()
    limits = Path(f"/proc/{process}/limits").read_text()

    assert "Max open files            1024                 1024" in limits


def test_more_idle_connections_than_files_delay_a_text_until_they_are_closed_and_are_logged(webhook: Webhook) -> None:
    [process] = webhook.processes()
    with connections(webhook, 1007):
        wait_until(lambda: "connections are used up" in log_of(webhook), what="the line in the log")
        took = seconds_for_a_text(webhook, 1)
        assert open_files(process) < 1024

    assert took < SLOWER * REQUEST_SECONDS
    assert log_of(webhook).count("connections are used up") == 1
    wait_until(lambda: open_files(process) < 100, what="the end of the idle connections")
    assert seconds_for_a_text(webhook, 2) < 1


def test_slow_heads_and_bodies_delay_no_text(webhook: Webhook) -> None:
    slow = (POST + b"X: ", POST + b"Content-Length: 1000\r\n\r\na")
    for first in slow:
        with connections(webhook, 500, first):
            assert max(seconds_for_a_text(webhook, number) for number in range(10)) < 1


@pytest.mark.long
def test_pipelined_requests_by_the_thousand_leave_nothing_behind(webhook: Webhook) -> None:
    [process] = webhook.processes()
    say(webhook, LAST_LIVEZ)
    files, memory, log = open_files(process), resident_mb(process), len(log_of(webhook))
    for _ in range(1_008):
        assert len(statuses(say(webhook, LIVEZ + b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n" * 400 + LAST_LIVEZ))) == 402

    wait_until(lambda: open_files(process) <= files, what="the end of the connections")
    assert resident_mb(process) < memory + 30
    assert len(log_of(webhook)) < log + 10_000


@pytest.mark.long
def test_answers_that_nothing_reads_take_no_memory_in_40_seconds(webhook: Webhook) -> None:
    [process] = webhook.processes()
    memory, until, slowest = resident_mb(process), time.monotonic() + 40, 0.0
    while time.monotonic() < until:
        with connections(webhook, 50) as clients:
            asked_until = time.monotonic() + 4
            while time.monotonic() < asked_until:
                for client in clients:
                    try:
                        client.send(LIVEZ * 200)
                    except (BlockingIOError, ConnectionError):
                        continue
                slowest = max(slowest, seconds_for_a_text(webhook, 3))
        assert resident_mb(process) < memory + 60

    assert slowest < 1


@pytest.mark.long
def test_three_thousand_looks_at_readiness_at_once_are_answered_and_true(
    redis_url: str, redis_client: redis.Redis, tmp_path: Path
) -> None:
    redis_client.flushall()
    readyz = b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    with a_webhook(redis_url, tmp_path) as unlimited, connections(unlimited, 3_000, readyz) as clients:
        answers = []
        for client in clients:
            client.settimeout(20)
            answers.append(client.recv(4_096).split(b" ", 2)[1])

    assert set(answers) == {b"200"}


@pytest.mark.long
def test_unsigned_requests_that_are_dear_to_decode_leave_room_for_texts(webhook: Webhook) -> None:
    body = b"a=" + b"%41" * 20_000
    signed = b"X-Twilio-Signature: " + b"x" * 28 + b"\r\n"
    dear = POST + signed + b"Content-Length: %d\r\nConnection: close\r\n\r\n" % len(body) + body
    until, slowest, refused = time.monotonic() + 20, 0.0, 0
    while time.monotonic() < until:
        with connections(webhook, 20, dear) as clients:
            slowest = max(slowest, seconds_for_a_text(webhook, 4))
            for client in clients:
                refused += client.recv(4_096).startswith(b"HTTP/1.1 403")

    assert refused > 500
    assert slowest < 1
