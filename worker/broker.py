"""Adapt kombu's Redis transport and Celery's events to a worker with many threads.

One error is changed: using a channel whose connection is gone raises a connection error.
When Redis drops a worker's connections or restarts, the channels are closed while tasks still run. A task that then
acknowledges or returns a message asks the closed channel for a connection. In kombu 5.7 that raises `AttributeError`
on `None`. Celery handles connection errors there and takes any other error for the end of the worker: the process
dies because its broker restarted (`tests/chaos/test_pools.py` shows it without this file).
As a connection error it is logged and ignored. That is right: the person of that task is still on the agenda.

Two costs are saved (`docs/decisions/0019-cpu-of-a-turn.md`).
Kombu builds a Redis client, with its table of some three hundred commands, for each message taken or published.
Celery publishes its task events one by one.
"""

from __future__ import annotations

from typing import Any, Final

from celery import bootsteps
from celery.worker.consumer.events import Events
from kombu.transport import TRANSPORT_ALIASES, redis
from redis.exceptions import ConnectionError as RedisConnectionError

_NAME: Final = f"{__name__}:Transport"
#: How long task events are buffered for Flower. Shorter than Flower's own polling interval.
EVENTS_EVERY_SECONDS: Final = 0.25


class Channel(redis.Channel):
    """A channel that raises a connection error once its connection is gone, and keeps its client."""

    _kept: Any = None  # Any: kombu's choice of a Redis client

    def _connparams(self, asynchronous: bool = False) -> dict[str, Any]:  # noqa: FBT001, FBT002 - kombu's own signature
        if self.connection is None or self.connection.client is None:
            raise RedisConnectionError("the connection of this channel is closed")
        params: dict[str, Any] = super()._connparams(asynchronous=asynchronous)  # type: ignore[misc]  # not in stubs
        return params

    def _create_client(self, asynchronous: bool = False) -> Any:  # noqa: FBT001, FBT002 - kombu's own signature
        """Return the pool's one client.

        Threads can share it, since each command takes its own connection out of the pool.
        The client that waits for messages is not shared: kombu gives it a connection.
        """
        if asynchronous:
            return super()._create_client(asynchronous=True)  # type: ignore[misc]  # not in the stubs
        client = self._kept
        # a pool that was dropped and built anew needs a new client
        if client is None or client.connection_pool is not self.pool:
            client = self._kept = super()._create_client()  # type: ignore[misc]
        return client


class Transport(redis.Transport):
    """Kombu's transport with the `Channel` above."""

    Channel = Channel


class EventsInBatches(bootsteps.StartStopStep):
    """Publish task events for Flower every `EVENTS_EVERY_SECONDS`, in one message.

    A full buffer is published at once.
    """

    requires = (Events,)

    def start(self, consumer: Any) -> None:  # Any: Celery's consumer; its attributes are not in its stubs
        """Let only the timer empty the buffer, if there is an event loop with a timer."""
        if consumer.hub is not None and consumer.event_dispatcher is not None:
            consumer.event_dispatcher.on_send_buffered = None

    def register_with_event_loop(self, consumer: Any, hub: Any) -> None:
        """Start the timer; Celery stops it when it closes the connection."""
        hub.timer.call_repeatedly(EVENTS_EVERY_SECONDS, self.flush, (consumer,))

    def stop(self, consumer: Any) -> None:
        """Publish the remaining events."""
        self.flush(consumer)

    def flush(self, consumer: Any) -> None:
        """Publish the buffered events. Without a connection they stay buffered for the next one."""
        dispatcher = consumer.event_dispatcher
        if dispatcher is not None and dispatcher.enabled:
            try:
                dispatcher.flush()
            except consumer.connection_errors:
                return


def install() -> None:
    """Make `redis://` and `rediss://` use this transport in this process. A second call changes nothing."""
    for scheme in ("redis", "rediss"):
        TRANSPORT_ALIASES[scheme] = _NAME
