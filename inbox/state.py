"""The state of the inbox, as readiness and alarms show it."""

from __future__ import annotations

from dataclasses import dataclass

import redis.asyncio

from inbox import keys
from inbox.stopped import LISTED, SCOPES, Stopped, ask, described, listed
from runtime import metrics


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxState:
    """How long texts wait, and whether replies are sent."""

    #: Age of the oldest unanswered text; 0 if no text waits.
    oldest_waiting_seconds: float = 0.0
    #: The open circuits, the widest first.
    stopped: tuple[Stopped, ...] = ()


async def read_state(client: redis.asyncio.Redis) -> InboxState:
    """Read the state in one round trip, or in two while circuits other than the account's are open."""
    async with client.pipeline(transaction=False) as pipe:
        pipe.zrange(keys.WAITING, 0, 0, withscores=True)
        pipe.time()
        pipe.zrange(keys.CIRCUITS, 0, LISTED - 1)
        ask(pipe, "")
        oldest, (seconds, microseconds), others, *answers = await pipe.execute()
        names = [key.decode() for key in others]
        for key in names:
            ask(pipe, key)
        answers += await pipe.execute() if names else []
    age = int(seconds) + int(microseconds) / 1e6 - float(oldest[0][1]) / 1000 if oldest else 0.0
    return InboxState(oldest_waiting_seconds=max(0.0, age), stopped=listed(["", *names], answers))


def readiness(state: InboxState, *, stuck_after_seconds: float) -> str:
    """Return the answer to `/readyz`; texts are stored in every state.

    A person who waits alone stops nothing.
    """
    is_stopped = any(stop.scope != "destination" for stop in state.stopped)
    is_stuck = state.oldest_waiting_seconds > stuck_after_seconds
    word = "stopped" if is_stopped else "stuck" if is_stuck else "ready"
    lines = [word, f"oldest unanswered text: {state.oldest_waiting_seconds:.1f} s", *described(state.stopped)]
    return "".join(f"{line}\n" for line in lines)


def note(state: InboxState) -> None:
    """Set the metrics of the inbox, whose Redis has just answered."""
    metrics.REDIS_UP.set(1)
    metrics.OLDEST_WAITING_SECONDS.set(state.oldest_waiting_seconds)
    for scope in SCOPES:
        stops = [stop for stop in state.stopped if stop.scope == scope]
        metrics.STOPPED.labels(scope=scope).set(len(stops))
        metrics.STOPPED_PEOPLE.labels(scope=scope).set(sum(stop.people for stop in stops))
    metrics.SENDING_STOPPED.set(any(stop.scope == "account" for stop in state.stopped))
