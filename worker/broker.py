"""Adapt kombu's Redis transport and Celery's events to a worker with many threads.

What ends a worker in kombu 5.7, and must not:

- Using a channel whose connection is gone raises `AttributeError` on `None`. When Redis drops a worker's connections or
  restarts, the channels are closed while tasks still run. It is raised as a connection error, which Celery ignores
  there: the person of that task is still on the agenda (`tests/chaos/test_pools.py`).
- A Redis that answers and carries out no command, such as a primary that became a replica, counts as a mistake of ours.
  It is raised as a connection error too, after a pause: the worker connects again until Redis works.
- A message that cannot be read, which any client of Redis can write, ends the worker, and is put back for the next
  one. It is logged, counted and dropped: a lost wake-up task does no harm.

Two costs are saved (`docs/decisions/0019-cpu-of-a-turn.md`).
Kombu builds a Redis client, with its table of some three hundred commands, for each message taken or published.
Celery publishes its task events one by one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import Empty
from typing import Any, Final

from celery import bootsteps
from celery.worker.consumer.events import Events
from kombu.transport import TRANSPORT_ALIASES, redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError

from inbox import keys
from inbox.connection import one_attempt
from runtime.isolation import BadItem, isolated
from worker import telemetry

_NAME: Final = f"{__name__}:Transport"
#: How long task events are buffered for Flower. Shorter than Flower's own polling interval.
EVENTS_EVERY_SECONDS: Final = 0.25
#: Redis carries out no command: a failover takes some ten seconds, so asking more often tells nothing new.
REFUSED_PAUSE_SECONDS: Final = 1.0


#: A key that does not exist: deleting it changes nothing, and a replica refuses it.
_NO_KEY: Final = f"{keys.QUEUE}:none"
#: What the connection raises, and what says that no message has come.
_OUTSIDE: Final = (RedisError, OSError, Empty)


def _drop(item: BadItem) -> None:
    telemetry.OF_THIS_PROCESS.emit(telemetry.set_aside(item))


@contextmanager
def _reading(what: str) -> Iterator[None]:
    """Read and handle what Redis hands over: what cannot be read is dropped, and a refusal is an outage."""
    try:
        with isolated(what, "in Redis", _drop, outside=_OUTSIDE):
            yield
    except ResponseError as exc:
        time.sleep(REFUSED_PAUSE_SECONDS)
        raise RedisConnectionError(f"Redis carries out no command now: {exc}") from exc


class Channel(redis.Channel):
    """A channel that raises a connection error once its connection is gone, and keeps its client."""

    _kept: Any = None  # Any: kombu's choice of a Redis client

    def _connparams(self, asynchronous: bool = False) -> dict[str, Any]:  # noqa: FBT001, FBT002 - kombu's own signature
        if self.connection is None or self.connection.client is None:
            raise RedisConnectionError("the connection of this channel is closed")
        params: dict[str, Any] = super()._connparams(asynchronous=asynchronous)  # type: ignore[misc]  # not in stubs
        return {**params, "retry": one_attempt()}

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

    def basic_consume(
        self,
        queue: str,
        no_ack: bool,  # noqa: FBT001 - kombu's own signature
        callback: Callable[[Any], Any] | None,
        consumer_tag: str | None,
        **options: Any,
    ) -> str:
        """Consume from a queue; a message that Celery cannot take is dropped, and its place is free again."""

        def take(message: Any) -> None:  # Any: kombu's message
            def drop(item: BadItem) -> None:
                _drop(item)
                if not no_ack and not message.acknowledged:
                    message.reject()

            assert callback is not None
            with isolated("wake-up", queue, drop, outside=_OUTSIDE):
                callback(message)

        return super().basic_consume(queue, no_ack, take, consumer_tag, **options)  # type: ignore[no-any-return]

    def _brpop_read(self, **options: Any) -> Any:
        with _reading("wake-up"):
            return super()._brpop_read(**options)  # type: ignore[misc]

    def _receive(self) -> Any:
        with _reading("command"):
            return super()._receive()  # type: ignore[misc]


class Transport(redis.Transport):
    """Kombu's transport with the `Channel` above, which connects only to a Redis that can be written to."""

    Channel = Channel

    def establish_connection(self) -> Any:  # Any: kombu's transport
        """Connect. Celery pauses longer and longer between two attempts."""
        connection: Any = super().establish_connection()
        try:
            # the channel that kombu made to try the connection, and gives to the next caller
            with connection._avail_channels[-1].conn_or_acquire() as client:  # noqa: SLF001 - kombu's own habit
                client.unlink(_NO_KEY)
        except RedisError as exc:
            self.close_connection(connection)
            raise RedisConnectionError(f"Redis carries out no command now: {exc}") from exc
        return connection


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
