"""The state of the inbox, as readiness and alarms show it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

import redis.asyncio

from inbox import keys
from inbox.circuit import LISTED, ask, listed
from inbox.ports import Stopped
from inbox.times import moment
from sms.ports import Scope


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
        oldest, (seconds, microseconds), others, *account = await pipe.execute()
    names = [key.decode() for key in others]
    more: list[object] = []
    if names:
        async with client.pipeline(transaction=False) as pipe:
            for key in names:
                ask(pipe, key)
            more = await pipe.execute()
    age = int(seconds) + int(microseconds) / 1e6 - float(oldest[0][1]) / 1000 if oldest else 0.0
    return InboxState(oldest_waiting_seconds=max(0.0, age), stopped=tuple(listed(["", *names], [*account, *more])))


def described(stopped: Sequence[Stopped]) -> Iterator[str]:
    """Yield a sentence for each stopped scope: what, since when, why, for how many people, and what opens it.

    People who wait by themselves are counted by reason, and none is named.
    """
    for stop in stopped:
        if stop.place.scope is not Scope.DESTINATION:
            waits = "1 person waits" if stop.people == 1 else f"{stop.people} people wait"
            yield f"{_what(stop)}: {stop.reason}; stopped since {_since(stop)}; {waits}; {_opens(stop)}"
    alone = [stop for stop in stopped if stop.place.scope is Scope.DESTINATION]
    for reason, count in Counter(stop.reason for stop in alone).most_common():
        alike = [stop for stop in alone if stop.reason == reason]
        since, soonest = _since(min(alike, key=lambda stop: stop.since_ms)), min(alike, key=lambda stop: stop.probe_ms)
        who = "one destination" if count == 1 else f"{count} destinations"
        yield f"nothing is sent to {who}: {reason}; stopped since {since}; {_opens(soonest)}"


def _what(stop: Stopped) -> str:
    if stop.place.scope is Scope.ACCOUNT:
        return "nothing is sent"
    return f"nothing is sent from {stop.place.scope} {stop.place.name}"


def _since(stop: Stopped) -> str:
    return moment(stop.since_ms).strftime("%Y-%m-%dT%H:%M:%SZ")


def _opens(stop: Stopped) -> str:
    tried = "the next reply tries it" if not stop.probe_ms else f"tried again in {_duration(stop.probe_ms)}"
    return f"{tried}; it opens once {'a message is delivered' if stop.reported else 'Twilio takes a message'}"


def _duration(ms: int) -> str:
    return str(timedelta(seconds=round(ms / 1000)))
