"""The webhook's one move: a text or a report becomes durable in Redis, in one atomic round trip.

The scripts are those of `inbox.redis`; only who carries them out differs, because this side is asynchronous.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from inbox import redis as scripts
from sms.messages import DeliveryReport, InboundSms

if TYPE_CHECKING:
    from redis.commands.core import AsyncScript

#: Twilio waits 15 s in all and retries once; a Redis that has not confirmed in four will not be waited for.
ACCEPT_TIMEOUT_SECONDS: Final = 4.0
CONNECT_TIMEOUT_SECONDS: Final = 2.0
CONNECTIONS: Final = 256


class DoorClosed(Exception):
    """Redis did not confirm: whether the text was kept is unknown, so Twilio must bring it again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Road:
    """How the road behind the door is: what readiness and alarms go by."""

    #: Age of the oldest unanswered text; 0 where none waits.
    oldest_waiting_seconds: float = 0.0
    #: Why nothing is sent any more; empty: all is well.
    stopped: str = ""


class Door(Protocol):
    """Where texts and reports are handed in."""

    async def accept(self, text: InboundSms) -> None:
        """Keep a text and ring for its person. Raises `DoorClosed` unless it is durable."""

    async def receive(self, report: DeliveryReport) -> None:
        """Keep a delivery report. Raises `DoorClosed` unless it is durable."""

    async def look(self) -> Road:
        """How the road behind the door is. Raises `DoorClosed`."""

    async def close(self) -> None:
        """Let go of connections."""


class RedisDoor:
    """The door to the inbox on Redis."""

    def __init__(self, url: str, *, who_key: bytes, per_number: bool = False) -> None:
        self._who_key = who_key
        self._per_number = per_number
        pool = redis.asyncio.BlockingConnectionPool.from_url(
            url,
            max_connections=CONNECTIONS,
            timeout=ACCEPT_TIMEOUT_SECONDS,
            socket_connect_timeout=CONNECT_TIMEOUT_SECONDS,
            socket_timeout=ACCEPT_TIMEOUT_SECONDS,
            socket_keepalive=True,
            # after a restart of Redis every kept connection fails once; repeating the script is harmless, because a text that waits
            # already is not added again, and one that does not is settled as a duplicate
            retry=Retry(NoBackoff(), 1),
        )
        self._redis = redis.asyncio.Redis.from_pool(pool)
        self._accept: AsyncScript = self._redis.register_script(scripts.script("accept"))
        self._receive: AsyncScript = self._redis.register_script(scripts.script("receive"))

    async def accept(self, text: InboundSms) -> None:
        """See `Door.accept`."""
        keys, args = scripts.accept_call(text, self._who_key, per_number=self._per_number)
        await self._run(self._accept, keys, args)

    async def receive(self, report: DeliveryReport) -> None:
        """See `Door.receive`."""
        keys, args = scripts.receive_call(report)
        await self._run(self._receive, keys, args)

    async def look(self) -> Road:
        """See `Door.look`."""
        try:
            async with asyncio.timeout(ACCEPT_TIMEOUT_SECONDS):
                oldest = await self._redis.zrange("waiting", 0, 0, withscores=True)
                seconds, microseconds = await self._redis.time()
                stopped = await self._redis.hget("circuit", "reason")
        except (RedisError, OSError, TimeoutError) as exc:
            raise DoorClosed(type(exc).__name__) from exc
        now = int(seconds) + int(microseconds) / 1e6
        age = max(0.0, now - float(oldest[0][1]) / 1000) if oldest else 0.0
        return Road(oldest_waiting_seconds=age, stopped=stopped.decode() if isinstance(stopped, bytes) else "")

    async def close(self) -> None:
        """See `Door.close`."""
        await self._redis.aclose()

    async def _run(self, script: AsyncScript, keys: list[str], args: list[bytes | str | int]) -> None:
        try:
            async with asyncio.timeout(ACCEPT_TIMEOUT_SECONDS):
                await script(keys=keys, args=args)
        except (RedisError, OSError, TimeoutError) as exc:
            raise DoorClosed(type(exc).__name__) from exc


class InMemoryDoor:
    """A door that keeps what is handed in, or refuses it."""

    def __init__(self) -> None:
        self.texts: list[InboundSms] = []
        self.reports: list[DeliveryReport] = []
        self.closed = False
        self.road = Road()

    async def accept(self, text: InboundSms) -> None:
        """See `Door.accept`."""
        self._refuse()
        self.texts.append(text)

    async def receive(self, report: DeliveryReport) -> None:
        """See `Door.receive`."""
        self._refuse()
        self.reports.append(report)

    async def look(self) -> Road:
        """See `Door.look`."""
        self._refuse()
        return self.road

    async def close(self) -> None:
        """See `Door.close`."""

    def _refuse(self) -> None:
        if self.closed:
            raise DoorClosed("closed by the test")
