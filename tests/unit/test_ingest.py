"""Group commit against a Redis that answers, breaks and keeps silent as a test wants."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import pytest
from hiredis import Reader

from tests.builders import a_text
from tests.conftest import SLOWER
from webhook import ingest
from webhook.ingest import Ingest, NotStored

#: Longer than anything that a test does not wait for.
PATIENCE_SECONDS = 10.0


class ScriptedRedis:
    """A server on a socket that answers each script call with what the test says."""

    def __init__(self) -> None:
        self.connections = 0
        self.calls: list[Sequence[bytes]] = []
        self.silent = self.hangs_up = False
        #: Says the same to each script call.
        self.answer = b""
        self.writers: list[asyncio.StreamWriter] = []
        self.changed = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.writers.append(writer)
        self.changed.set()
        commands = Reader()
        while data := await reader.read(65_536):
            commands.feed(data)
            while (command := commands.gets()) is not False:
                if command[0] == b"EVALSHA":
                    self.calls.append(command)
                    self.changed.set()
                    if self.hangs_up:
                        writer.close()
                    elif self.answer:
                        writer.write(self.answer)
                elif not self.silent:
                    writer.write(b"+OK\r\n")
        writer.close()

    async def call(self, number: int) -> Sequence[bytes]:
        """Wait for a script call, counted from 1."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(self.calls) < number:
                self.changed.clear()
                await self.changed.wait()
        return self.calls[number - 1]

    def say(self, answer: bytes) -> None:
        self.writers[-1].write(answer)

    def confirm(self, number: int = 1) -> None:
        self.say(b"*%d\r\n" % number + b":1\r\n" * number)


def with_redis(do: Callable[[ScriptedRedis, Ingest], Awaitable[None]], *, seconds: float = PATIENCE_SECONDS) -> None:
    async def run() -> None:
        server = ScriptedRedis()
        async with await asyncio.start_server(server.serve, "127.0.0.1", 0) as listening:
            port = listening.sockets[0].getsockname()[1]
            entrance = Ingest(ingest.connect(f"redis://127.0.0.1:{port}/0?protocol=2"), who_key=b"k", seconds=seconds)
            try:
                await do(server, entrance)
            finally:
                await entrance.close()
                for writer in server.writers:
                    writer.close()
                await asyncio.sleep(0)

    asyncio.run(run())


def stored(entrance: Ingest, body: str = "hello") -> asyncio.Task[None]:
    return asyncio.create_task(entrance.accept(a_text(body)))


async def refused(waiting: asyncio.Task[None], reason: str | None = None) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        with pytest.raises(NotStored, match=reason):
            await waiting


def test_what_arrives_during_a_call_goes_together_in_the_next() -> None:
    async def three(server: ScriptedRedis, entrance: Ingest) -> None:
        first = stored(entrance, "first")
        await server.call(1)
        others = [stored(entrance, "second"), stored(entrance, "third")]
        await asyncio.sleep(0.05)
        assert len(server.calls) == 1

        server.confirm()
        await first
        call = b" ".join(await server.call(2))
        assert call.index(b"second") < call.index(b"third")
        assert not any(other.done() for other in others)

        server.confirm(2)
        await asyncio.gather(*others)

    with_redis(three)


@pytest.mark.parametrize(
    "answer",
    [
        b":1\r\n",
        b"*2\r\n:1\r\n:1\r\n",
        b"*0\r\n",
        b"+OK\r\n",
        b"*1\r\n$1\r\n1\r\n",
        b"$-1\r\n",
        b"*1\r\n$1\r\n\xff\r\n",
    ],
)
def test_only_a_number_of_its_own_says_that_a_text_is_stored(answer: bytes) -> None:
    async def answer_so(server: ScriptedRedis, entrance: Ingest) -> None:
        waiting = stored(entrance)
        await server.call(1)
        server.say(answer)
        await refused(waiting)

    with_redis(answer_so)


@pytest.mark.parametrize(
    "answer",
    [
        b"*1\r\n$8\r\nREADONLY\r\n",
        b"-READONLY you cannot write against a replica\r\n",
        b"-LOADING a moment\r\n",
        b"-OOM out of memory\r\n",
        b"-MASTERDOWN\r\n",
    ],
)
def test_after_a_refusal_the_next_text_goes_over_a_new_connection(answer: bytes) -> None:
    async def fail_over(server: ScriptedRedis, entrance: Ingest) -> None:
        server.answer = answer
        await refused(stored(entrance))
        server.answer = b""
        calls, connections = len(server.calls), server.connections

        text = stored(entrance)
        await server.call(calls + 1)
        assert server.connections == connections + 1
        server.confirm()
        await text

    with_redis(fail_over)


def test_a_text_that_cannot_be_encoded_spoils_no_other() -> None:
    async def three(server: ScriptedRedis, entrance: Ingest) -> None:
        good = [stored(entrance)]
        bad = stored(entrance, "\ud800")
        good.append(stored(entrance))
        await server.call(1)
        server.confirm(2)
        await asyncio.gather(*good)
        with pytest.raises(UnicodeEncodeError):
            await bad

    with_redis(three)


@pytest.mark.parametrize("silent", [False, True], ids=["a silent call", "a silent connection"])
def test_no_text_waits_longer_than_allowed(*, silent: bool) -> None:
    async def fall_silent(server: ScriptedRedis, entrance: Ingest) -> None:
        loop = asyncio.get_running_loop()
        server.silent, started_at = silent, loop.time()
        first = stored(entrance)
        await asyncio.sleep(0.25)
        second = stored(entrance)
        await refused(first, "in time")
        assert loop.time() - started_at < 0.7 * SLOWER
        await refused(second, "in time")
        assert loop.time() - started_at < 1.0 * SLOWER

        server.silent = False
        calls, third = len(server.calls), stored(entrance)
        await server.call(calls + 1)
        server.confirm()
        await third

    with_redis(fall_silent, seconds=0.4)


def test_a_redis_that_is_away_refuses_at_once_and_is_found_again() -> None:
    async def go_away(server: ScriptedRedis, entrance: Ingest) -> None:
        server.hangs_up = True
        texts = [stored(entrance, str(number)) for number in range(300)]
        for text in texts:
            await refused(text, "ConnectionError")
        assert server.connections < 20

        server.hangs_up = False
        calls, text = len(server.calls), stored(entrance)
        await server.call(calls + 1)
        server.confirm()
        await text

    with_redis(go_away)


def test_a_text_that_waits_at_the_close_is_refused() -> None:
    async def close_early(server: ScriptedRedis, entrance: Ingest) -> None:
        under_way = stored(entrance)
        await server.call(1)
        queued = stored(entrance)
        await asyncio.sleep(0)
        await entrance.close()
        await refused(under_way, "closed")
        await refused(queued, "closed")

    with_redis(close_early)


def test_a_look_that_fails_after_its_callers_left_logs_no_error() -> None:
    """A line of level error is an alarm, and they were told already."""
    said: list[str] = []

    async def look(server: ScriptedRedis, entrance: Ingest) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: said.append(context["message"]))
        connected = stored(entrance)
        await server.call(1)
        server.confirm()
        await connected
        server.silent = True
        before = asyncio.all_tasks()
        with pytest.raises(NotStored, match="TimeoutError"):
            await entrance.state()

        server.say(b"-ERR not now\r\n" * 9)  # one for each command of a look, and more
        looks = {task for task in asyncio.all_tasks() - before if "read_state" in repr(task)}
        assert looks
        await asyncio.wait(looks)

    with_redis(look, seconds=0.5)
    gc.collect()

    assert said == []


def test_a_client_that_leaves_takes_no_other_text_along() -> None:
    async def leave(server: ScriptedRedis, entrance: Ingest) -> None:
        gone, stays = stored(entrance), stored(entrance)
        await server.call(1)
        gone.cancel()
        with suppress(asyncio.CancelledError):
            await gone
        server.confirm(2)
        await stays

    with_redis(leave)
