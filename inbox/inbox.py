"""The inbox on Redis: texts, leases, the agenda and the clock.

`inbox.keys` and `inbox.worker_keys` name the keys.
Each operation is one atomic script, and every time is Redis's own: no two clocks are compared.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import redis

from inbox import arrivals, decoding, keys, payloads, wakeup, worker_keys
from inbox.connection import Scripts, translated
from inbox.decoding import UnreadableEntry
from inbox.durations import COUNT_AGAIN, REMIND_AGAIN, milliseconds, moment
from inbox.payloads import Who
from inbox.people import RedisPeople
from inbox.ports import Inbox, Lease, Waiting
from inbox.reports import RedisReports
from sms.messages import InboundSms


def on_redis(
    client: redis.Redis,
    *,
    who_key: bytes,
    lease: timedelta,
    wake_again: timedelta,
    per_number: bool = False,
) -> Inbox:
    """Return the inbox on this Redis.

    `who_key`: the key of the hash that hides user ids; webhook and workers share it.
    `per_number`: a person has a separate conversation with each of our numbers.
    """
    clock = RedisClock(client)
    return Inbox(
        texts=RedisTexts(client, who_key=who_key, per_number=per_number),
        leases=RedisLeases(client, clock, length=lease),
        agenda=RedisAgenda(client, wake_again=wake_again),
        people=RedisPeople(client),
        reports=RedisReports(client),
        clock=clock,
    )


class RedisTexts:
    """`inbox.ports.Texts` on Redis."""

    def __init__(self, client: redis.Redis, *, who_key: bytes, per_number: bool) -> None:
        self._redis = client
        self._scripts = Scripts(client)
        self._who_key = who_key
        self._per_number = per_number

    def accept(self, text: InboundSms, *, user_id: str | None = None) -> bool:
        """Make a text durable and push a wake-up task; False if the same text is waiting."""
        entry = arrivals.accept_entry(text, self._who_key, per_number=self._per_number, user_id=user_id)
        [outcome] = self._scripts.run("accept", *arrivals.accept_call([entry]))
        if isinstance(outcome, bytes):
            with translated():
                raise redis.ResponseError(outcome.decode())
        return bool(outcome)

    @translated()
    def waiting(self, lease: Lease, *, limit: int) -> Sequence[Waiting]:
        """Return the oldest entries, in order of arrival."""
        entries: Any = self._redis.xrange(keys.texts(lease.who), count=limit)
        return [_waiting(entry_id.decode(), fields) for entry_id, fields in entries]

    @translated()
    def is_waiting(self, user_id: str, sid: str) -> bool:
        """Return whether a text waits in this conversation."""
        entries: Any = self._redis.xrange(keys.texts(payloads.who(user_id, self._who_key)))
        return any(fields.get(b"sid") == sid.encode() for _, fields in entries)

    @translated()
    def wait_for_more(self, lease: Lease, after: str, *, seconds: float) -> bool:
        """Block until a text arrives after the entry `after`; False if the time ran out first."""
        block = max(1, int(seconds * 1000))
        return bool(self._redis.xread({keys.texts(lease.who): after}, count=1, block=block))

    def remove(self, lease: Lease, entry_ids: Sequence[str]) -> Mapping[str, int] | None:
        """Remove entries; return the repeated texts by sid, or None if the lease is lost."""
        who = lease.who
        names = [worker_keys.lease(who), keys.texts(who), keys.WAITING, keys.repeats(who)]
        held, *repeats = self._scripts.run("remove", names, [lease.token, who, *entry_ids])
        if not int(held):
            return None
        return {sid.decode(): int(times) for sid, times in zip(repeats[::2], repeats[1::2], strict=True)}

    @translated()
    def oldest_waiting_ms(self) -> int | None:
        """Return when the oldest unanswered text arrived."""
        oldest: Any = self._redis.zrange(keys.WAITING, 0, 0, withscores=True)
        return int(oldest[0][1]) if oldest else None


class RedisLeases:
    """`inbox.ports.Leases` on Redis."""

    def __init__(self, client: redis.Redis, clock: RedisClock, *, length: timedelta) -> None:
        self._redis = client
        self._scripts = Scripts(client)
        self._clock = clock
        self._length_ms = milliseconds(length)

    def take(self, who: Who, *, token: str | None = None) -> Lease | None:
        """Take the lease on a person; None if another worker holds it or the person is unknown."""
        token = token or secrets.token_hex(12)
        own = [keys.wake_up(who), worker_keys.visit(who), keys.texts(who)]
        names = [worker_keys.lease(who), keys.PEOPLE, *own, keys.AGENDA]
        taken, *answer = self._scripts.run("take", names, [who, token, self._length_ms])
        if int(taken) != 1:
            return None
        now_ms, user_id, died = answer
        return Lease(who=who, user_id=user_id.decode(), token=token, taken_ms=int(now_ms), after_death=bool(died))

    def renew(self, lease: Lease) -> bool:
        """Extend a lease; False if it is lost."""
        return bool(self._scripts.run("renew", [worker_keys.lease(lease.who)], [lease.token, self._length_ms]))

    def close(self, lease: Lease) -> bool | None:
        """Release the lease if the inbox is empty; None if the lease is lost."""
        who = lease.who
        own = [keys.repeats(who), worker_keys.visit(who)]
        names = [worker_keys.lease(who), keys.texts(who), keys.AGENDA, keys.WAITING, *own, worker_keys.SERVED]
        answer = int(self._scripts.run("close", names, [lease.token, who]))
        return None if answer < 0 else bool(answer)

    def release_until(self, lease: Lease, *, due_ms: int, failed: bool = False) -> None:
        """Release the lease and schedule the next visit."""
        names = [worker_keys.lease(lease.who), keys.AGENDA, worker_keys.visit(lease.who)]
        self._scripts.run("release_until", names, [lease.token, lease.who, due_ms, int(failed)])

    def give_back(self, who: Who, token: str) -> bool:
        """Release the lease of a dead worker, after the first death of a visit."""
        names = [worker_keys.lease(who), keys.AGENDA, worker_keys.visit(who)]
        return bool(self._scripts.run("give_back", names, [token, who]))

    def take_duty(self, name: str) -> Lease | None:
        """Take the lease on a duty; None if another worker holds it."""
        duty, token = Who(f"#{name}"), secrets.token_hex(12)
        with translated():
            if not self._redis.set(worker_keys.lease(duty), token, nx=True, px=self._length_ms):
                return None
        return Lease(who=duty, user_id="", token=token, taken_ms=self._clock.now_ms())

    def leave_duty(self, lease: Lease) -> None:
        """Release the lease on a duty, if it is still held."""
        self._scripts.run("leave", [worker_keys.lease(lease.who)], [lease.token])


class RedisAgenda:
    """`inbox.ports.Agenda` on Redis."""

    def __init__(self, client: redis.Redis, *, wake_again: timedelta) -> None:
        self._redis = client
        self._scripts = Scripts(client)
        self._wake_again_ms = milliseconds(wake_again)

    def due(self, *, limit: int) -> tuple[Sequence[Who], bool]:
        """List people who are due and not served, and whether Redis was emptied since the last call."""
        args = [limit, self._wake_again_ms, worker_keys.LEASE_PREFIX, secrets.token_hex(8)]
        emptied, *people = self._scripts.run("due", [keys.AGENDA, worker_keys.EPOCH], args)
        return [Who(name.decode(errors="replace")) for name in people], bool(int(emptied))

    @translated()
    def wake(self, *people: Who) -> None:
        """Push a wake-up task for each of these people."""
        if people:
            self._redis.lpush(keys.QUEUE, *(wakeup.message(payloads.ANSWER_TASK, who) for who in people))

    @translated()
    def queued(self) -> int:
        """Return how many tasks no worker has taken yet."""
        tasks: Any = self._redis.llen(keys.QUEUE)
        return int(tasks)

    def request_memory(self, who: Who) -> None:
        """Push a memory task, unless one was pushed a moment ago."""
        self._request(worker_keys.memory_requested(who), wakeup.message(payloads.REMEMBER_TASK, who), REMIND_AGAIN)

    def request_count(self) -> None:
        """Push a recount task, unless one was pushed a moment ago."""
        self._request(worker_keys.COUNT_REQUESTED, wakeup.message(payloads.COUNT_TASK), COUNT_AGAIN)

    def _request(self, requested: str, task: bytes, again: timedelta) -> None:
        self._scripts.run("request", [requested, keys.QUEUE], [task, milliseconds(again)])


class RedisClock:
    """`inbox.ports.Clock` on Redis."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client

    @translated()
    def now_ms(self) -> int:
        """Return Redis's clock in milliseconds."""
        seconds, microseconds = self._redis.time()
        return int(seconds) * 1000 + int(microseconds) // 1000

    def now(self) -> datetime:
        """Return Redis's clock as a time."""
        return moment(self.now_ms())


def _waiting(entry_id: str, fields: Mapping[bytes, bytes]) -> Waiting:
    payload = fields.get(b"text", b"")
    try:
        return Waiting(entry_id=entry_id, text=decoding.decode_text(payload), payload=payload)
    except UnreadableEntry:
        return Waiting(entry_id=entry_id, text=None, payload=payload)
