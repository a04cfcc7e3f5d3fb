"""The webhook's way into Redis under a burst, and after Redis was away."""

from __future__ import annotations

import asyncio

import pytest
import redis

from tests.builders import a_text
from webhook.commit import IN_FLIGHT, MOST_TOGETHER
from webhook.door import RedisDoor
from webhook.errors import DoorClosed


def test_a_burst_larger_than_what_goes_together_waits_and_loses_nothing(
    redis_client: redis.Redis, redis_url: str
) -> None:
    total = MOST_TOGETHER * (IN_FLIGHT + 1) + 50

    async def burst() -> None:
        door = RedisDoor(redis_url, who_key=b"k")
        await asyncio.gather(*(door.accept(a_text(sender=f"+1555{number:07d}")) for number in range(total)))
        await door.close()

    asyncio.run(burst())

    assert redis_client.zcard("waiting") == total
    assert redis_client.llen("doorbells") == total


def test_connections_that_died_meanwhile_cost_no_text(redis_client: redis.Redis, redis_url: str) -> None:
    async def twice() -> None:
        door = RedisDoor(redis_url, who_key=b"k")
        await asyncio.gather(*(door.accept(a_text(sender=f"+1555{number:07d}")) for number in range(40)))
        await asyncio.to_thread(redis_client.client_kill_filter, _type="normal", skipme=True)
        await asyncio.gather(*(door.accept(a_text(sender=f"+1556{number:07d}")) for number in range(40)))
        await door.close()

    asyncio.run(twice())

    assert redis_client.zcard("waiting") == 80


def test_a_redis_that_is_not_there_is_a_closed_door() -> None:
    async def knock() -> None:
        door = RedisDoor("redis://127.0.0.1:1/0", who_key=b"k")
        try:
            await door.accept(a_text())
        finally:
            await door.close()

    with pytest.raises(DoorClosed):
        asyncio.run(knock())
