"""The people whom Redis knows, and how one of them is forgotten."""

from __future__ import annotations

from typing import Any, Final

import redis

from inbox import keys
from inbox.connection import Scripts, translated
from inbox.payloads import Who
from inbox.ports import Place
from inbox.reports import forget_reports
from inbox.times import IDENTITY_KEPT, milliseconds
from sms.ports import Scope

#: Of how many people one sweep deletes the user id: it must not hold Redis up.
IDLE_PEOPLE: Final = 500


class RedisPeople:
    """`inbox.ports.People` on Redis."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client
        self._scripts = Scripts(client)

    @translated()
    def user_id(self, who: Who) -> str | None:
        """Return the user id of a person, or None if the person is unknown."""
        user_id: Any = self._redis.hget(keys.PEOPLE, who)
        return user_id.decode() if user_id is not None else None

    def drop_identity(self, who: Who) -> bool:
        """Delete the person's user id, unless a text is waiting."""
        return bool(self._scripts.run("drop_identity", [keys.texts(who), keys.PEOPLE], [who]))

    def forget_idle(self) -> None:
        """Delete the user ids of people who have not texted for long; the next text brings its sender's again."""
        limits = [milliseconds(IDENTITY_KEPT), IDLE_PEOPLE, keys.texts(Who(""))]
        self._scripts.run("forget_idle", [keys.SERVED, keys.PEOPLE], limits)

    @translated()
    def forget(self, who: Who, user_id: str) -> int:
        """Delete everything that Redis holds of a person; return the item count."""
        removed = forget_reports(self._redis, who, user_id)
        names = _names(who)
        for pattern in _patterns(who):
            names += [name.decode() for name in self._redis.scan_iter(match=pattern, count=1000)]
        for day in self._redis.scan_iter(match=keys.spent_on("*"), count=1000):
            theirs = [field for field, _ in self._redis.hscan_iter(day, match=f"*:{who}", count=1000)]
            removed += int(self._redis.hdel(day, *theirs)) if theirs else 0
        removed += int(self._redis.delete(*names))
        for name in (keys.AGENDA, keys.WAITING, keys.SERVED):
            removed += int(self._redis.zrem(name, who))
        removed += self._forget_circuit(who)
        return removed + int(self._redis.hdel(keys.PEOPLE, who))

    def _forget_circuit(self, who: Who) -> int:
        """Delete the person's own circuit, and the person's place in those of our senders."""
        key = Place(Scope.DESTINATION, who).key
        names = (keys.circuit(key), keys.probe(key), keys.circuit_waiting(key), keys.circuit_suspected(key))
        removed = int(self._redis.delete(*names)) + int(self._redis.zrem(keys.CIRCUITS, key))
        for pattern in (keys.circuit_waiting("*"), keys.circuit_suspected("*")):
            for name in self._redis.scan_iter(match=pattern, count=1000):
                removed += int(self._redis.srem(name, who))
        return removed


def _names(who: Who) -> list[str]:
    """Return every key that belongs to one person, except the lease and what `_patterns` finds."""
    owned = (keys.texts, keys.repeats, keys.wake_up, keys.visit, keys.memory_requested, keys.streak)
    return [of(who) for of in owned]


def _patterns(who: Who) -> list[str]:
    """Return the patterns that find a person's token buckets and paced queues."""
    return [keys.bucket(f"*{who}*"), keys.pace(f"*{who}*")]
