"""The state of the inbox, as readiness and alarms show it."""

from __future__ import annotations

from dataclasses import dataclass

import redis.asyncio

from inbox import keys


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxState:
    """How long texts wait, and whether replies are sent."""

    #: Age of the oldest unanswered text; 0 if no text waits.
    oldest_waiting_seconds: float = 0.0
    #: Why nothing is sent; empty if all is well.
    stopped: str = ""


async def read_state(client: redis.asyncio.Redis) -> InboxState:
    """Read the state in one round trip."""
    async with client.pipeline(transaction=False) as pipe:
        pipe.zrange(keys.WAITING, 0, 0, withscores=True)
        pipe.time()
        pipe.hget(keys.CIRCUIT, "reason")
        oldest, (seconds, microseconds), reason = await pipe.execute()
    age = int(seconds) + int(microseconds) / 1e6 - float(oldest[0][1]) / 1000 if oldest else 0.0
    return InboxState(oldest_waiting_seconds=max(0.0, age), stopped=reason.decode() if reason else "")
