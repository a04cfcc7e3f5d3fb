"""The webhook's one move: a text or a report becomes durable in Redis, in one atomic round trip.

The scripts are those of `inbox.arrivals`; only who carries them out differs, because this side is asynchronous.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from inbox import arrivals, connection, keys
from sms.messages import DeliveryReport, InboundSms
from webhook.commit import KEEP_SECONDS, GroupCommit, Kind
from webhook.errors import DoorClosed

CONNECT_TIMEOUT_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Road:
    """How the road behind the door is: what readiness and alarms go by."""

    #: Age of the oldest unanswered text; 0 where none waits.
    oldest_waiting_seconds: float = 0.0
    #: Why nothing is sent any more; empty: all is well.
    stopped: str = ""


class Door(Protocol):
    """Where texts and reports are handed in."""

    def accept(self, text: InboundSms) -> asyncio.Future[None]:
        """Keep a text and ring for its person: done once it is durable, else `DoorClosed`."""

    def receive(self, report: DeliveryReport) -> asyncio.Future[None]:
        """Keep a delivery report: done once it is durable, else `DoorClosed`."""

    async def look(self) -> Road:
        """How the road behind the door is. Raises `DoorClosed`."""

    async def close(self) -> None:
        """Let go of connections."""


ACCEPT: Final = Kind(connection.script("accept").encode(), arrivals.accept_call)
RECEIVE: Final = Kind(connection.script("receive").encode(), arrivals.receive_call)


class RedisDoor:
    """The door to the inbox on Redis."""

    def __init__(self, url: str, *, who_key: bytes, per_number: bool = False) -> None:
        self._who_key = who_key
        self._per_number = per_number
        pool = redis.asyncio.ConnectionPool.from_url(
            url,
            socket_connect_timeout=CONNECT_TIMEOUT_SECONDS,
            socket_timeout=KEEP_SECONDS,
            socket_keepalive=True,
            # after a restart of Redis every kept connection fails once
            retry=Retry(NoBackoff(), 1),
        )
        # for the rare look; what is kept goes by a connection of its own
        self._redis = redis.asyncio.Redis.from_pool(pool)
        # an address with an option that nobody knows is found out here, not by the first text
        pool.make_connection()  # type: ignore[no-untyped-call]  # redis-py's own
        self._commit = GroupCommit(pool.make_connection, (ACCEPT, RECEIVE))

    def accept(self, text: InboundSms) -> asyncio.Future[None]:
        """See `Door.accept`."""
        return self._commit.keep(ACCEPT, arrivals.accept_entry(text, self._who_key, per_number=self._per_number))

    def receive(self, report: DeliveryReport) -> asyncio.Future[None]:
        """See `Door.receive`."""
        return self._commit.keep(RECEIVE, arrivals.receive_entry(report))

    async def look(self) -> Road:
        """See `Door.look`."""
        try:
            async with asyncio.timeout(KEEP_SECONDS):
                oldest = await self._redis.zrange(keys.WAITING, 0, 0, withscores=True)
                seconds, microseconds = await self._redis.time()
                stopped = await self._redis.hget(keys.CIRCUIT, "reason")
        except (RedisError, OSError, TimeoutError) as exc:
            raise DoorClosed(type(exc).__name__) from exc
        now = int(seconds) + int(microseconds) / 1e6
        age = max(0.0, now - float(oldest[0][1]) / 1000) if oldest else 0.0
        return Road(oldest_waiting_seconds=age, stopped=stopped.decode() if isinstance(stopped, bytes) else "")

    async def close(self) -> None:
        """See `Door.close`."""
        await self._commit.close()
        await self._redis.aclose()


_Kept = TypeVar("_Kept")


class InMemoryDoor:
    """A door that keeps what is handed in, or refuses it."""

    def __init__(self) -> None:
        self.texts: list[InboundSms] = []
        self.reports: list[DeliveryReport] = []
        self.closed = False
        self.road = Road()

    def accept(self, text: InboundSms) -> asyncio.Future[None]:
        """See `Door.accept`."""
        return self._kept(self.texts, text)

    def receive(self, report: DeliveryReport) -> asyncio.Future[None]:
        """See `Door.receive`."""
        return self._kept(self.reports, report)

    async def look(self) -> Road:
        """See `Door.look`."""
        if self.closed:
            raise DoorClosed("closed by the test")
        return self.road

    async def close(self) -> None:
        """See `Door.close`."""

    def _kept(self, where: list[_Kept], what: _Kept) -> asyncio.Future[None]:
        outcome = asyncio.get_running_loop().create_future()
        if self.closed:
            outcome.set_exception(DoorClosed("closed by the test"))
        else:
            where.append(what)
            outcome.set_result(None)
        return outcome
