"""What is stopped, as `/readyz`, commands and metrics show it.

The webhook imports it, so it imports little.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from inbox import keys
from inbox.durations import moment

#: How many open circuits are listed at most, besides the account's.
LISTED: Final = 100
#: The scopes that a circuit can have, the widest first.
SCOPES: Final = ("account", "sender", "channel", "destination")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """An open circuit."""

    scope: str
    #: Such as `+15005550006`; a person's hash; empty for the account.
    name: str
    reason: str
    #: In milliseconds of Redis's clock.
    since_ms: int
    #: A delivery report said so, and a delivery opens it; else Twilio refused a message, and opens it by taking one.
    reported: bool
    #: How many people's replies wait for it.
    people: int
    #: Milliseconds until the next probe may leave.
    probe_ms: int


def ask(pipe: Any, key: str) -> None:  # Any: redis-py's pipelines, of both kinds
    """Ask for all that `listed` needs to know of a circuit."""
    pipe.hgetall(keys.circuit(key))
    pipe.scard(keys.circuit_waiting(key))
    pipe.pttl(keys.probe(key))


def listed(names: Sequence[str], answers: Sequence[Any]) -> tuple[Stopped, ...]:  # Any: Redis's own values
    """Return the circuits that are open, the widest first, from the answers to `ask`."""
    stops = [
        Stopped(
            scope=key.partition(":")[0] or SCOPES[0],
            name=key.partition(":")[2],
            reason=fields.get(b"reason", b"").decode(),
            since_ms=int(fields.get(b"since", 0)),
            reported=fields.get(b"by") == b"report",
            people=int(people),
            probe_ms=max(0, int(probe_ms)),
        )
        for key, fields, people, probe_ms in zip(names, answers[::3], answers[1::3], answers[2::3], strict=True)
        if fields
    ]
    return tuple(sorted(stops, key=lambda stop: (SCOPES.index(stop.scope), stop.since_ms)))


def described(stopped: Sequence[Stopped]) -> Iterator[str]:
    """Yield a sentence for each stopped scope: what, why, since when, who waits, and what opens it.

    People who wait by themselves are counted by reason, and none is named.
    """
    alone: dict[str, list[Stopped]] = {}
    for stop in stopped:
        if stop.scope == "destination":
            alone.setdefault(stop.reason, []).append(stop)
            continue
        what = f" from {stop.scope} {stop.name}" if stop.name else ""
        waits = "1 person waits" if stop.people == 1 else f"{stop.people} people wait"
        yield f"nothing is sent{what}: {stop.reason}; stopped since {_since(stop)}; {waits}; {_opens(stop)}"
    for reason, stops in alone.items():
        who = "one destination" if len(stops) == 1 else f"{len(stops)} destinations"
        soonest = min(stops, key=lambda stop: stop.probe_ms)
        yield f"nothing is sent to {who}: {reason}; stopped since {_since(stops[0])}; {_opens(soonest)}"


def _since(stop: Stopped) -> str:
    return moment(stop.since_ms).strftime("%Y-%m-%dT%H:%M:%SZ")


def _opens(stop: Stopped) -> str:
    in_ = timedelta(seconds=round(stop.probe_ms / 1000))
    tried = f"tried again in {in_}" if stop.probe_ms else "the next reply tries it"
    return f"{tried}; it opens once {'a message is delivered' if stop.reported else 'Twilio takes a message'}"
