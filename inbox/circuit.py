"""The circuit breaker on Redis, which all workers share.

While our account or configuration is wrong, nothing is sent and every turn is kept.

    circuit          hash: reason, since (milliseconds); exists while the circuit is open
    circuit:probe    one send was let through as a probe; expires by itself

The circuit opens at the first refusal that concerns our account, not a person or a text.
While it is open, one send at a time goes through as a probe; a successful probe closes it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import redis

from inbox.inbox import script, translated
from inbox.ports import Passage, milliseconds

if TYPE_CHECKING:
    from redis.commands.core import Script


class RedisCircuit:
    """`inbox.ports.Circuit` on Redis."""

    def __init__(self, client: redis.Redis, *, probe_every: timedelta) -> None:
        self._redis = client
        self._probe_ms = milliseconds(probe_every)
        self._pass: Script = client.register_script(script("pass"))

    @translated()
    def passage(self) -> Passage:
        """Decide whether a send may go ahead, and whether it is the probe."""
        answer = self._pass(keys=["circuit", "circuit:probe"], args=[self._probe_ms])
        if int(answer[0]) == 0:
            return Passage(allowed=False, wait_ms=max(int(answer[1]), 1), reason=answer[2].decode())
        return Passage(allowed=True, probe=int(answer[0]) == 2)  # noqa: PLR2004 - the script's code for a probe

    @translated()
    def open(self, reason: str) -> bool:
        """Stop all sending; return whether the circuit was closed before."""
        seconds, _ = self._redis.time()
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.hsetnx("circuit", "since", int(seconds) * 1000)
            pipe.hset("circuit", "reason", reason)
            pipe.set("circuit:probe", "1", nx=True, px=self._probe_ms)
            fresh, *_ = pipe.execute()
        return bool(fresh)

    @translated()
    def close(self) -> None:
        """Allow sending again."""
        self._redis.delete("circuit", "circuit:probe")
