"""The connection to Redis: its options, its errors and our scripts.

Redis must keep what it acknowledged: `appendonly yes`, `appendfsync always`, `maxmemory-policy noeviction`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, Final

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from inbox.client_info import driver
from inbox.errors import InboxAway, InboxRefuses
from inbox.scripts import script

if TYPE_CHECKING:
    from redis.commands.core import Script

#: Options of every connection: of our client, and of Celery's. Without them a half-open connection hangs for ever.
OPTIONS: Final[Mapping[str, float]] = {
    # seconds; a server on the same network answers in milliseconds, so one that does not is down
    "socket_connect_timeout": 3.0,
    # seconds; longer than any blocking read, the quiet window's and the transport's; a silent Redis counts as down
    "socket_timeout": 10.0,
    # the operating system notices a peer that vanished while a connection is idle
    "socket_keepalive": True,
    # seconds; a connection that was idle for longer is checked before it is used
    "health_check_interval": 5,
    # enough for every thread of a worker and its blocking reads
    "max_connections": 64,
}


#: After these errors the connection is closed: a replica's next connection asks for the primary's address again.
_CLOSING: Final = (redis.ConnectionError, redis.TimeoutError, redis.ReadOnlyError)
#: First words of Redis's errors that mean: the command is wrong. Every other word describes the server's own state,
#: such as READONLY, LOADING, BUSY, MISCONF, OOM, NOPERM or CLUSTERDOWN; redis-py takes a known word off the message.
_OUR_MISTAKES: Final = frozenset({"ERR", "WRONGTYPE", "NOSCRIPT", "CROSSSLOT"})
#: Redis does not know us, or does not allow us what we need.
_LOGIN: Final = (redis.AuthenticationError, redis.exceptions.AuthorizationError, redis.exceptions.NoPermissionError)
#: Begins, after `ERR`, the error of a script that may not carry out one of its commands.
_IN_SCRIPT: Final = "ACL failure in script"


def connect(url: str, role: str = "", **options: float) -> redis.Redis:
    """Return a client that notices a dead or half-open connection and never repeats a command.

    A command whose answer was lost may have taken effect: the caller decides whether to repeat it.
    `role`: as which process of ours Redis lists the connections. `options` replace some of `OPTIONS`.
    """
    given: Any = {**OPTIONS, **options}
    return redis.Redis.from_url(url, **given, retry=one_attempt(), driver_info=driver(role or "command"))


def one_attempt() -> Retry:
    """Return redis-py's policy that repeats nothing, and closes a connection that cannot be used any more."""
    return Retry(NoBackoff(), 0, _CLOSING)


def check_login(url: str) -> None:
    """Raise `InboxRefuses` if Redis answers and refuses our login.

    A Redis that does not answer is waited for.
    """
    with closing(connect(url)) as client:
        try:
            client.ping()
        except _LOGIN as exc:
            raise _translation(exc) or exc from exc
        except redis.RedisError:
            return


@contextmanager
def translated() -> Iterator[None]:
    """Raise `InboxAway` if Redis cannot be reached, `InboxRefuses` if it carries out no command now.

    An error that blames the command is a bug and passes unchanged.
    """
    try:
        yield
    except redis.RedisError as exc:
        away = _translation(exc)
        if away is None:
            raise
        raise away from exc


def _translation(exc: redis.RedisError) -> InboxAway | None:
    """Return the error of this package for one of redis-py's; None if the command is to blame."""
    word = exc.status_code or str(exc).partition(" ")[0]
    if isinstance(exc, _LOGIN) or _IN_SCRIPT in str(exc):
        return InboxRefuses(f"Redis refuses the user in REDIS_URL: {word} {exc}")
    if isinstance(exc, redis.ConnectionError | redis.TimeoutError):
        return InboxAway(f"redis cannot be reached: {type(exc).__name__}")
    if isinstance(exc, redis.ResponseError) and word.isupper() and word not in _OUR_MISTAKES:
        return InboxRefuses(f"Redis carries out no command now: {word} {str(exc).removeprefix(word).strip()}")
    return None


class Scripts:
    """Run the scripts of `inbox/scripts`: each is one atomic step, and its times are Redis's own `TIME`."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._registered: dict[str, Script] = {}

    @translated()
    def run(self, name: str, keys: Sequence[str], args: Sequence[Any] = ()) -> Any:  # Any: Redis's own values
        """Run a script by its name, such as `accept`."""
        registered = self._registered.get(name)
        if registered is None:
            registered = self._registered[name] = self._client.register_script(script(name))
        return registered(keys=keys, args=args)
