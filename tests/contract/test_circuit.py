"""The circuit breaker on Redis: opened once for all processes, with one probe at a time."""

from __future__ import annotations

from datetime import timedelta

import redis

from inbox.circuit import RedisCircuit
from tests.conftest import wait_until


def test_an_open_circuit_lets_one_probe_through_at_a_time(server: redis.Redis) -> None:
    one, other = (RedisCircuit(server, probe_every=timedelta(seconds=0.5)) for _ in range(2))
    assert one.passage().allowed

    assert one.open("authentication failed") is True
    assert other.open("authentication failed") is False

    blocked = other.passage()
    assert (blocked.allowed, blocked.reason) == (False, "authentication failed")
    assert 0 < blocked.wait_ms <= 500
    wait_until(lambda: one.passage().probe, seconds=5, what="a probe")
    assert not other.passage().allowed
    one.close()
    assert other.passage().allowed
