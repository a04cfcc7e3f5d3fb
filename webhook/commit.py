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
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import repeat
from operator import attrgetter
from typing import Any, Final, Protocol

from hiredis import HiredisError, PushNotification, Reader, ReplyError, pack_command

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


class _Line(asyncio.Protocol):
    """A connection to Redis on which calls are answered one after the other.

    redis-py connects and logs in; what it does for a call and its answer (two tasks, two timers, a lock) costs more than Redis takes for the call.
    """

    def __init__(self, heard: Callable[[object], None], ended: Callable[[str], None]) -> None:
        self._heard, self._ended = heard, ended
        self._reader = Reader()
        self._transport: asyncio.Transport

    def take(self, connection: Any) -> None:  # Any: redis-py's own, which has its transport behind a private name
        """Everything that comes from now on is read here."""
        self._transport = connection._writer.transport  # noqa: SLF001 - there is no public one; a test tells when it moves
        self._transport.set_protocol(self)
        if self._transport.is_closing():
            # it hung up before anybody listened here
            self._ended(ConnectionError.__name__)

    def call(self, command: tuple[bytes | str | int, ...]) -> None:
        """Send a command. No more than two of them are ever unanswered, so nobody waits for room."""
        self._transport.write(pack_command(command))  # type: ignore[arg-type]  # of any length

    def data_received(self, data: bytes) -> None:
        """Read what is whole."""
        try:
            self._reader.feed(data)
            while (reply := self._reader.gets()) is not False:
                # Redis may tell something that nobody asked for
                if not isinstance(reply, PushNotification):
                    self._heard(reply)
        except (HiredisError, IndexError) as exc:
            # not the protocol, or an answer to nothing
            self.end(type(exc).__name__)

    def end(self, why: str) -> None:
        """Hang up."""
        self._transport.abort()
        self._ended(why)

    def connection_lost(self, exc: Exception | None) -> None:
        """It hung up."""
        self._ended(type(exc or ConnectionError()).__name__)


class GroupCommit:
    """Makes entries durable, many in a round trip. For one event loop; it connects when it is first needed."""

    def __init__(self, connection: Callable[[], Connection]) -> None:
        self._connection = connection
        self._queue: deque[_Request] = deque()
        self._again: deque[_Call] = deque()
        self._under_way: deque[_Call] = deque()
        self._closed = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._wanted = asyncio.Event()
        self._line: _Line | None = None
        self._sends = False
        self._patience: asyncio.TimerHandle | None = None

    def keep(self, kind: Kind, entry: Entry) -> asyncio.Future[None]:
        """Done once Redis has confirmed this entry; `DoorClosed` where it did not."""
        loop = self._loop or self._begin()
        mine = _Request(kind, entry, loop.create_future(), loop.time() + KEEP_SECONDS)
        if len(self._queue) < MOST_WAITING:
            self._queue.append(mine)
            self._send_soon(loop)
        else:
            mine.refused("too many are waiting")
        return mine.outcome

    def _begin(self) -> asyncio.AbstractEventLoop:
        self._loop, self._closed = asyncio.get_running_loop(), False
        self._task = self._loop.create_task(self._serve(self._loop))
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

    async def _serve(self, loop: asyncio.AbstractEventLoop) -> None:
        """Connect, and serve until the connection breaks; again and again."""
        # redis-py may take a cancellation for the end of its own waiting (8.1, seen in a send): whether to go on is looked up
        while not self._closed:
            await self._wanted.wait()
            self._wanted.clear()
            connection, connected = self._connection(), False
            try:
                async with asyncio.timeout(KEEP_SECONDS):
                    await connection.connect()
                connected = True
                if not self._closed:
                    self._broke(await self._served(connection, loop), connected=True)
            except Exception as broken:  # noqa: BLE001 - whatever it was, nobody must be left waiting
                self._broke(type(broken).__name__, connected=connected)
            finally:
                self._line = None
                with suppress(Exception):
                    await connection.disconnect(nowait=True)

    async def _served(self, connection: Connection, loop: asyncio.AbstractEventLoop) -> str:
        """Send and hear on this connection until it breaks; why it did."""
        broken: asyncio.Future[str] = loop.create_future()

        def ended(why: str) -> None:
            if not broken.done():
                broken.set_result(why)

        self._line = _Line(self._heard, ended)
        self._line.take(connection)
        self._send_soon(loop)
        return await broken

    def _send_soon(self, loop: asyncio.AbstractEventLoop) -> None:
        """What gathers until the loop's turn is over goes together."""
        if not self._sends:
            self._sends = True
            loop.call_soon(self._send, loop)

    def _send(self, loop: asyncio.AbstractEventLoop) -> None:
        """Send what waits, as long as no more than `IN_FLIGHT` calls are under way."""
        self._sends = False
        if self._line is None:
            self._wanted.set()
            return
        try:
            while len(self._under_way) < IN_FLIGHT and (call := self._next()):
                self._under_way.append(call)
                self._line.call(call.command())
        except Exception as exc:  # noqa: BLE001 - as above
            self._line.end(type(exc).__name__)
        if self._patience is None and self._under_way:
            self._patience = loop.call_at(self._under_way[0].requests[0].until, self._look, loop)

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

    def _heard(self, reply: object) -> None:
        """Hand every outcome to whoever waits for it."""
        call = self._under_way.popleft()
        if isinstance(reply, ReplyError) and str(reply).startswith("NOSCRIPT") and not call.whole:
            # Redis has not seen the script since it started: nothing was done
            self._again.append(_Call(call.requests, whole=True))
        else:
            _tell(call.requests, reply)
        if (self._queue or self._again) and self._loop is not None:
            self._send_soon(self._loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """Wait for the oldest call for no longer than the first of its requests may wait."""
        self._patience = None
        if not self._under_way:
            return
        until = self._under_way[0].requests[0].until
        if until > loop.time():
            self._patience = loop.call_at(until, self._look, loop)
        elif self._line is not None:
            self._line.end(TimeoutError.__name__)

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
            self._wanted.set()

    def _broken_off(self) -> Sequence[_Request]:
        """Take back what was under way, in the order in which it came."""
        found = [one for call in (*self._under_way, *self._again) for one in call.requests]
        found.sort(key=attrgetter("until"))
        self._under_way.clear()
        self._again.clear()
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
        return found

    def _give_up(self, requests: Sequence[_Request], why: str) -> None:
        for one in requests:
            one.refused(why)


def _tell(requests: Sequence[_Request], reply: object) -> None:
    """Give each request its own outcome: a number where it is kept, else why not."""
    outcomes: Iterable[object] = repeat(reply if isinstance(reply, ReplyError) else "an answer that makes no sense")
    if isinstance(reply, list) and len(reply) == len(requests):
        outcomes = reply
    for request, outcome in zip(requests, outcomes, strict=False):
        if isinstance(outcome, int):
            request.kept()
        else:
            request.refused(outcome.decode(errors="replace") if isinstance(outcome, bytes) else str(outcome))
