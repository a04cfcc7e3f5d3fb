"""Group commit: entries that wait at the same time share one script call, and one fsync in Redis.

When the event loop's turn is over, the queue's contents go to Redis as one call. An entry that comes alone leaves at
once. One call is under way at a time, so a person's texts keep their order. Each entry is answered by its own outcome.
If a call fails, its entries are refused, and Twilio sends them again; a text that was stored is then recognised.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple

import redis.asyncio
from hiredis import pack_command
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from inbox import arrivals
from inbox.arrivals import Entry
from inbox.client_info import driver
from inbox.scripts import script
from inbox.state import InboxState, read_state
from sms.messages import DeliveryReport, InboundSms

#: An entry that Redis has not confirmed after this time is refused. Twilio waits 15 s in all and retries once.
STORE_SECONDS: Final = 4.0
CONNECT_SECONDS: Final = 2.0
#: Most entries in one call: Redis needs a few milliseconds for so many, and serves nothing else meanwhile.
MOST_TOGETHER: Final = 128
#: More than arrive in a second at full speed. Beyond it an entry is refused at once.
MOST_WAITING: Final = 10_000


class NotStored(Exception):
    """Redis did not confirm. Whether it stored the entry is unknown, so Twilio must send it again."""


class _Connection(redis.asyncio.Connection):
    """Packs commands in C; redis-py's asynchronous connection packs in Python, at the cost of a signature."""

    def pack_command(self, *args: Any) -> list[bytes]:  # Any: redis-py's own values
        return [pack_command((*args[0].split(), *args[1:]))]


def connect(url: str) -> redis.asyncio.Redis:
    """Return a client. Raises `ValueError` or `TypeError` for a URL with unknown options."""
    client = redis.asyncio.Redis.from_url(
        url,
        connection_class=_Connection,
        socket_connect_timeout=CONNECT_SECONDS,
        socket_timeout=STORE_SECONDS,
        socket_keepalive=True,
        # an idle connection that Redis has closed since fails once; a repeated entry is recognised
        retry=Retry(NoBackoff(), 1),
        driver_info=driver("webhook"),
    )
    client.connection_pool.make_connection()  # type: ignore[no-untyped-call]  # redis-py's own
    return client


class Ingest:
    """Makes texts and reports durable, in one event loop: its connections cannot move to another."""

    def __init__(
        self, client: redis.asyncio.Redis, *, who_key: bytes, per_number: bool = False, seconds: float = STORE_SECONDS
    ) -> None:
        self._client = client
        self._who_key = who_key
        self._per_number = per_number
        self._seconds = seconds
        self._texts = _Queue(client, "accept", arrivals.accept_call, seconds)
        self._reports = _Queue(client, "receive", arrivals.receive_call, seconds)
        self._look: asyncio.Task[InboxState] | None = None

    async def accept(self, text: InboundSms) -> None:
        """Store a text and push a wake-up task for its person. Raises `NotStored`."""
        await self._texts.store(arrivals.accept_entry(text, self._who_key, per_number=self._per_number))

    async def receive(self, report: DeliveryReport) -> None:
        """Store a delivery report and push a task that drains them. Raises `NotStored`."""
        await self._reports.store(arrivals.receive_entry(report))

    async def state(self) -> InboxState:
        """Return the state of the inbox; callers at the same time share one look. Raises `NotStored`."""
        if self._look is None or self._look.done():
            self._look = asyncio.create_task(read_state(self._client))
            self._look.add_done_callback(lambda look: look.cancelled() or look.exception())  # callers may have left
        try:
            return await asyncio.wait_for(asyncio.shield(self._look), self._seconds)
        except (RedisError, OSError, TimeoutError) as exc:
            raise NotStored(type(exc).__name__) from exc

    async def close(self) -> None:
        """Close the connections. Entries that still wait are refused."""
        await self._texts.close()
        await self._reports.close()
        await self._client.aclose()


class _Waiting(NamedTuple):
    """An entry, its outcome, and the time at which it is refused."""

    entry: Entry
    outcome: asyncio.Future[None]
    deadline: float

    def settle(self, outcome: object) -> None:
        """Answer the entry: a number means stored, anything else why not."""
        if self.outcome.done():
            return
        if type(outcome) is int:
            self.outcome.set_result(None)
        else:
            reason = outcome.decode(errors="replace") if isinstance(outcome, bytes) else str(outcome)
            self.outcome.set_exception(NotStored(reason))


class _Queue:
    """The entries that wait for one script."""

    def __init__(
        self, client: redis.asyncio.Redis, name: str, call: Callable[[Iterable[Entry]], Entry], seconds: float
    ) -> None:
        self._pool = client.connection_pool
        self._script = client.register_script(script(name))
        self._call = call
        self._seconds = seconds
        self._waiting: deque[_Waiting] = deque()
        self._sender: asyncio.Task[None] | None = None

    def store(self, entry: Entry) -> asyncio.Future[None]:
        """Return a future that is done once Redis confirmed the entry, or holds `NotStored`."""
        loop = asyncio.get_running_loop()
        waiting = _Waiting(entry, loop.create_future(), loop.time() + self._seconds)
        if len(self._waiting) >= MOST_WAITING:
            waiting.settle("too many entries are waiting")
            return waiting.outcome
        self._waiting.append(waiting)
        if self._sender is None:
            self._sender = loop.create_task(self._send())
        return waiting.outcome

    async def close(self) -> None:
        if self._sender is not None:
            self._sender.cancel()
            await asyncio.wait([self._sender])
        for waiting in self._waiting:
            waiting.settle("closed")

    async def _send(self) -> None:
        batch: list[_Waiting] = []
        try:
            while self._waiting:
                batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), MOST_TOGETHER))]
                await self._store_together(batch)
        finally:
            self._sender = None
            for waiting in batch:
                waiting.settle("closed")

    async def _store_together(self, batch: Sequence[_Waiting]) -> None:
        """Send one call and give each entry its own outcome."""
        call = asyncio.create_task(self._run(batch))
        call.add_done_callback(lambda done: done.cancelled() or done.exception())  # its time may be over
        try:
            # not a timeout around the call: redis-py may take its cancellation for the end of a wait of its own
            await asyncio.wait([call], timeout=max(0.0, batch[0].deadline - asyncio.get_running_loop().time()))
        finally:
            call.cancel()
        failure = call.exception() if call.done() else NotStored("Redis did not answer in time")
        outcomes = call.result() if failure is None else [f"{type(failure).__name__}: {failure}"] * len(batch)
        for waiting, outcome in zip(batch, outcomes, strict=True):
            waiting.settle(outcome)
        if not all(type(outcome) is int for outcome in outcomes):
            # a Redis that refuses may have become a replica: the next connection asks for the address again
            with suppress(Exception):
                await self._pool.disconnect(inuse_connections=False)

    async def _run(self, batch: Sequence[_Waiting]) -> Sequence[object]:
        outcomes = await self._script(*self._call([waiting.entry for waiting in batch]))
        if not isinstance(outcomes, list) or len(outcomes) != len(batch):
            raise NotStored("an answer without an outcome for each entry")
        return outcomes
