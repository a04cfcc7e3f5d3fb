"""Build what stands in Redis: the inbox and the circuit breakers."""

from __future__ import annotations

from datetime import timedelta

import redis

from inbox.circuit import RedisCircuit
from inbox.connection import connect
from inbox.inbox import on_redis
from inbox.ports import Inbox
from runtime.settings import Settings
from worker import retry_policy
from worker.build import traced


def redis_client(chosen: Settings, role: str = "") -> redis.Redis:
    """Return a client with a connection for every thread and its blocking reads; `role` as in `connect`."""
    return traced.client(connect(chosen.redis.url, role, max_connections=chosen.worker.concurrency * 2 + 8))


def redis_inbox(chosen: Settings, client: redis.Redis) -> Inbox:
    """Return the inbox, with the leases that the settings ask for."""
    return on_redis(
        client,
        who_key=chosen.who_key,
        lease=timedelta(seconds=chosen.visit.lease_seconds),
        wake_again=timedelta(seconds=chosen.reconcile.sweep_person_seconds),
        per_number=chosen.people.per_number,
    )


def circuit(chosen: Settings, client: redis.Redis) -> RedisCircuit:
    """Return the circuit breakers that all workers share."""
    return RedisCircuit(
        client,
        probe_every=timedelta(seconds=chosen.delivery.probe_seconds),
        longest_pause=retry_policy.LONGEST_PROBE_PAUSE,
    )
