"""Group commit: requests that wait at the same time share one round trip to Redis, and one fsync there.

Whoever has something to keep joins a queue and waits. What has gathered when the loop's turn is over is sent as one call of one script, on one
connection, while up to `IN_FLIGHT` earlier calls are still under way; each request is answered when its own outcome has come back, and one that
Redis refuses does not touch the others. Nothing waits for company: a request that comes alone leaves at once.

One connection keeps the order. When it breaks, what was under way is asked for once more on the next, which is harmless, because a text that
waits already is not added again; what is not confirmed within `KEEP_SECONDS` of its arrival is given up, and Twilio brings it again.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import repeat
from typing import Final, Protocol

from hiredis import pack_command
from redis.exceptions import NoScriptError, ResponseError

from inbox.redis import Entry
from webhook.errors import DoorClosed

#: Twilio waits 15 s in all and retries once; a Redis that has not confirmed in four will not be waited for.
KEEP_SECONDS: Final = 4.0
#: Entries in one call: Redis is busy with so many for a few milliseconds, and others wait for it meanwhile.
MOST_TOGETHER: Final = 128
#: Calls under way: Redis works on one while the next is put together.
IN_FLIGHT: Final = 2
#: Requests that wait at once, more than a second's worth at full speed; beyond it Twilio is told at once to come again.
MOST_WAITING: Final = 10_000


class Connection(Protocol):
    """What is used of redis-py's asynchronous connection."""

    async def connect(self) -> None:
        """Connect, log in, choose the database."""

    async def disconnect(self, nowait: bool = False) -> None:  # noqa: FBT001, FBT002 - redis-py's own signatures
        """Let go."""

    async def send_packed_command(self, command: list[bytes], check_health: bool = True) -> None:  # noqa: FBT001, FBT002
        """Write a command."""

    async def read_response(self, *, timeout: float | None = None) -> object:  # noqa: ASYNC109
        """The next reply; `math.inf`: however long it takes."""


@dataclass(frozen=True, slots=True, eq=False)
class Kind:
    """A script that takes many entries in one call and answers as many outcomes."""

    source: bytes
    call: Callable[[Iterable[Entry]], Entry]
    #: Under which name Redis keeps it.
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "digest", hashlib.sha1(self.source, usedforsecurity=False).hexdigest())


@dataclass(slots=True, eq=False)
class _Request:
    """Somebody who waits."""

    kind: Kind
    entry: Entry
    outcome: asyncio.Future[None]
    until: float
    tried: bool = False

    def kept(self) -> None:
        if not self.outcome.done():
            self.outcome.set_result(None)

    def refused(self, why: str) -> None:
        if not self.outcome.done():
            self.outcome.set_exception(DoorClosed(why))


@dataclass(frozen=True, slots=True)
class _Call:
    """Requests of one kind, under way together."""

    requests: Sequence[_Request]
    #: The script's source is sent along, because Redis did not know its digest.
    whole: bool = False

    def command(self) -> tuple[bytes | str | int, ...]:
        kind = self.requests[0].kind
        keys, args = kind.call([one.entry for one in self.requests])
        verb = ("EVAL", kind.source) if self.whole else ("EVALSHA", kind.digest)
        return (*verb, len(keys), *keys, *args)


class GroupCommit:
    """Makes entries durable, many in a round trip. For one event loop; it connects when it is first needed."""

    def __init__(self, connection: Callable[[], Connection]) -> None:
        self._connection = connection
        self._queue: deque[_Request] = deque()
        self._again: deque[_Call] = deque()
        self._under_way: deque[_Call] = deque()
        self._work = asyncio.Event()
        self._patience: asyncio.Timeout | None = None
        self._closed = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None

    def keep(self, kind: Kind, entry: Entry) -> asyncio.Future[None]:
        """Done once Redis has confirmed this entry; `DoorClosed` where it did not."""
        loop = self._loop or self._begin()
        mine = _Request(kind, entry, loop.create_future(), loop.time() + KEEP_SECONDS)
        if len(self._queue) < MOST_WAITING:
            self._queue.append(mine)
            self._work.set()
        else:
            mine.refused("too many are waiting")
        return mine.outcome

    def _begin(self) -> asyncio.AbstractEventLoop:
        self._loop, self._closed = asyncio.get_running_loop(), False
        self._task = self._loop.create_task(self._serve())
        return self._loop

    async def close(self) -> None:
        """Let go of the connection. What still waits is given up."""
        self._closed = True
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = self._loop = None
        self._give_up([*self._broken_off(), *self._queue], "closed")
        self._queue.clear()

    async def _serve(self) -> None:
        """Connect, and serve until the connection breaks; again and again."""
        # a connection that breaks while it is being closed raises that instead of the cancellation
        while not self._closed:
            await self._work.wait()
            connection, connected = self._connection(), False
            try:
                async with asyncio.timeout(KEEP_SECONDS):
                    await connection.connect()
                connected = True
                async with asyncio.TaskGroup() as both:
                    both.create_task(self._write(connection))
                    both.create_task(self._read(connection))
            except* Exception as broken:  # noqa: BLE001 - whatever it was, nobody must be left waiting
                self._broke(type(broken.exceptions[0]).__name__, connected=connected)
            finally:
                await connection.disconnect(nowait=True)

    async def _write(self, connection: Connection) -> None:
        """Send what waits, as long as no more than `IN_FLIGHT` calls are under way."""
        while True:
            await self._work.wait()
            while len(self._under_way) < IN_FLIGHT and (call := self._next()):
                self._under_way.append(call)
                self._watch()
                await connection.send_packed_command([pack_command(call.command())], check_health=False)  # type: ignore[arg-type]  # of any length
                _heed_cancellation()
            self._work.clear()

    def _next(self) -> _Call | None:
        """What is to be sent now: the oldest request, and those of its kind that stand behind it."""
        if self._again:
            return self._again.popleft()
        together: list[_Request] = []
        while self._queue and len(together) < MOST_TOGETHER:
            if together and self._queue[0].kind is not together[0].kind:
                break
            together.append(self._queue.popleft())
        return _Call(together) if together else None

    async def _read(self, connection: Connection) -> None:
        """Hand every outcome to whoever waits for it. An idle connection is read too, so that its end is noticed."""
        async with asyncio.timeout(None) as self._patience:
            self._watch()
            while True:
                try:
                    reply = await connection.read_response(timeout=math.inf)
                except ResponseError as refused:
                    reply = refused
                _heed_cancellation()
                call = self._under_way.popleft()
                self._watch()
                self._work.set()
                if isinstance(reply, NoScriptError) and not call.whole:
                    # Redis has not seen the script since it started: nothing was done
                    self._again.append(_Call(call.requests, whole=True))
                else:
                    _tell(call.requests, reply)

    def _watch(self) -> None:
        """Wait for the oldest call for no longer than the first of its requests may wait."""
        if self._patience is not None:
            self._patience.reschedule(self._under_way[0].requests[0].until if self._under_way else None)

    def _broke(self, why: str, *, connected: bool) -> None:
        """The connection is gone: what was under way is asked for once more; what has been already, or waits for too long, is given up."""
        now = asyncio.get_running_loop().time()
        broken_off = self._broken_off()
        if not connected:
            # nobody is asked to wait for a Redis that is not there
            self._give_up([*broken_off, *self._queue], why)
            self._queue.clear()
            return
        self._give_up([one for one in broken_off if one.tried or one.until <= now], why)
        again = [one for one in broken_off if not one.outcome.done()]
        self._queue.extendleft(reversed(again))
        for one in again:
            one.tried = True
        if self._queue:
            self._work.set()

    def _broken_off(self) -> Sequence[_Request]:
        """Take back what was under way."""
        found = [one for call in (*self._under_way, *self._again) for one in call.requests]
        self._under_way.clear()
        self._again.clear()
        self._patience = None
        self._work.clear()
        return found

    def _give_up(self, requests: Sequence[_Request], why: str) -> None:
        for one in requests:
            one.refused(why)


def _heed_cancellation() -> None:
    """Stop where this task was told to: redis-py may take a cancellation for the end of its own waiting (8.1, seen in a send)."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _tell(requests: Sequence[_Request], reply: object) -> None:
    """Give each request its own outcome: a number where it is kept, else why not."""
    outcomes: Iterable[object] = repeat(reply)
    if isinstance(reply, list) and len(reply) == len(requests):
        outcomes = reply
    for request, outcome in zip(requests, outcomes, strict=False):
        if isinstance(outcome, int):
            request.kept()
        else:
            request.refused(outcome.decode() if isinstance(outcome, bytes) else type(outcome).__name__)
