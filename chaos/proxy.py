"""A proxy between a process and one of its services that can inject faults at one exact request.

The proxy calls `observe` twice for each request: before it forwards the request, and again when the answer has arrived
but is not yet forwarded. A connection can so be cut, or a process killed, at exactly one request, before or after the
request took effect.

The proxy can also refuse all connections for a while, or fall silent like a network that drops packets.

HTTP is handled message by message. Redis replies are not parsed: an exchange is what the client wrote in one go, and
the first bytes that came back.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

CHUNK: Final = 65_536
#: A cut expires if no request has met it by then. It would otherwise strike an unrelated request much later.
CUT_GOOD_FOR_SECONDS: Final = 10.0


class When(StrEnum):
    """The moments of an exchange at which a fault can be injected."""

    #: The request has arrived at the proxy; the service has not seen it yet.
    BEFORE = "before"
    #: The request took effect; the answer is here and not yet forwarded.
    AFTER = "after"
    #: The service closed the connection instead of answering.
    LOST = "lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """A request, and its answer once it has arrived."""

    service: str
    when: When
    request: bytes
    answer: bytes = b""


class Cut:
    """The result of `observe` that closes the connection here."""


CUT: Final = Cut()
#: What to do to an exchange: nothing (None), close the connection, or answer in the service's place (bytes).
Reaction = Cut | bytes | None


@dataclass(frozen=True, slots=True)
class _Due:
    """A requested cut: the moment at which it strikes, and a callback that is called then."""

    when: When
    struck: Callable[[Exchange], None]


class CuttingProxy:
    """One proxy in front of `service` at `target` (host, port), in its own thread.

    `port` is the proxy's own port once it runs. `observe` is called in that thread, for one exchange at a time.
    """

    def __init__(
        self,
        service: str,
        target: tuple[str, int],
        *,
        http: bool,
        observe: Callable[[Exchange], Reaction] = lambda _: None,
    ) -> None:
        self.service = service
        self.port = 0
        self._target = target
        self._http = http
        self._observe = observe
        self._lock = threading.Lock()
        self._cuts: list[tuple[float, int, _Due]] = []
        self._away_until = 0.0
        self._alive: set[_Connection] = set()
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._connections: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._run, name=f"proxy-{service}", daemon=True)

    def start(self) -> None:
        """Start to listen; return when `port` is known."""
        self._thread.start()
        self._ready.wait(10)

    def stop(self) -> None:
        """Stop, and close every connection."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def cut(self, nth: int, when: When, struck: Callable[[Exchange], None] = lambda _: None) -> None:
        """Cut at the `nth` request from now, and call `struck` with the exchange."""
        with self._lock:
            self._cuts.append((time.monotonic() + CUT_GOOD_FOR_SECONDS, nth, _Due(when, struck)))

    def away(self, seconds: float) -> None:
        """Refuse new connections for a while, and close the existing ones."""
        with self._lock:
            self._away_until = time.monotonic() + seconds
        self._loop.call_soon_threadsafe(self._hang_up)

    def fall_silent(self) -> None:
        """Drop all bytes on the existing connections, but leave them open. New connections work."""
        self._loop.call_soon_threadsafe(self._silence)

    def _silence(self) -> None:
        for connection in self._alive:
            connection.silent = True

    def heal(self) -> None:
        """Cancel every cut and every outage."""
        with self._lock:
            self._cuts.clear()
            self._away_until = 0.0

    def _hang_up(self) -> None:
        for task in self._connections:
            task.cancel()

    def count(self) -> _Due | None:
        """Count one request, and return the cut that is due at it."""
        with self._lock:
            now = time.monotonic()
            pending = [(until, nth - 1, due) for until, nth, due in self._cuts if until > now]
            self._cuts = [cut for cut in pending if cut[1] > 0]
        return next((due for _, nth, due in pending if nth <= 0), None)

    def ask(self, exchange: Exchange, due: _Due | None) -> Reaction:
        """Decide what to do at this moment of an exchange. `observe` takes precedence over a due cut."""
        reaction = self._observe(exchange)
        if reaction is None and due is not None and due.when is exchange.when:
            due.struck(exchange)
            return CUT
        return reaction

    def _is_away(self) -> bool:
        with self._lock:
            return time.monotonic() < self._away_until

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._accept, "127.0.0.1", 0, limit=2**20))
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        server.close()
        self._hang_up()
        self._loop.run_until_complete(asyncio.gather(*self._connections, return_exceptions=True))
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            if not self._is_away():
                await self._carry(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError, asyncio.LimitOverrunError):
            pass  # either side closed the connection, or the proxy cancelled it
        finally:
            self._connections.discard(task)
            writer.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(*self._target, limit=2**20)
        connection = _Connection(self, reader, writer, there, back)
        self._alive.add(connection)
        try:
            await (connection.carry_http() if self._http else connection.carry_bytes())
        finally:
            self._alive.discard(connection)
            back.transport.abort()


class _Connection:
    """One connection through the proxy."""

    def __init__(
        self,
        proxy: CuttingProxy,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        there: asyncio.StreamReader,
        back: asyncio.StreamWriter,
    ) -> None:
        self._proxy = proxy
        self._reader, self._writer, self._there, self._back = reader, writer, there, back
        self.silent = False
        #: Redis only: the exchange that waits for its answer, with the cut that is due at it.
        self._pending: tuple[Exchange, _Due | None] | None = None

    async def carry_http(self) -> None:
        """Forward HTTP requests and their answers, one after the other."""
        while True:
            request = await _message(self._reader)
            await self._if_silent_for_ever()
            due = self._proxy.count()
            exchange = Exchange(service=self._proxy.service, when=When.BEFORE, request=request)
            reaction = self._proxy.ask(exchange, due)
            if isinstance(reaction, Cut):
                return
            if isinstance(reaction, bytes):
                self._writer.write(reaction)
                await self._writer.drain()
                continue
            self._back.write(request)
            await self._back.drain()
            try:
                answer = await _message(self._there)
            except (OSError, asyncio.IncompleteReadError):
                self._proxy.ask(replace(exchange, when=When.LOST), None)
                raise
            await self._if_silent_for_ever()
            if isinstance(self._proxy.ask(replace(exchange, when=When.AFTER, answer=answer), due), Cut):
                return
            self._writer.write(answer)
            await self._writer.drain()

    async def carry_bytes(self) -> None:
        """Forward bytes. An exchange is one chunk from the client and the first chunk that comes back."""
        answers = asyncio.ensure_future(self._pump())
        try:
            while chunk := await self._reader.read(CHUNK):
                await self._if_silent_for_ever()
                due = self._proxy.count()
                exchange = Exchange(service=self._proxy.service, when=When.BEFORE, request=chunk)
                if isinstance(self._proxy.ask(exchange, due), Cut):
                    return
                self._pending = exchange, due
                self._back.write(chunk)
                await self._back.drain()
                if answers.done():
                    return
        finally:
            answers.cancel()

    async def _pump(self) -> None:
        while chunk := await self._there.read(CHUNK):
            await self._if_silent_for_ever()
            pending, self._pending = self._pending, None
            if pending is not None:
                exchange, due = pending
                if isinstance(self._proxy.ask(replace(exchange, when=When.AFTER, answer=chunk), due), Cut):
                    self._writer.transport.abort()
                    return
            self._writer.write(chunk)
            await self._writer.drain()
        self._writer.transport.abort()

    async def _if_silent_for_ever(self) -> None:
        if self.silent:
            await asyncio.Event().wait()


async def _message(reader: asyncio.StreamReader) -> bytes:
    """Read one HTTP message and, by its content length, its body."""
    head = await reader.readuntil(b"\r\n\r\n")
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            return head + await reader.readexactly(int(value))
    return head
