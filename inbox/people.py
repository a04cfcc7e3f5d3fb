"""The people whom Redis knows, and how one of them is forgotten."""

from __future__ import annotations

from typing import Any, Final

import redis

from inbox import keys, worker_keys
from inbox.connection import Scripts, translated
from inbox.durations import IDENTITY_KEPT, milliseconds
from inbox.payloads import Who
from inbox.ports import Place
from inbox.reports import forget_reports
from sms.ports import Scope

#: Of how many people one sweep deletes the user id: it must not hold Redis up.
IDLE_PEOPLE: Final = 500


class RedisPeople:
    """`inbox.ports.People` on Redis."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client
        self._scripts = Scripts(client)
        #: Where the last look at all people ended.
        self._cursor: Any = 0  # Any: Redis's own form

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
        limits = [milliseconds(IDENTITY_KEPT), IDLE_PEOPLE, keys.texts(Who("")), self._cursor]
        self._cursor = self._scripts.run("forget_idle", [worker_keys.SERVED, keys.PEOPLE], limits)

    @translated()
    def forget(self, who: Who, user_id: str, *, through: str | None = None) -> int:
        """Delete everything that Redis holds of a person, but texts behind `through`; return the item count."""
        removed = forget_reports(self._redis, who, user_id)
        names = [worker_keys.memory_requested(who), worker_keys.streak(who)]
        # the person's token buckets and paced queues
        for pattern in (worker_keys.bucket(f"*{who}*"), worker_keys.pace(f"*{who}*")):
            names += [name.decode() for name in self._redis.scan_iter(match=pattern, count=1000)]
        for day in self._redis.scan_iter(match=worker_keys.spent_on("*"), count=1000):
            theirs = [field for field, _ in self._redis.hscan_iter(day, match=f"*:{who}", count=1000)]
            removed += int(self._redis.hdel(day, *theirs)) if theirs else 0
        removed += int(self._redis.delete(*names))
        removed += self._forget_circuit(who)
        own = [keys.texts(who), keys.repeats(who), keys.wake_up(who), worker_keys.visit(who)]
        names = [*own, keys.AGENDA, keys.WAITING, worker_keys.SERVED, keys.PEOPLE]
        # last, because the looks at many keys take long, and a text may come meanwhile
        return removed + int(self._scripts.run("forget", names, [who, through or "+"]))

    def _forget_circuit(self, who: Who) -> int:
        """Delete the person's own circuit, and the person's place in those of our senders."""
        key = Place(Scope.DESTINATION, who).key
        names = (keys.circuit(key), keys.probe(key), keys.circuit_waiting(key), worker_keys.circuit_suspected(key))
        removed = int(self._redis.delete(*names)) + int(self._redis.zrem(keys.CIRCUITS, key))
        for pattern in (keys.circuit_waiting("*"), worker_keys.circuit_suspected("*")):
            for name in self._redis.scan_iter(match=pattern, count=1000):
                removed += int(self._redis.srem(name, who))
        return removed
