"""The circuit breaker on Redis, which all workers share.

While our account or configuration is wrong, nothing is sent and every turn is kept.

The circuit opens at the first refusal that concerns our account, not a person or a text.
While it is open, one send at a time goes through as a probe; a successful probe closes it.
"""

from __future__ import annotations

from datetime import timedelta

import redis

from inbox import keys
from inbox.connection import Scripts, translated
from inbox.ports import Passage
from inbox.times import milliseconds


class RedisCircuit:
    """`inbox.ports.Circuit` on Redis."""

    def __init__(self, client: redis.Redis, *, probe_every: timedelta) -> None:
        self._redis = client
        self._probe_ms = milliseconds(probe_every)
        self._scripts = Scripts(client)

    def passage(self) -> Passage:
        """Decide whether a send may go ahead, and whether it is the probe."""
        answer = self._scripts.run("pass", [keys.CIRCUIT, keys.PROBE], [self._probe_ms])
        if int(answer[0]) == 0:
            return Passage(allowed=False, wait_ms=max(int(answer[1]), 1), reason=answer[2].decode())
        return Passage(allowed=True, probe=int(answer[0]) == 2)  # noqa: PLR2004 - the script's code for a probe

    @translated()
    def open(self, reason: str) -> bool:
        """Stop all sending; return whether the circuit was closed before."""
        seconds, _ = self._redis.time()
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.hsetnx(keys.CIRCUIT, "since", int(seconds) * 1000)
            pipe.hset(keys.CIRCUIT, "reason", reason)
            pipe.set(keys.PROBE, "1", nx=True, px=self._probe_ms)
            fresh, *_ = pipe.execute()
        return bool(fresh)

    @translated()
    def close(self) -> None:
        """Allow sending again."""
        self._redis.delete(keys.CIRCUIT, keys.PROBE)
