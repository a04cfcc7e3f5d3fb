"""The circuit breakers on Redis, which all workers share.

There is one for each place at which the carrier refuses us.

A place is the account, one of our senders, a channel of a sender, or one person. A circuit opens at the first refusal
that concerns its place; a sender's or channel's may need refusals of several people. While it is open, one send at a
time goes through as a probe. A successful probe closes it, and everyone who waits for it is woken.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

import redis

from inbox import keys, payloads, wakeup, worker_keys
from inbox.connection import Scripts, translated
from inbox.durations import milliseconds
from inbox.payloads import Who
from inbox.ports import Passage, Place, Stop
from inbox.stopped import LISTED, Stopped, ask, listed
from sms.ports import Scope

#: A circuit that no reply probes is forgotten after this: the person may never text again.
KEPT: Final = timedelta(days=1)
#: Refusals of different people belong together if they are no further apart than this.
SUSPECTED: Final = timedelta(minutes=10)
#: A delivery report comes within seconds: if none came for so long, an accepted message counts as delivered.
PROOF: Final = timedelta(seconds=60)
#: How many wake-up tasks are pushed in one command.
_PUSHED: Final = 500


class RedisCircuit:
    """`inbox.ports.Circuit` on Redis. A pause between two probes that grows ends at `longest_pause`."""

    def __init__(self, client: redis.Redis, *, probe_every: timedelta, longest_pause: timedelta) -> None:
        self._redis = client
        self._probe_ms = milliseconds(probe_every)
        self._longest_ms = max(milliseconds(longest_pause), self._probe_ms)
        self._scripts = Scripts(client)

    def passage(self, places: Sequence[Place]) -> Passage:
        """Decide whether a send may go ahead, and which open circuits it tests."""
        names = [name for place in places for name in (keys.circuit(place.key), keys.probe(place.key))]
        allowed, *rest = self._scripts.run("pass", names, [self._probe_ms])
        if allowed:
            return Passage(allowed=True, probes=tuple(places[int(at) - 1] for at in rest))
        wait_ms, at, reason = rest
        return Passage(allowed=False, stopped=places[int(at) - 1], wait_ms=int(wait_ms), reason=reason.decode())

    def open(self, stop: Stop) -> Place | None:
        """Stop a place, or only the person; return what was open before and is stopped now."""
        place, person = stop.place, Place(Scope.DESTINATION, stop.who)
        names = [
            keys.CIRCUITS,
            *(name for at in (place, person) for name in (keys.circuit(at.key), keys.probe(at.key))),
            worker_keys.circuit_suspected(place.key),
        ]
        wide, fresh = self._scripts.run(
            "open",
            names,
            [
                place.key, person.key, stop.who, stop.people, stop.reason, "report" if stop.reported else "answer",
                self._probe_ms, self._longest_ms if stop.grows else self._probe_ms, self._longest_ms,
                milliseconds(SUSPECTED), milliseconds(KEPT),
            ],
        )  # fmt: skip
        if not fresh:
            return None
        return place if wide == 1 else person

    def close(self, places: Sequence[Place], *, delivered_ms: int | None = None) -> Sequence[Place]:
        """Allow sending again and wake the people who wait; return the places that this call opened."""
        return self._close(places, "accepted" if delivered_ms is None else "delivered", sent_ms=delivered_ms or 0)

    def _close(self, places: Sequence[Place], why: str, *, sent_ms: int = 0) -> Sequence[Place]:
        names = [keys.CIRCUITS]
        for place in places:
            names += [keys.circuit(place.key), keys.probe(place.key)]
            names += [keys.circuit_waiting(place.key), worker_keys.circuit_suspected(place.key)]
        args = [why, milliseconds(PROOF), sent_ms, *(place.key for place in places)]
        outcomes = self._scripts.run("reopen", names, args)
        opened = [(place, outcome) for place, outcome in zip(places, outcomes, strict=True) if outcome]
        for place, (suspected, waiting, reason) in opened:
            self._wake(waiting)
            if suspected:
                # their own circuits were opened because of the place
                self._close([Place(Scope.DESTINATION, Who(who.decode())) for who in suspected], "cause")
            if place.scope is Scope.DESTINATION and why != "cause":
                self._probe_alike(reason)
        return [place for place, _ in opened]

    @translated()
    def _probe_alike(self, reason: bytes) -> None:
        """Let the people try at once who were refused for the same reason as one who is not refused any more.

        The account may have been upgraded, or a registration completed.
        """
        for key in self._listed():
            if Place.of_key(key).scope is Scope.DESTINATION and self._redis.hget(keys.circuit(key), "reason") == reason:
                self._redis.delete(keys.probe(key))
                waiting: Any = self._redis.smembers(keys.circuit_waiting(key))
                self._wake(list(waiting))

    def wait(self, place: Place, who: Who) -> bool:
        """Note that a person waits for a place; False if it is open again."""
        names = [keys.circuit(place.key), keys.circuit_waiting(place.key)]
        return bool(self._scripts.run("await", names, [who, milliseconds(KEPT)]))

    @translated()
    def tidy(self) -> None:
        """Wake the people who wait for a place whose circuit has expired."""
        for key in ("", *self._listed()):
            names = [keys.CIRCUITS, keys.circuit(key), keys.circuit_waiting(key)]
            self._wake(self._scripts.run("expired", names, [key]))

    @translated()
    def stopped(self) -> Sequence[Stopped]:
        """List the open circuits, the widest first."""
        names = ["", *self._listed()]
        with self._redis.pipeline(transaction=False) as pipe:
            for key in names:
                ask(pipe, key)
            return listed(names, pipe.execute())

    def _listed(self) -> list[str]:
        found: Any = self._redis.zrange(keys.CIRCUITS, 0, LISTED - 1)
        return [key.decode() for key in found]

    @translated()
    def _wake(self, people: Sequence[bytes]) -> None:
        for start in range(0, len(people), _PUSHED):
            some = people[start : start + _PUSHED]
            self._redis.lpush(keys.QUEUE, *(wakeup.message(payloads.ANSWER_TASK, who.decode()) for who in some))
