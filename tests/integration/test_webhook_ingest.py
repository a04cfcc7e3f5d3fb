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

from inbox import decoding, keys, payloads, wakeup
from sms.messages import DeliveryReport, MessageSid
from tests.builders import a_text
from webhook import ingest
from webhook.ingest import MOST_TOGETHER, Ingest, NotStored

KEY = b"k"


def with_ingest(url: str, do: Callable[[Ingest], Awaitable[None]], *, seconds: float = 4.0) -> None:
    async def use() -> None:
        entrance = Ingest(ingest.connect(url), who_key=KEY, seconds=seconds)
        try:
            await do(entrance)
        finally:
            await entrance.close()

    asyncio.run(use())


def person(number: int) -> str:
    return f"+1555{number:07d}"


def calls(client: redis.Redis, command: str) -> int:
    stats = client.info("commandstats")
    return int(stats.get(f"cmdstat_{command}", {"calls": 0})["calls"])


def test_a_burst_larger_than_what_goes_together_waits_and_loses_nothing(
    redis_client: redis.Redis, redis_url: str
) -> None:
    total = 3 * MOST_TOGETHER + 50

    async def burst(entrance: Ingest) -> None:
        await asyncio.gather(*(entrance.accept(a_text(sender=person(number))) for number in range(total)))

    with_ingest(redis_url, burst)

    assert redis_client.zcard(keys.WAITING) == total
    assert redis_client.llen(keys.QUEUE) == total


def test_texts_that_wait_at_the_same_time_share_a_round_trip(redis_client: redis.Redis, redis_url: str) -> None:
    redis_client.config_resetstat()

    async def some_at_once(entrance: Ingest) -> None:
        await asyncio.gather(*(entrance.accept(a_text(sender=person(number))) for number in range(100)))

    with_ingest(redis_url, some_at_once)

    assert redis_client.zcard(keys.WAITING) == 100
    assert calls(redis_client, "evalsha") + calls(redis_client, "eval") <= 3


def test_a_text_that_redis_refuses_keeps_no_other_out(redis_client: redis.Redis, redis_url: str) -> None:
    redis_client.set(keys.texts(payloads.who(person(3), KEY)), "not a stream")

    async def five(entrance: Ingest) -> None:
        kept = await asyncio.gather(
            *(entrance.accept(a_text(sender=person(number))) for number in range(5)), return_exceptions=True
        )
        assert [type(one) for one in kept] == [type(None)] * 3 + [NotStored, type(None)]
        assert "WRONGTYPE" in str(kept[3])

    with_ingest(redis_url, five)

    assert redis_client.llen(keys.QUEUE) == 4


def test_texts_and_reports_that_come_together_are_both_kept(redis_client: redis.Redis, redis_url: str) -> None:
    def report(number: int) -> DeliveryReport:
        return DeliveryReport(sid=MessageSid(f"SM{number}"), to=person(number), status="sent", attempt_id="SM1-0-a")

    async def both(entrance: Ingest) -> None:
        for start in (0, 10):
            await asyncio.gather(
                *(entrance.accept(a_text(sender=person(number))) for number in range(start, start + 10)),
                *(entrance.receive(report(number)) for number in range(start, start + 10)),
            )

    with_ingest(redis_url, both)

    assert redis_client.zcard(keys.WAITING) == 20
    assert redis_client.xlen(keys.REPORTS) == 20


def test_each_person_gets_one_wake_up_task_with_an_id_of_its_own(redis_client: redis.Redis, redis_url: str) -> None:
    async def two_texts_each(entrance: Ingest) -> None:
        for _ in range(2):
            await asyncio.gather(*(entrance.accept(a_text(sender=person(number))) for number in range(20)))

    with_ingest(redis_url, two_texts_each)

    messages = [json.loads(message) for message in redis_client.lrange(keys.QUEUE, 0, -1)]
    assert len({message["headers"]["id"] for message in messages}) == len(messages) == 20
    for message, number in zip(messages, reversed(range(20)), strict=True):
        ours = json.loads(wakeup.message(payloads.ANSWER_TASK, payloads.who(person(number), KEY)))
        assert message["body"] == ours["body"]
        assert message["headers"].keys() == ours["headers"].keys()


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
        # wait for the connections to end: the ingest is closed by now
        await asyncio.wait(carried)


async def kept_through(url: str) -> None:
    entrance = Ingest(ingest.connect(url), who_key=KEY)
    try:
        await asyncio.gather(*(entrance.accept(a_text(sender=person(number))) for number in range(5)))
    finally:
        await entrance.close()


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
            with pytest.raises(NotStored, match="AuthenticationError"):
                await kept_through(f"rediss://cat:wrong@localhost:{port}/3?ssl_ca_certs={tmp_path / 'authority.pem'}")

    try:
        asyncio.run(over_tls())
    finally:
        redis_client.acl_deluser("cat")

    with redis.Redis.from_url(redis_url.rpartition("/")[0] + "/3") as third:
        assert third.zcard(keys.WAITING) == 5


@pytest.mark.parametrize("instead", [b"!\r\n", b"*1\r\n:1\r\n", b":1\r\n"])
def test_an_answer_that_makes_no_sense_is_not_believed(
    redis_client: redis.Redis, redis_url: str, instead: bytes
) -> None:
    def rewrite(answer: bytes) -> bytes:
        return instead if answer.startswith(b"*5\r\n") else answer

    async def spoil() -> None:
        async with a_relay(redis_url, rewrite=rewrite) as port:
            await kept_through(f"redis://127.0.0.1:{port}/0")

    with pytest.raises(NotStored):
        asyncio.run(spoil())

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
    async def one_after_the_other(entrance: Ingest) -> None:
        await asyncio.gather(*(entrance.accept(a_text(str(number))) for number in range(400)))

    with_ingest(redis_url, one_after_the_other)

    [inbox] = redis_client.keys(keys.texts("*"))
    entries: Any = redis_client.xrange(inbox)  # two protocol versions, two types
    texts = [decoding.decode_text(fields[b"text"]) for _, fields in entries]
    assert [text.body for text in texts] == [str(number) for number in range(400)]


def test_connections_that_died_meanwhile_cost_no_text(redis_client: redis.Redis, redis_url: str) -> None:
    async def twice(entrance: Ingest) -> None:
        await asyncio.gather(*(entrance.accept(a_text(sender=person(number))) for number in range(40)))
        await asyncio.to_thread(redis_client.client_kill_filter, _type="normal", skipme=True)
        await asyncio.gather(*(entrance.accept(a_text(sender=person(100 + number))) for number in range(40)))

    with_ingest(redis_url, twice)

    assert redis_client.zcard(keys.WAITING) == 80


def test_a_redis_that_has_forgotten_the_scripts_is_told_them_again(redis_client: redis.Redis, redis_url: str) -> None:
    async def around_a_flush(entrance: Ingest) -> None:
        await entrance.accept(a_text(sender=person(1)))
        await asyncio.to_thread(redis_client.script_flush)
        await entrance.accept(a_text(sender=person(2)))

    with_ingest(redis_url, around_a_flush)

    assert redis_client.zcard(keys.WAITING) == 2


def test_a_redis_that_does_not_answer_refuses_until_it_does(redis_client: redis.Redis, redis_url: str) -> None:
    async def during_and_after(entrance: Ingest) -> None:
        await entrance.accept(a_text(sender=person(1)))
        await asyncio.to_thread(redis_client.client_pause, 4000)
        started_at = asyncio.get_running_loop().time()
        with pytest.raises(NotStored):
            await entrance.accept(a_text(sender=person(2)))
        assert asyncio.get_running_loop().time() - started_at < 3.8
        await asyncio.to_thread(redis_client.client_unpause)
        await entrance.accept(a_text(sender=person(3)))

    with_ingest(redis_url, during_and_after, seconds=0.5)

    assert redis_client.hexists(keys.PEOPLE, payloads.who(person(3), KEY))


def test_a_redis_that_is_not_there_refuses() -> None:
    async def accept_one(entrance: Ingest) -> None:
        await entrance.accept(a_text())

    with pytest.raises(NotStored):
        with_ingest("redis://127.0.0.1:1/0", accept_one)


def test_a_text_that_waits_at_the_close_is_refused(redis_client: redis.Redis, redis_url: str) -> None:
    async def close_while_waiting(entrance: Ingest) -> None:
        await entrance.accept(a_text(sender=person(1)))
        await asyncio.to_thread(redis_client.client_pause, 1000)
        waiting = asyncio.ensure_future(entrance.accept(a_text(sender=person(2))))
        await asyncio.sleep(0)
        await entrance.close()
        with pytest.raises(NotStored):
            await waiting

    with_ingest(redis_url, close_while_waiting)
    redis_client.client_unpause()


def test_if_too_many_wait_the_next_is_refused(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest, "MOST_WAITING", 3)

    async def four(entrance: Ingest) -> None:
        kept = await asyncio.gather(
            *(entrance.accept(a_text(sender=person(number))) for number in range(4)), return_exceptions=True
        )
        assert [type(one) for one in kept] == [type(None)] * 3 + [NotStored]

    with_ingest(redis_url, four)
