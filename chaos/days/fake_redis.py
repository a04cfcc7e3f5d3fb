"""A Redis inside the test's process, with our real scripts and a clock that a test can turn.

fakeredis asks `time.time`. While a connection made here carries out a command, `time.time` is that connection's clock,
in its thread only.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any, Final

import redis
from fakeredis import FakeRedisConnection, FakeServer

#: Commands whose names are two words.
_TWO_WORDS: Final = frozenset({"SCRIPT LOAD", "XGROUP CREATE"})
_real_time = time.time
_clock: ContextVar[Callable[[], int] | None] = ContextVar("clock", default=None)


def _time() -> float:
    clock = _clock.get()
    # the middle of the millisecond: fakeredis rounds down, and a float may be a little too small
    return (clock() + 0.5) / 1000 if clock else _real_time()


time.time = _time


class _Connection(FakeRedisConnection):
    def __init__(self, *args: Any, clock_ms: Callable[[], int], **options: Any) -> None:
        super().__init__(*args, **options)
        self._clock_ms = clock_ms

    def send_packed_command(self, *command: Any, **options: Any) -> None:  # Any: redis-py's own
        before = _clock.set(self._clock_ms)
        try:
            super().send_packed_command(*command, **options)  # type: ignore[no-untyped-call]  # redis-py's own
        finally:
            _clock.reset(before)


def _real_ms() -> int:
    return int(_real_time() * 1000)


def a_redis(clock_ms: Callable[[], int] = _real_ms) -> redis.Redis:
    """Return a client of a new, empty server whose clock is `clock_ms`."""
    pool = redis.ConnectionPool(connection_class=_Connection, server=FakeServer(), clock_ms=clock_ms)
    return redis.Redis(connection_pool=pool)


class OneConnection(redis.Redis):
    """A client of such a server for one thread: without sockets, a command takes half as long."""

    def __init__(self, clock_ms: Callable[[], int]) -> None:
        super().__init__(connection_pool=a_redis(clock_ms).connection_pool)
        self._own: Any = self.connection_pool.get_connection()  # Any: fakeredis's own
        self._server: FakeServer = self.connection_pool.connection_kwargs["server"]
        self._clock_ms = clock_ms
        # the engine collects all garbage after each script, which takes longer than the script
        self.eval("collectgarbage = function() end", 0)

    def holds(self, key: str) -> bool:
        """Return whether there is such a key, without a command."""
        return key.encode() in self._server.dbs[0]

    def execute_command(self, *args: Any, **options: Any) -> Any:
        """Carry out one command."""
        own, encode = self._own, self._own.encoder.encode
        before = _clock.set(self._clock_ms)
        try:
            # what a connection does with the bytes of a request
            own.get_socket()._process_command([part for arg in args for part in _words(arg, encode)])  # noqa: SLF001
        finally:
            _clock.reset(before)
        try:
            return self.parse_response(own, args[0], **options)  # type: ignore[no-untyped-call]  # redis-py's own
        except redis.ResponseError as exc:
            if "requires the key to exist" in str(exc) and args[0] == "XREADGROUP":
                # what a server answers (tests/contract/test_inbox.py)
                raise redis.ResponseError("NOGROUP No such key 'receipts' or consumer group 'binders'") from exc
            raise


def _words(arg: Any, encode: Callable[[Any], bytes]) -> Sequence[bytes]:
    """Return the words of an argument: the name of a command may be two, such as `SCRIPT LOAD`."""
    return arg.encode().split() if arg in _TWO_WORDS else (encode(arg),)
