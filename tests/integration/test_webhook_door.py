"""The webhook's writes to Redis share round trips and are answered one by one.

The tests cover a burst, a refused write, TLS, malformed answers, and a Redis that is away.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis
import trustme
from webhook.commit import IN_FLIGHT, MOST_TOGETHER
from webhook.door import RedisDoor
from webhook.errors import DoorClosed

from inbox import doorbell, keys, payloads
from sms.messages import DeliveryReport, MessageSid
from tests.builders import a_text
from webhook import commit

KEY = b"k"


def at_the_door(url: str, do: Callable[[RedisDoor], Awaitable[None]]) -> None:
    async def use_door() -> None:
        door = RedisDoor(url, who_key=KEY)
        try:
            await do(door)
        finally:
            await door.close()

    asyncio.run(use_door())


def person(number: int) -> str:
    return f"+1555{number:07d}"


def calls(client: redis.Redis, command: str) -> int:
    stats = client.info("commandstats")
    return int(stats.get(f"cmdstat_{command}", {"calls": 0})["calls"])


def test_a_burst_larger_than_what_goes_together_waits_and_loses_nothing(
    redis_client: redis.Redis, redis_url: str
) -> None:
    total = MOST_TOGETHER * (IN_FLIGHT + 1) + 50

    async def burst(door: RedisDoor) -> None:
        await asyncio.gather(*(door.accept(a_text(sender=person(number))) for number in range(total)))

    at_the_door(redis_url, burst)

    assert redis_client.zcard(keys.WAITING) == total
    assert redis_client.llen(keys.QUEUE) == total


def test_texts_that_wait_at_the_same_time_share_a_round_trip(redis_client: redis.Redis, redis_url: str) -> None:
    redis_client.config_resetstat()

    async def some_at_once(door: RedisDoor) -> None:
        await asyncio.gather(*(door.accept(a_text(sender=person(number))) for number in range(100)))

    at_the_door(redis_url, some_at_once)

    assert redis_client.zcard(keys.WAITING) == 100
    assert calls(redis_client, "evalsha") + calls(redis_client, "eval") <= 3


def test_a_text_that_redis_refuses_keeps_no_other_out(redis_client: redis.Redis, redis_url: str) -> None:
    redis_client.set(keys.texts(payloads.who(person(3), KEY)), "not a stream")

    async def five(door: RedisDoor) -> None:
        kept = await asyncio.gather(
            *(door.accept(a_text(sender=person(number))) for number in range(5)), return_exceptions=True
        )
        assert [type(one) for one in kept] == [type(None)] * 3 + [DoorClosed, type(None)]
        assert "WRONGTYPE" in str(kept[3])

    at_the_door(redis_url, five)

    assert redis_client.llen(keys.QUEUE) == 4


def test_texts_and_reports_that_come_together_are_both_kept(redis_client: redis.Redis, redis_url: str) -> None:
    def report(number: int) -> DeliveryReport:
        return DeliveryReport(sid=MessageSid(f"SM{number}"), to=person(number), status="sent", attempt_id="SM1-0-a")

    async def both(door: RedisDoor) -> None:
        for start in (0, 10):
            await asyncio.gather(
                *(door.accept(a_text(sender=person(number))) for number in range(start, start + 10)),
                *(door.receive(report(number)) for number in range(start, start + 10)),
            )

    at_the_door(redis_url, both)

    assert redis_client.zcard(keys.WAITING) == 20
    assert redis_client.xlen(keys.REPORTS) == 20


def test_a_bell_that_redis_makes_is_the_one_that_we_would_make(redis_client: redis.Redis, redis_url: str) -> None:
    async def some_in_two_calls(door: RedisDoor) -> None:
        for start in (0, 20):
            await asyncio.gather(*(door.accept(a_text(sender=person(start + number))) for number in range(20)))

    at_the_door(redis_url, some_in_two_calls)

    messages = [json.loads(message) for message in redis_client.lrange(keys.QUEUE, 0, -1)]
    names = [payloads.who(person(number), KEY) for number in reversed(range(40))]
    ids = {
        each[where][name] for each in messages for where, name in (("headers", "id"), ("properties", "delivery_tag"))
    }
    assert len(ids) == 80
    for message, name in zip(messages, names, strict=True):
        ours = json.loads(doorbell.ring(payloads.ANSWER_TASK, name))
        for where, slots in (("headers", ("id", "root_id")), ("properties", ("correlation_id", "delivery_tag"))):
            for slot in slots:
                assert len(message[where][slot]) == 36
                ours[where][slot] = message["headers"]["id"] if slot != "delivery_tag" else message[where][slot]
        assert message == ours


@asynccontextmanager
async def a_relay(
    redis_url: str, *, tls: ssl.SSLContext | None = None, rewrite: Callable[[bytes], bytes] = lambda answer: answer
) -> AsyncIterator[int]:
    """Start a proxy for Redis that passes each answer through `rewrite`; yield its port."""
    there, carried = urlsplit(redis_url), set[asyncio.Task[None]]()

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, say: Callable[[bytes], bytes]) -> None:
        with suppress(ConnectionError):
            while chunk := await reader.read(65_536):
                writer.write(say(chunk))
        writer.close()
        with suppress(ConnectionError, ssl.SSLError):
            await writer.wait_closed()

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        carried.add(task)
        back, on = await asyncio.open_connection(there.hostname, there.port)
        await asyncio.gather(pipe(reader, on, bytes), pipe(back, writer, rewrite))

    async with await asyncio.start_server(carry, "127.0.0.1", 0, ssl=tls) as server:
        yield server.sockets[0].getsockname()[1]
        # wait for the connections to end: the door is closed by now
        await asyncio.wait(carried)


async def kept_through(url: str) -> None:
    door = RedisDoor(url, who_key=KEY)
    try:
        await asyncio.gather(*(door.accept(a_text(sender=person(number))) for number in range(5)))
    finally:
        await door.close()


def test_redis_is_spoken_to_over_tls_and_with_a_login(
    redis_client: redis.Redis, redis_url: str, tmp_path: Path
) -> None:
    authority, tls = trustme.CA(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(tls)
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    redis_client.acl_setuser("cat", enabled=True, passwords=["+secret"], categories=["+@all"], keys=["*"])

    async def over_tls() -> None:
        async with a_relay(redis_url, tls=tls) as port:
            await kept_through(f"rediss://cat:secret@localhost:{port}/3?ssl_ca_certs={tmp_path / 'authority.pem'}")
            with pytest.raises(DoorClosed, match="AuthenticationError"):
                await kept_through(f"rediss://cat:wrong@localhost:{port}/3?ssl_ca_certs={tmp_path / 'authority.pem'}")

    try:
        asyncio.run(over_tls())
    finally:
        redis_client.acl_deluser("cat")

    with redis.Redis.from_url(redis_url.rpartition("/")[0] + "/3") as third:
        assert third.zcard(keys.WAITING) == 5


@pytest.mark.parametrize("instead", [b"!\r\n", b":1\r\n:1\r\n:1\r\n"], ids=["not the protocol", "too many answers"])
def test_an_answer_that_makes_no_sense_is_not_believed(
    redis_client: redis.Redis, redis_url: str, instead: bytes
) -> None:
    spoilt: list[bytes] = []

    def rewrite(answer: bytes) -> bytes:
        # the first outcome of our script; the answers before it are the login's and the scripts' digests
        before, marker, _ = answer.partition(b"*5\r\n")
        if marker and not spoilt:
            spoilt.append(answer)
            return before + instead
        return answer

    async def spoil_one() -> None:
        async with a_relay(redis_url, rewrite=rewrite) as port:
            await kept_through(f"redis://127.0.0.1:{port}/0")

    if instead.startswith(b"!"):
        asyncio.run(spoil_one())
    else:
        with pytest.raises(DoorClosed):
            asyncio.run(spoil_one())

    assert spoilt
    assert redis_client.zcard(keys.WAITING) == 5


def test_what_redis_tells_unasked_is_no_answer(redis_client: redis.Redis, redis_url: str) -> None:
    def rewrite(answer: bytes) -> bytes:
        return answer.replace(b"*5\r\n", b">2\r\n+news\r\n+nothing\r\n*5\r\n")

    async def with_news() -> None:
        async with a_relay(redis_url, rewrite=rewrite) as port:
            await kept_through(f"redis://127.0.0.1:{port}/0")

    asyncio.run(with_news())

    assert redis_client.zcard(keys.WAITING) == 5


def test_one_persons_texts_keep_their_order(redis_client: redis.Redis, redis_url: str) -> None:
    async def one_after_the_other(door: RedisDoor) -> None:
        await asyncio.gather(*(door.accept(a_text(str(number))) for number in range(400)))

    at_the_door(redis_url, one_after_the_other)

    [inbox] = redis_client.keys(keys.texts("*"))
    entries: Any = redis_client.xrange(inbox)  # two protocol versions, two types
    texts = [payloads.decode_text(fields[b"text"]) for _, fields in entries]
    assert [text.body for text in texts] == [str(number) for number in range(400)]


def test_connections_that_died_meanwhile_cost_no_text(redis_client: redis.Redis, redis_url: str) -> None:
    async def twice(door: RedisDoor) -> None:
        await asyncio.gather(*(door.accept(a_text(sender=person(number))) for number in range(40)))
        await asyncio.to_thread(redis_client.client_kill_filter, _type="normal", skipme=True)
        await asyncio.gather(*(door.accept(a_text(sender=person(100 + number))) for number in range(40)))

    at_the_door(redis_url, twice)

    assert redis_client.zcard(keys.WAITING) == 80


def test_a_redis_that_has_forgotten_the_scripts_is_told_them_again(redis_client: redis.Redis, redis_url: str) -> None:
    async def around_a_flush(door: RedisDoor) -> None:
        await door.accept(a_text(sender=person(1)))
        await asyncio.to_thread(redis_client.script_flush)
        await door.accept(a_text(sender=person(2)))

    at_the_door(redis_url, around_a_flush)

    assert redis_client.zcard(keys.WAITING) == 2


def test_a_redis_that_does_not_answer_is_a_closed_door_until_it_does(
    redis_client: redis.Redis, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commit, "KEEP_SECONDS", 0.5)
    monkeypatch.setattr(commit, "CONNECT_SECONDS_LEAST", 0.1)

    async def during_and_after(door: RedisDoor) -> None:
        await door.accept(a_text(sender=person(1)))
        await asyncio.to_thread(redis_client.client_pause, 2000)
        started_at = asyncio.get_running_loop().time()
        with pytest.raises(DoorClosed):
            await door.accept(a_text(sender=person(2)))
        assert asyncio.get_running_loop().time() - started_at < 1.8
        await asyncio.to_thread(redis_client.client_unpause)
        await door.accept(a_text(sender=person(3)))

    at_the_door(redis_url, during_and_after)

    assert redis_client.hexists(keys.PEOPLE, payloads.who(person(3), KEY))


def test_a_redis_that_is_not_there_is_a_closed_door() -> None:
    async def knock(door: RedisDoor) -> None:
        await door.accept(a_text())

    with pytest.raises(DoorClosed):
        at_the_door("redis://127.0.0.1:1/0", knock)


def test_the_one_that_still_waits_when_the_door_is_closed_is_told_so(redis_client: redis.Redis, redis_url: str) -> None:
    async def close_while_waiting(door: RedisDoor) -> None:
        await door.accept(a_text(sender=person(1)))
        await asyncio.to_thread(redis_client.client_pause, 1000)
        waiting = door.accept(a_text(sender=person(2)))
        await door.close()
        with pytest.raises(DoorClosed):
            await waiting

    at_the_door(redis_url, close_while_waiting)
    redis_client.client_unpause()


def test_where_too_many_wait_the_next_is_told_to_come_again(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commit, "MOST_WAITING", 3)

    async def four(door: RedisDoor) -> None:
        kept = await asyncio.gather(
            *(door.accept(a_text(sender=person(number))) for number in range(4)), return_exceptions=True
        )
        assert [type(one) for one in kept] == [type(None)] * 3 + [DoorClosed]

    at_the_door(redis_url, four)
