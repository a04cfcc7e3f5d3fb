"""Group commit against a Redis that answers, breaks and keeps silent as a test wants it to: nobody is left waiting, and the order is kept."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hiredis import Reader
from webhook.commit import GroupCommit, Kind
from webhook.errors import DoorClosed

from webhook import commit

KIND = Kind(b"a script", lambda entries: ((), [name for _, names in entries for name in names]))


class Wire(asyncio.Transport):
    """What lies between: it keeps what is asked, and says what it is told to."""

    def __init__(self, changed: asyncio.Event) -> None:
        super().__init__()
        self._changed = changed
        self.asked: list[tuple[str, ...]] = []
        self.scripts: list[bytes] = []
        self.closing = False
        self._reader = Reader()
        self._protocol: Any = None

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol

    def is_closing(self) -> bool:
        return self.closing

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._reader.feed(bytes(data))
        while (command := self._reader.gets()) is not False:
            if command[0] == b"SCRIPT":
                self.scripts.append(command[2])
                asyncio.get_running_loop().call_soon(self.say, b"+loaded\r\n")
            else:
                self.asked.append((command[0].decode(), *(name.decode() for name in command[3:])))
                self._changed.set()

    def say(self, data: bytes) -> None:
        if not self.closing:
            self._protocol.data_received(data)

    def keep(self, number: int = 1) -> None:
        self.say(b"*%d\r\n" % number + b":1\r\n" * number)

    def hang_up(self) -> None:
        self.closing = True
        self._protocol.connection_lost(None)

    def abort(self) -> None:
        self.closing = True


class Connection:
    """A connection as redis-py has one."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._writer, self._reader = self, self
        self.transport = Wire(redis.changed)
        self.gone = False

    def at_eof(self) -> bool:
        return self._redis.at_eof

    async def connect(self) -> None:
        if self._redis.away:
            raise ConnectionRefusedError
        if self._redis.silent:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                # redis-py was seen to do that
                if not self._redis.swallows:
                    raise

    async def disconnect(self, nowait: bool = False) -> None:  # noqa: FBT001, FBT002 - redis-py's own
        assert nowait
        self.gone = True
        if self._redis.bad_end:
            raise RuntimeError("even this")


class Redis:
    """Makes connections, and remembers them."""

    def __init__(self) -> None:
        self.connections: list[Connection] = []
        self.changed = asyncio.Event()
        self.away = self.silent = self.swallows = self.at_eof = self.bad_end = False
        self.commit = GroupCommit(self.connect, (KIND,))

    def connect(self) -> Connection:
        self.connections.append(Connection(self))
        self.changed.set()
        return self.connections[-1]

    def keep(self, name: str) -> asyncio.Future[None]:
        return self.commit.keep(KIND, ((), (name,)))

    async def wire(self, number: int, *, asked: int = 0) -> Wire:
        """The connection of that number, once it was made and asked so many things."""
        async with asyncio.timeout(10):
            while len(self.connections) < number or len(self.connections[number - 1].transport.asked) < asked:
                self.changed.clear()
                await self.changed.wait()
        return self.connections[number - 1].transport


def with_redis(do: Callable[[Redis], Awaitable[None]], redis: Redis | None = None) -> Redis:
    redis = redis or Redis()

    async def run() -> None:
        redis.changed = asyncio.Event()
        try:
            await do(redis)
        finally:
            await redis.commit.close()

    asyncio.run(run())
    return redis


async def refused(waiting: asyncio.Future[None], why: str = "") -> None:
    async with asyncio.timeout(10):
        with pytest.raises(DoorClosed) as told:
            await waiting
    assert why in str(told.value)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commit, "KEEP_SECONDS", 0.4)
    monkeypatch.setattr(commit, "CONNECT_SECONDS_LEAST", 0.1)


def test_the_scripts_are_told_first_and_each_call_has_its_own_answer() -> None:
    async def two(redis: Redis) -> None:
        one = redis.keep("one")
        wire = await redis.wire(1, asked=1)
        two = redis.keep("two")
        await redis.wire(1, asked=2)
        wire.keep()
        await one
        assert not two.done()
        wire.keep()
        await two
        assert wire.scripts == [KIND.source]
        assert wire.asked == [("EVALSHA", "one"), ("EVALSHA", "two")]

    with_redis(two)


@pytest.mark.parametrize("lost", [False, True])
def test_what_was_under_way_goes_first_and_in_its_order_after_a_break(*, lost: bool) -> None:
    async def break_off(redis: Redis) -> None:
        texts = [redis.keep("one")]
        wire = await redis.wire(1, asked=1)
        texts.append(redis.keep("two"))
        await redis.wire(1, asked=2)
        texts.append(redis.keep("three"))
        if lost:
            # the script is gone for the first, and then the connection for all
            wire.say(b"-NOSCRIPT gone\r\n")
        wire.hang_up()
        following = await redis.wire(2, asked=1)
        assert following.asked == [("EVALSHA", "one", "two", "three")]
        following.keep(3)
        await asyncio.gather(*texts)

    with_redis(break_off)


def test_a_script_that_redis_has_lost_is_sent_along_once() -> None:
    async def lose_it(redis: Redis) -> None:
        one = redis.keep("one")
        wire = await redis.wire(1, asked=1)
        wire.say(b"-NOSCRIPT gone\r\n")
        await redis.wire(1, asked=2)
        assert wire.asked[1] == ("EVAL", "one")
        wire.say(b"-NOSCRIPT what is this\r\n")
        await refused(one, "NOSCRIPT")

    with_redis(lose_it)


def test_a_text_is_asked_for_twice_and_then_given_up() -> None:
    async def break_twice(redis: Redis) -> None:
        one = redis.keep("one")
        for number in (1, 2):
            (await redis.wire(number, asked=1)).hang_up()
        await refused(one, "ConnectionError")
        two = redis.keep("two")
        third = await redis.wire(3, asked=1)
        third.keep()
        await two

    with_redis(break_twice)


@pytest.mark.parametrize("answer", [b":1\r\n", b"*2\r\n:1\r\n:1\r\n", b"*0\r\n", b"+OK\r\n", b"*1\r\n#f\r\n", b"_\r\n"])
def test_only_a_number_of_its_own_says_that_a_text_is_kept(answer: bytes) -> None:
    async def answer_so(redis: Redis) -> None:
        one = redis.keep("one")
        (await redis.wire(1, asked=1)).say(answer)
        await refused(one)

    with_redis(answer_so)


def test_a_refusal_that_is_not_even_text_is_a_refusal() -> None:
    async def say_it(redis: Redis) -> None:
        one = redis.keep("one")
        (await redis.wire(1, asked=1)).say(b"*1\r\n$1\r\n\xff\r\n")
        await refused(one)

    with_redis(say_it)


@pytest.mark.parametrize("said", [b"*1\r\n$8\r\nREADONLY\r\n", b"-LOADING a moment\r\n", b"-NOAUTH who are you\r\n"])
def test_a_redis_that_is_not_the_one_to_write_to_is_looked_for_again(said: bytes) -> None:
    async def fail_over(redis: Redis) -> None:
        one = redis.keep("one")
        wire = await redis.wire(1, asked=1)
        two = redis.keep("two")
        await redis.wire(1, asked=2)
        wire.say(said)
        await refused(one)
        following = await redis.wire(2, asked=1)
        following.keep()
        await two
        assert redis.connections[0].gone

    with_redis(fail_over)


def test_an_entry_that_cannot_be_sent_breaks_nothing() -> None:
    def call(entries: Any) -> Any:
        raise ValueError(f"what is {list(entries)}?")

    async def three(redis: Redis) -> None:
        one = redis.keep("one")
        bad = redis.commit.keep(Kind(b"b", call), ((), ("bad",)))
        two = redis.keep("two")
        await refused(bad, "ValueError")
        wire = await redis.wire(1, asked=2)
        wire.keep()
        wire.keep()
        await asyncio.gather(one, two)
        assert len(redis.connections) == 1

    with_redis(three)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("silent", [False, True])
def test_no_one_waits_longer_than_told_behind_a_silent_call_and_a_silent_connection(*, silent: bool) -> None:
    async def fall_silent(redis: Redis) -> None:
        loop = asyncio.get_running_loop()
        one = redis.keep("one")
        await redis.wire(1, asked=1)
        redis.silent = silent
        # late enough to wait for another connection, when the first is given up
        await asyncio.sleep(0.6 * commit.KEEP_SECONDS)
        begun, two = loop.time(), redis.keep("two")
        await refused(one, "TimeoutError")
        if silent:
            await refused(two, "TimeoutError")
            # twice as long is what a connection of its own would take
            assert loop.time() - begun < 1.7 * commit.KEEP_SECONDS
        else:
            (await redis.wire(2, asked=1)).keep()
            await two

    with_redis(fall_silent)


def test_a_redis_that_is_away_is_told_at_once_and_found_again() -> None:
    async def away(redis: Redis) -> None:
        redis.away = True
        await refused(redis.keep("one"), "ConnectionRefusedError")
        redis.away = False
        two = redis.keep("two")
        (await redis.wire(2, asked=1)).keep()
        await two

    with_redis(away)


def test_a_connection_that_cannot_even_be_made_is_told() -> None:
    async def impossible(redis: Redis) -> None:
        def never() -> Connection:
            raise TypeError("no such option")

        redis.commit._connection = never
        await refused(redis.keep("one"), "TypeError")
        redis.commit._connection = redis.connect
        two = redis.keep("two")
        (await redis.wire(1, asked=1)).keep()
        await two

    with_redis(impossible)


def test_a_connection_that_hung_up_before_it_was_listened_to_is_not_waited_for() -> None:
    async def deaf(redis: Redis) -> None:
        redis.at_eof = True
        await refused(redis.keep("one"), "ConnectionError")

    with_redis(deaf)


def test_a_connection_that_ends_badly_is_followed_by_another() -> None:
    async def badly(redis: Redis) -> None:
        redis.bad_end = True
        one = redis.keep("one")
        (await redis.wire(1, asked=1)).hang_up()
        (await redis.wire(2, asked=1)).keep()
        await one

    with_redis(badly)


def test_a_redis_that_hangs_up_on_all_people_is_not_overrun() -> None:
    async def hang_up(redis: Redis) -> None:
        def connect() -> Connection:
            made = Redis.connect(redis)
            asyncio.get_running_loop().call_soon(made.transport.hang_up)
            return made

        redis.commit._connection = connect
        texts = [redis.keep(str(number)) for number in range(300)]
        for text in texts:
            await refused(text)
        assert len(redis.connections) < 20

    with_redis(hang_up)


def test_it_serves_one_loop_after_the_other() -> None:
    async def keep_one(redis: Redis) -> None:
        one = redis.keep("one")
        (await redis.wire(len(redis.connections) + 1, asked=1)).keep()
        await one

    redis = with_redis(keep_one)
    with_redis(keep_one, redis)
    with_redis(keep_one, redis)
    assert [one.gone for one in redis.connections] == [True] * 3


@pytest.mark.parametrize("swallows", [False, True])
def test_the_one_that_waits_for_a_connection_is_told_when_it_is_closed(*, swallows: bool) -> None:
    async def close_early(redis: Redis) -> None:
        redis.silent, redis.swallows = True, swallows
        one = redis.keep("one")
        await redis.wire(1)
        # well before anybody's patience is over
        async with asyncio.timeout(commit.KEEP_SECONDS / 2):
            await redis.commit.close()
        await refused(one, "closed")
        assert redis.connections[0].gone

    with_redis(close_early)
