"""A Redis inside the test's process, with our real scripts and a clock that a test can turn.

fakeredis asks `time.time`. While a connection made here carries out a command, `time.time` is that connection's clock,
in its thread only.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from typing import Any, Final, cast

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


class _Lua:
    """The Lua engine of a server: it compiles each script once.

    It does not look for global variables after each call: no script of ours makes one (tests/contract runs them all on
    fakeredis as it comes).
    """

    def __init__(self, server: Any) -> None:  # Any: fakeredis's own
        self._server, self._engine = server, server._lua_runtime  # noqa: SLF001
        self._compiled: dict[bytes | str, Callable[[], Any]] = {"collectgarbage()": lambda: None}
        self._engine.eval("function(call) redis.call = call end")(self._call)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def execute(self, script: bytes) -> Any:
        """Run a script. All garbage is collected when Lua finds it necessary, not after each script."""
        run = self._compiled.get(script)
        if run is None:
            run = self._compiled[script] = self._engine.compile(script)
        return run()

    def globals(self) -> Mapping[str, Any]:
        """Return no global variable."""
        return {}

    def _call(self, name: bytes, *args: Any) -> Any:
        """Carry out `redis.call`."""
        socket = self._server._lua_current_socket[0]  # noqa: SLF001
        return socket._lua_redis_call(self, frozenset(), name, *args)  # noqa: SLF001


class OneConnection(redis.Redis):
    """A client of such a server for one thread: without sockets and queues, a command takes half as long."""

    def __init__(self, clock_ms: Callable[[], int]) -> None:
        super().__init__(connection_pool=a_redis(clock_ms).connection_pool)
        self._own = cast("Any", self.connection_pool.get_connection())  # Any: fakeredis's own
        self._server: Any = self.connection_pool.connection_kwargs["server"]
        self._clock_ms = clock_ms
        self.eval("return 1", 0)  # makes the engine
        self._server._lua_runtime = _Lua(self._server)  # noqa: SLF001
        self._server.acl.validate_command = lambda *_: None  # there is one user
        self._answers: list[Any] = []
        self._own.get_socket().put_response = self._answers.append
        self._own.read_response = self._answer

    def holds(self, key: str) -> bool:
        """Return whether there is such a key, without a command."""
        return key.encode() in self._server.dbs[0]

    def _answer(self, **_: Any) -> Any:
        answer = self._answers.pop()
        if isinstance(answer, redis.RedisError):
            raise answer
        return answer

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
