"""The connection to Redis: its options, its errors and our scripts.

Redis must keep what it acknowledged: `appendonly yes`, `appendfsync always`, `maxmemory-policy noeviction`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from inbox.errors import InboxAway
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


def connect(url: str, **options: float) -> redis.Redis:
    """Return a client that notices a dead or half-open connection and never repeats a command.

    A command whose answer was lost may have taken effect: the caller decides whether to repeat it.
    `options` replace some of `OPTIONS`.
    """
    return redis.Redis.from_url(url, **{**OPTIONS, **options}, retry=Retry(NoBackoff(), 0))


@contextmanager
def translated() -> Iterator[None]:
    """Raise `InboxAway` if Redis cannot be reached.

    An error that Redis itself returns is a bug and passes unchanged.
    """
    try:
        yield
    except (redis.ConnectionError, redis.TimeoutError) as exc:
        raise InboxAway(f"redis cannot be reached: {type(exc).__name__}") from exc


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
