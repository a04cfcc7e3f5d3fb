"""Kombu's Redis transport with one error renamed: who uses a channel whose connection is gone is told that it is gone.

When Redis drops a worker's connections, or restarts, the channels are closed while tasks are still running. Whatever is acknowledged or
put back after that asks the closed channel for a connection and gets, in kombu 5.7, an `AttributeError` on `None`. Celery waits for connection
errors there and takes anything else for the end of the worker: the process dies because its broker restarted (`tests/chaos/test_pools.py` shows it
without this file). As a connection error it is logged and forgotten, which is right: a doorbell that was not acknowledged is heard again.
"""

from __future__ import annotations

from typing import Any, Final

from kombu.transport import TRANSPORT_ALIASES, redis
from redis.exceptions import ConnectionError as RedisConnectionError

_NAME: Final = f"{__name__}:Transport"


class Channel(redis.Channel):
    """A channel that says so when its connection is gone."""

    def _connparams(self, asynchronous: bool = False) -> dict[str, Any]:  # noqa: FBT001, FBT002 - kombu's own signature
        if self.connection is None or self.connection.client is None:
            raise RedisConnectionError("the connection of this channel is closed")
        found: dict[str, Any] = super()._connparams(asynchronous=asynchronous)  # type: ignore[misc]  # not in the stubs
        return found


class Transport(redis.Transport):
    """Kombu's transport, with that channel."""

    Channel = Channel


def install() -> None:
    """Have `redis://` and `rediss://` mean this transport, in this process. A second call changes nothing."""
    for scheme in ("redis", "rediss"):
        TRANSPORT_ALIASES[scheme] = _NAME
