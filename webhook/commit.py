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

from inbox.arrivals import Entry
from webhook.errors import DoorClosed

#: Twilio waits 15 s in all and retries once; a Redis that has not confirmed in four will not be waited for.
KEEP_SECONDS: Final = 4.0
#: Entries in one call: Redis is busy with so many for a few milliseconds, and others wait for it meanwhile.
MOST_TOGETHER: Final = 128
#: Calls under way: Redis works on one while the next is put together.
IN_FLIGHT: Final = 2
#: A new connection is given at least so long; whoever cannot wait for it that long any more is given up first.
CONNECT_SECONDS_LEAST: Final = 0.5
#: Requests that wait at once, more than a second's worth at full speed; beyond it Twilio is told at once to come again.
MOST_WAITING: Final = 10_000
#: What a Redis says that is not the one to write to, or not yet: it is looked for again, by its address.
_ELSEWHERE: Final = ("READONLY", "MASTERDOWN", "LOADING", "NOAUTH")


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

    def packed(self) -> bytes:
        kind = self.requests[0].kind
        keys, args = kind.call([one.entry for one in self.requests])
        verb = ("EVAL", kind.source) if self.whole else ("EVALSHA", kind.digest)
        return bytes(pack_command((*verb, len(keys), *keys, *args)))


class _Line(asyncio.Protocol):
    """A connection to Redis on which calls are answered one after the other.

    redis-py connects and logs in; what it does for a call and its answer (two tasks, two timers, a lock) costs more than Redis takes for the call.
    """

    def __init__(self, heard: Callable[[object], None], ended: Callable[[str], None]) -> None:
        self._heard, self._ended = heard, ended
        self._reader = Reader()
        self._transport: asyncio.Transport
        #: Answers that nobody waits for.
        self._idle = 0

    # Any: redis-py's own, which has its transport behind a private name
    def take(self, connection: Any, scripts: Iterable[bytes]) -> None:
        """Everything that comes from now on is read here; Redis is told the scripts. Raises `ConnectionError` where it has hung up already."""
        self._transport = connection._writer.transport  # noqa: SLF001 - there is no public one; a test tells when it moves
        self._transport.set_protocol(self)
        if self._transport.is_closing() or connection._reader.at_eof():  # noqa: SLF001 - the same
            raise ConnectionError
        for script in scripts:
            self._idle += 1
            self._transport.write(pack_command(("SCRIPT", "LOAD", script)))  # type: ignore[arg-type]  # of any length

    def call(self, command: bytes) -> None:
        """Send a command. No more than two of them are ever unanswered, so nobody waits for room."""
        self._transport.write(command)

    def data_received(self, data: bytes) -> None:
        """Read what is whole."""
        try:
            self._reader.feed(data)
            while (reply := self._reader.gets()) is not False:
                if isinstance(reply, PushNotification):
                    # Redis may tell something that nobody asked for
                    continue
                if self._idle:
                    self._idle -= 1
                else:
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
    """Makes entries durable, many in a round trip; it connects when it is first needed. For one event loop at a time: `close` ends with it.

    `kinds`: all that will ever be kept. Their scripts are told to Redis with each connection, so that none is refused while its neighbours pass.
    """

    def __init__(self, connection: Callable[[], Connection], kinds: Sequence[Kind]) -> None:
        self._connection = connection
        self._scripts = tuple(kind.source for kind in kinds)
        self._queue: deque[_Request] = deque()
        self._again: deque[_Call] = deque()
        self._under_way: deque[_Call] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._closed = False
        #: Somebody waits and there is no connection.
        self._wanted: asyncio.Event
        self._line: _Line | None = None
        self._send_is_due = False
        self._timer: asyncio.TimerHandle | None = None

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
        self._loop, self._closed, self._send_is_due = asyncio.get_running_loop(), False, False
        self._wanted = asyncio.Event()
        self._task = self._loop.create_task(self._serve(self._loop))
        return self._loop

    async def close(self) -> None:
        """Let go of the connection. What still waits is given up."""
        self._closed = True
        try:
            if self._task is not None:
                self._task.cancel()
                await asyncio.wait([self._task])
        finally:
            self._task = self._loop = None
            self._give_up_all("closed")

    # The connection

    async def _serve(self, loop: asyncio.AbstractEventLoop) -> None:
        """Connect, and serve until the connection breaks; again and again."""
        # redis-py may take a cancellation for the end of its own waiting (8.1, seen in a send): whether to go on is looked up
        while not self._is_closed():
            await self._wanted.wait()
            self._wanted.clear()
            self._expire(loop.time() + CONNECT_SECONDS_LEAST)
            if not self._queue:
                continue
            connection = None
            try:
                connection = self._connection()
                async with asyncio.timeout_at(self._queue[0].until):
                    await connection.connect()
                if self._is_closed():
                    return
                broken = self._taken(connection, loop)
            except Exception as exc:  # noqa: BLE001 - whatever it was, nobody must be left waiting
                # nobody is asked to wait for a Redis that is not there
                self._give_up_all(type(exc).__name__)
            else:
                self._ask_again(await broken)
            finally:
                self._line = None
                if connection is not None:
                    with suppress(Exception):
                        await connection.disconnect(nowait=True)

    def _is_closed(self) -> bool:
        # a type checker takes what was looked up before a wait to hold behind it
        return self._closed

    def _taken(self, connection: Connection, loop: asyncio.AbstractEventLoop) -> asyncio.Future[str]:
        """Send and hear on this connection from now on; done when it breaks, with the reason."""
        broken: asyncio.Future[str] = loop.create_future()

        def ended(why: str) -> None:
            if not broken.done():
                broken.set_result(why)

        line = _Line(self._heard, ended)
        line.take(connection, self._scripts)
        self._line = line
        self._send_soon(loop)
        return broken

    # Calls and their answers

    def _send_soon(self, loop: asyncio.AbstractEventLoop) -> None:
        """What gathers until the loop's turn is over goes together."""
        if not self._send_is_due:
            self._send_is_due = True
            loop.call_soon(self._send, loop)

    def _send(self, loop: asyncio.AbstractEventLoop) -> None:
        """Send what waits, as long as no more than `IN_FLIGHT` calls are under way."""
        self._send_is_due = False
        if self._line is None:
            self._wanted.set()
            return
        while len(self._under_way) < IN_FLIGHT and (call := self._next()):
            try:
                packed = call.packed()
            except Exception as exc:  # noqa: BLE001 - an entry that cannot be sent keeps nobody waiting but those with it
                self._give_up(call.requests, type(exc).__name__)
            else:
                self._under_way.append(call)
                self._line.call(packed)
        if self._timer is None and self._under_way:
            self._timer = loop.call_at(self._under_way[0].requests[0].until, self._look_at_the_oldest, loop)

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
            # Redis has lost the script since: nothing was done
            self._again.append(_Call(call.requests, whole=True))
        else:
            refusals = _tell(call.requests, reply)
            if self._line is not None and any(why.startswith(_ELSEWHERE) for why in refusals):
                self._line.end("elsewhere")
                return
        if (self._queue or self._again) and self._loop is not None:
            self._send_soon(self._loop)

    def _look_at_the_oldest(self, loop: asyncio.AbstractEventLoop) -> None:
        """Wait for the oldest call for no longer than the first of its requests may wait."""
        self._timer = None
        if not self._under_way:
            return
        until = self._under_way[0].requests[0].until
        if until > loop.time():
            self._timer = loop.call_at(until, self._look_at_the_oldest, loop)
        elif self._line is not None:
            self._line.end(TimeoutError.__name__)

    def _ask_again(self, why: str) -> None:
        """The connection is gone: what was under way is asked for once more; what has been already, or waits for too long, is given up."""
        taken_back = self._taken_back()
        self._give_up([one for one in taken_back if one.tried], why)
        again = [one for one in taken_back if not one.outcome.done()]
        for one in again:
            one.tried = True
        self._queue.extendleft(reversed(again))
        if self._queue:
            self._wanted.set()

    def _expire(self, when: float) -> None:
        """Give up whoever cannot wait longer than until then. The queue is in the order of arrival."""
        while self._queue and self._queue[0].until <= when:
            self._queue.popleft().refused(TimeoutError.__name__)

    def _taken_back(self) -> Sequence[_Request]:
        """What was under way, in the order in which it came."""
        found = [one for call in (*self._under_way, *self._again) for one in call.requests]
        found.sort(key=attrgetter("until"))
        self._under_way.clear()
        self._again.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        return found

    def _give_up_all(self, why: str) -> None:
        self._give_up([*self._taken_back(), *self._queue], why)
        self._queue.clear()

    def _give_up(self, requests: Sequence[_Request], why: str) -> None:
        for one in requests:
            one.refused(why)


def _tell(requests: Sequence[_Request], reply: object) -> Sequence[str]:
    """Give each request its own outcome: a number where it is kept, else why not. Returns the refusals."""
    outcomes: Iterable[object] = repeat(reply if isinstance(reply, ReplyError) else "an answer that makes no sense")
    if isinstance(reply, list) and len(reply) == len(requests):
        outcomes = reply
    refusals: list[str] = []
    for request, outcome in zip(requests, outcomes, strict=False):
        if type(outcome) is int:
            request.kept()
        else:
            why = outcome.decode(errors="replace") if isinstance(outcome, bytes) else str(outcome)
            request.refused(why)
            refusals.append(why)
    return refusals
