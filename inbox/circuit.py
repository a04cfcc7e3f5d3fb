"""The circuit: while our account or configuration is wrong, nothing is sent, and every turn is kept.

    circuit          hash: reason, since (milliseconds); there is one while the circuit is open
    circuit:probe    one send was let through to see whether it is still so; expires by itself

All workers share it. It opens at the first refusal that is about us and not about a person or a text; one probe at a time closes it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import redis

from inbox.ports import PROBE_EVERY, Passage, milliseconds
from inbox.redis import script, translated

if TYPE_CHECKING:
    from redis.commands.core import Script


class RedisCircuit:
    """The circuit on Redis."""

    def __init__(self, client: redis.Redis, *, probe_every: timedelta = PROBE_EVERY) -> None:
        self._redis = client
        self._probe_ms = milliseconds(probe_every)
        self._pass: Script = client.register_script(script("pass"))

    @translated()
    def passage(self) -> Passage:
        """See `Circuit.passage`."""
        answer = self._pass(keys=["circuit", "circuit:probe"], args=[self._probe_ms])
        if int(answer[0]) == 0:
            return Passage(allowed=False, wait_ms=max(int(answer[1]), 1), reason=answer[2].decode())
        return Passage(allowed=True, probe=int(answer[0]) == 2)  # noqa: PLR2004 - the script's word for a probe

    @translated()
    def open(self, reason: str) -> bool:
        """See `Circuit.open`."""
        seconds, _ = self._redis.time()
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.hsetnx("circuit", "since", int(seconds) * 1000)
            pipe.hset("circuit", "reason", reason)
            pipe.set("circuit:probe", "1", nx=True, px=self._probe_ms)
            fresh, *_ = pipe.execute()
        return bool(fresh)

    @translated()
    def close(self) -> None:
        """See `Circuit.close`."""
        self._redis.delete("circuit", "circuit:probe")
