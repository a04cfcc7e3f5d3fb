"""A proxy that cuts: it stands between a worker and one of its services and ends a connection at exactly the request that it is told to.

A cut is `before` (the request never reaches the service) or `after` (it took effect, and its answer is lost). The proxy can also turn
everybody away for a while. HTTP is cut at requests; Redis, whose commands this does not read, at what was written in one go and the answer to it.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Literal

When = Literal["before", "after"]
CHUNK: Final = 65_536
#: A cut that no request has met by then is forgotten: it would strike somebody much later.
CUT_GOOD_FOR_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """What was cut, and when."""

    at: float
    service: str
    when: When


class CuttingProxy:
    """One proxy, in front of `service` at `target` (host, port), in a thread of its own. `port` is its own once it runs."""

    def __init__(self, service: str, target: tuple[str, int], *, http: bool, struck: Callable[[Cut], None]) -> None:
        self.service = service
        self.port = 0
        self._target = target
        self._http = http
        self._struck = struck
        self._lock = threading.Lock()
        self._cuts: list[tuple[float, int, When]] = []
        self._away_until = 0.0
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._connections: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._run, name=f"proxy-{service}", daemon=True)

    def start(self) -> None:
        """Listen."""
        self._thread.start()
        self._ready.wait(10)

    def stop(self) -> None:
        """Stop, and let go of every connection."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def cut(self, nth: int, when: When) -> None:
        """Cut at the `nth` request from now."""
        with self._lock:
            self._cuts.append((time.monotonic() + CUT_GOOD_FOR_SECONDS, nth, when))

    def away(self, seconds: float) -> None:
        """Turn everybody away for a while, those who are connected as well."""
        with self._lock:
            self._away_until = time.monotonic() + seconds
        self._loop.call_soon_threadsafe(self._hang_up)

    def heal(self) -> None:
        """Behave."""
        with self._lock:
            self._cuts.clear()
            self._away_until = 0.0

    def _hang_up(self) -> None:
        for task in self._connections:
            task.cancel()

    def _due(self) -> When | None:
        """Count one request; whether it is the one."""
        with self._lock:
            now = time.monotonic()
            left = [(until, nth - 1, when) for until, nth, when in self._cuts if until > now]
            due = next((when for _, nth, when in left if nth <= 0), None)
            self._cuts = [cut for cut in left if cut[1] > 0]
        if due is not None:
            self._struck(Cut(at=time.time(), service=self.service, when=due))
        return due

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
            pass  # either side left, or was told to
        finally:
            self._connections.discard(task)
            writer.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(*self._target, limit=2**20)
        try:
            if self._http:
                await self._carry_http(reader, writer, there, back)
            else:
                await self._carry_bytes(reader, writer, there, back)
        finally:
            back.transport.abort()

    async def _carry_http(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        there: asyncio.StreamReader,
        back: asyncio.StreamWriter,
    ) -> None:
        while True:
            request = await _message(reader)
            due = self._due()
            if due == "before":
                return
            back.write(request)
            await back.drain()
            answer = await _message(there)
            if due == "after":
                return
            writer.write(answer)
            await writer.drain()

    async def _carry_bytes(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        there: asyncio.StreamReader,
        back: asyncio.StreamWriter,
    ) -> None:
        lost = asyncio.Event()
        answers = asyncio.ensure_future(_pump(there, writer, lost))
        try:
            while chunk := await reader.read(CHUNK):
                due = self._due()
                if due == "before":
                    return
                if due == "after":
                    lost.set()
                back.write(chunk)
                await back.drain()
                if due == "after":
                    with suppress(TimeoutError):
                        async with asyncio.timeout(1):
                            await answers
                    return
        finally:
            answers.cancel()


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter, lost: asyncio.Event) -> None:
    while chunk := await source.read(CHUNK):
        if lost.is_set():
            return
        sink.write(chunk)
        await sink.drain()


async def _message(reader: asyncio.StreamReader) -> bytes:
    """One HTTP message with its body, by its content length."""
    head = await reader.readuntil(b"\r\n\r\n")
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            return head + await reader.readexactly(int(value))
    return head
