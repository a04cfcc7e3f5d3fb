"""Kombu's Redis transport and Celery's events, as a worker of many threads needs them.

One error is renamed: who uses a channel whose connection is gone is told that it is gone. When Redis drops a worker's connections, or restarts, the
channels are closed while tasks are still running. Whatever is acknowledged or put back after that asks the closed channel for a connection and gets,
in kombu 5.7, an `AttributeError` on `None`. Celery waits for connection errors there and takes anything else for the end of the worker: the process
dies because its broker restarted (`tests/chaos/test_pools.py` shows it without this file). As a connection error it is logged and forgotten, which is
right: whom it rang for stands on the agenda.

Two costs are saved, which together were a fifth of a turn's CPU (`docs/decisions/0019-dynamodb-without-the-model.md`): kombu builds a Redis client,
with its table of some three hundred commands, for each message that is taken or published; and Celery publishes the events of its tasks
one by one as they come.
"""

from __future__ import annotations

from typing import Any, Final

from celery import bootsteps
from celery.worker.consumer.events import Events
from kombu.transport import TRANSPORT_ALIASES, redis
from redis.exceptions import ConnectionError as RedisConnectionError

_NAME: Final = f"{__name__}:Transport"
#: Flower learns of a task so much later, and of all tasks of that time at once. Shorter than Flower's own pause between two looks.
EVENTS_EVERY_SECONDS: Final = 0.25


class Channel(redis.Channel):
    """A channel that says so when its connection is gone, and keeps its client."""

    _kept: Any = None  # Any: kombu's choice of a Redis client

    def _connparams(self, asynchronous: bool = False) -> dict[str, Any]:  # noqa: FBT001, FBT002 - kombu's own signature
        if self.connection is None or self.connection.client is None:
            raise RedisConnectionError("the connection of this channel is closed")
        found: dict[str, Any] = super()._connparams(asynchronous=asynchronous)  # type: ignore[misc]  # not in the stubs
        return found

    def _create_client(self, asynchronous: bool = False) -> Any:  # noqa: FBT001, FBT002 - kombu's own signature
        """A client of the pool; threads share it, since each command takes a connection of its own out of the pool.

        One that waits for messages is given a connection by kombu and is not shared.
        """
        if asynchronous:
            return super()._create_client(asynchronous=True)  # type: ignore[misc]  # not in the stubs
        kept = self._kept
        # a pool that was given up, and made anew, has a client of its own
        if kept is None or kept.connection_pool is not self.pool:
            kept = self._kept = super()._create_client()  # type: ignore[misc]
        return kept


class Transport(redis.Transport):
    """Kombu's transport, with that channel."""

    Channel = Channel


class EventsInBatches(bootsteps.StartStopStep):
    """Publishes what Flower is told of tasks every `EVENTS_EVERY_SECONDS`, not task by task; a full buffer of Celery's goes at once."""

    requires = (Events,)

    def start(self, consumer: Any) -> None:  # Any: Celery's consumer, whose parts are not in its stubs
        """Let nothing but the clock empty the buffer, where there is a loop that has one."""
        if consumer.hub is not None and consumer.event_dispatcher is not None:
            consumer.event_dispatcher.on_send_buffered = None

    def register_with_event_loop(self, consumer: Any, hub: Any) -> None:
        """Start the clock; Celery stops it when it lets go of the connection."""
        hub.timer.call_repeatedly(EVENTS_EVERY_SECONDS, self.flush, (consumer,))

    def stop(self, consumer: Any) -> None:
        """Tell the rest."""
        self.flush(consumer)

    def flush(self, consumer: Any) -> None:
        """Tell what is in the buffer. Without a connection it stays there, for the next one."""
        dispatcher = consumer.event_dispatcher
        if dispatcher is not None and dispatcher.enabled:
            try:
                dispatcher.flush()
            except consumer.connection_errors:
                return


def install() -> None:
    """Have `redis://` and `rediss://` mean this transport, in this process. A second call changes nothing."""
    for scheme in ("redis", "rediss"):
        TRANSPORT_ALIASES[scheme] = _NAME
