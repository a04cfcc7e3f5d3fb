"""The inbox on Redis: each operation is one atomic script.

    inbox:<who>      stream of texts: a text stays until its turn is over
    lease:<who>      token of the worker that serves this person or does this duty (`lease:#reconcile`); expires
    agenda           sorted set: who -> time of the next visit, in milliseconds
    rung:<who>       a wake-up task is in the queue and no worker has taken it; expires
    again:<who>      hash: sid -> how often a waiting text was brought again
    waiting          sorted set: who -> arrival of the oldest unanswered text
    visit:<who>      a visit has begun, and has neither been closed nor parked after success
    people           hash: who -> user id
    receipts         stream of delivery reports, read by the group `binders`
    receipts:rung    a drain was requested and has not begun; expires
    epoch            set by the first sweep; missing: Redis was emptied
    reminded:<who>   a memory task was pushed a moment ago (`reminded:#count`: a recount task); expires
    doorbells        Celery's queue

`inbox.circuit`, `inbox.purse` and `inbox.rates` document their own keys.

Redis must keep what it acknowledged: `appendonly yes`, `appendfsync always`, `maxmemory-policy noeviction`. Every time
is Redis's own `TIME`, taken inside the scripts, so that no two clocks are compared. `<who>` is a keyed hash: no key
shows a telephone number.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from inbox import payloads, wakeup
from inbox.errors import InboxAway
from inbox.payloads import UnreadableEntry, Who
from inbox.ports import COUNT_AGAIN, GRACE, LEASE, REMIND_AGAIN, WAKE_AGAIN, Lease, Receipt, Waiting, milliseconds
from sms.messages import DeliveryReport, InboundSms, address_of, user_of

if TYPE_CHECKING:
    from redis.commands.core import Script

#: After this time another worker takes over a report that its reader abandoned.
RECEIPT_IDLE: Final = timedelta(seconds=10)
#: At most one drain task a second is pushed for reports, unless a drain begins in between.
RECEIPTS_RING: Final = timedelta(seconds=1)

#: How many waiting texts a webhook's text is compared with. If more are waiting, a duplicate may be stored;
#: the worker settles it.
NEWEST_COMPARED: Final = 16

CONNECT_TIMEOUT_SECONDS: Final = 3.0
#: Longer than any blocking read below; a Redis that is silent for longer counts as gone.
SOCKET_TIMEOUT_SECONDS: Final = 10.0
#: A connection that was idle for longer is checked before it is used.
HEALTH_CHECK_SECONDS: Final = 5

_GROUP: Final = "binders"


def script(name: str) -> str:
    """Return the source of a script, such as `accept`."""
    return files("inbox").joinpath("scripts", f"{name}.lua").read_text()


def connect(url: str, *, connections: int = 64) -> redis.Redis:
    """Return a client that notices a dead or half-open connection and never repeats a command."""
    return redis.Redis.from_url(
        url,
        max_connections=connections,
        socket_timeout=SOCKET_TIMEOUT_SECONDS,
        socket_connect_timeout=CONNECT_TIMEOUT_SECONDS,
        socket_keepalive=True,
        health_check_interval=HEALTH_CHECK_SECONDS,
        retry=Retry(NoBackoff(), 0),
    )


@contextmanager
def translated() -> Iterator[None]:
    """Raise `InboxAway` if Redis cannot be reached.

    An error that Redis itself returns is a bug and passes unchanged.
    """
    try:
        yield
    except (redis.ConnectionError, redis.TimeoutError) as exc:
        raise InboxAway(f"redis cannot be reached: {type(exc).__name__}") from exc


#: Keys and arguments that one text or report adds to a script call.
Entry = tuple[Sequence[str], Sequence[bytes | str | int]]


def accept_entry(text: InboundSms, key: bytes, *, per_number: bool = False) -> Entry:
    """Return what one text adds to a call of the script `accept`."""
    user_id = user_of(text.sender, text.to, per_number=per_number)
    name = payloads.who(user_id, key)
    return (
        (f"inbox:{name}", f"again:{name}", f"rung:{name}"),
        (
            name,
            user_id,
            payloads.encode_text(text),
            text.sid,
            wakeup.message(payloads.ANSWER_TASK, name),
            # Twilio repeats a webhook soon, so the newest texts suffice; the reconciler may come at any time
            0 if text.repaired else NEWEST_COMPARED,
        ),
    )


def accept_call(entries: Iterable[Entry]) -> Entry:
    """Return keys and arguments of the script `accept` for some texts; the caller runs it.

    The script returns one outcome for each text.
    """
    keys: list[str] = ["agenda", "people", "waiting", payloads.QUEUE]
    args: list[bytes | str | int] = [milliseconds(GRACE)]
    for more_keys, more_args in entries:
        keys += more_keys
        args += more_args
    return keys, args


def receive_entry(report: DeliveryReport) -> Entry:
    """Return what one report adds to a call of the script `receive`."""
    return (), (payloads.encode_report(report),)


def receive_call(entries: Iterable[Entry]) -> Entry:
    """Return keys and arguments of the script `receive` for some reports; the caller runs it.

    The script returns one outcome for each report.
    """
    reports = [report for _, (report,) in entries]
    return (
        ("receipts", "receipts:rung", payloads.QUEUE),
        (wakeup.message(payloads.RECEIPTS_TASK), milliseconds(RECEIPTS_RING), *reports),
    )


class RedisInbox:
    """`inbox.ports.Inbox` on Redis.

    `who_key`: the key of the hash that hides user ids; webhook and workers share it.
    `per_number`: a person has a separate conversation with each of our numbers.
    """

    def __init__(
        self,
        client: redis.Redis,
        *,
        who_key: bytes,
        lease: timedelta = LEASE,
        wake_again: timedelta = WAKE_AGAIN,
        per_number: bool = False,
    ) -> None:
        self._redis = client
        self._per_number = per_number
        self._who_key = who_key
        self._lease_ms = milliseconds(lease)
        self._ring_again_ms = milliseconds(wake_again)
        self._reader = f"reader-{secrets.token_hex(4)}"
        self._scripts: dict[str, Script] = {
            name: client.register_script(script(name))
            for name in (
                "accept",
                "take",
                "renew",
                "remove",
                "close",
                "release_until",
                "due",
                "request",
                "leave",
                "drop_identity",
            )
        }

    def accept(self, text: InboundSms) -> bool:
        """Make a text durable and push a wake-up task; False if the same text is waiting."""
        [outcome] = self._run("accept", *accept_call([accept_entry(text, self._who_key, per_number=self._per_number)]))
        if isinstance(outcome, bytes):
            raise redis.ResponseError(outcome.decode())
        return bool(outcome)

    def take(self, who: Who) -> Lease | None:
        """Take the lease on a person; None if another worker holds it or the person is unknown."""
        token = secrets.token_hex(12)
        answer = self._run("take", [f"lease:{who}", "people", f"rung:{who}"], [who, token, self._lease_ms])
        if int(answer[0]) != 1:
            return None
        return Lease(
            who=who, user_id=answer[2].decode(), token=token, taken_ms=int(answer[1]), after_death=bool(answer[3])
        )

    def renew(self, lease: Lease) -> bool:
        """Extend a lease; False if it is lost."""
        return bool(self._run("renew", [f"lease:{lease.who}"], [lease.token, self._lease_ms]))

    def take_duty(self, name: str) -> Lease | None:
        """Take the lease on a duty; None if another worker holds it."""
        duty, token = Who(f"#{name}"), secrets.token_hex(12)
        with translated():
            if not self._redis.set(f"lease:{duty}", token, nx=True, px=self._lease_ms):
                return None
        return Lease(who=duty, user_id="", token=token, taken_ms=self.now_ms())

    def leave_duty(self, lease: Lease) -> None:
        """Release the lease on a duty, if it is still held."""
        self._run("leave", [f"lease:{lease.who}"], [lease.token])

    @translated()
    def waiting(self, lease: Lease, *, limit: int) -> Sequence[Waiting]:
        """Return the oldest entries, in order of arrival."""
        entries: Any = self._redis.xrange(f"inbox:{lease.who}", count=limit)
        return [_waiting(entry_id.decode(), fields) for entry_id, fields in entries]

    @translated()
    def wait_for_more(self, lease: Lease, after: str, *, seconds: float) -> bool:
        """Block until a text arrives after the entry `after`; False if the time ran out first."""
        block = max(1, int(seconds * 1000))
        return bool(self._redis.xread({f"inbox:{lease.who}": after}, count=1, block=block))

    def remove(self, lease: Lease, entry_ids: Sequence[str]) -> Mapping[str, int] | None:
        """Remove entries; return the repeated texts by sid, or None if the lease is lost."""
        keys = [f"lease:{lease.who}", f"inbox:{lease.who}", "waiting", f"again:{lease.who}"]
        held, *repeats = self._run("remove", keys, [lease.token, lease.who, *entry_ids])
        if not int(held):
            return None
        return {sid.decode(): int(times) for sid, times in zip(repeats[::2], repeats[1::2], strict=True)}

    def close(self, lease: Lease) -> bool | None:
        """Release the lease if the inbox is empty; None if the lease is lost."""
        keys = [f"lease:{lease.who}", f"inbox:{lease.who}", "agenda", "waiting", f"again:{lease.who}"]
        answer = int(self._run("close", keys, [lease.token, lease.who]))
        return None if answer < 0 else bool(answer)

    def release_until(self, lease: Lease, *, due_ms: int, failed: bool = False) -> None:
        """Release the lease and schedule the next visit."""
        self._run("release_until", [f"lease:{lease.who}", "agenda"], [lease.token, lease.who, due_ms, int(failed)])

    @translated()
    def wake(self, who: Who) -> None:
        """Push a wake-up task for a person."""
        self._redis.lpush(payloads.QUEUE, wakeup.message(payloads.ANSWER_TASK, who))

    def request_memory(self, who: Who) -> None:
        """Push a memory task, unless one was pushed a moment ago."""
        task = wakeup.message(payloads.REMEMBER_TASK, who)
        self._run("request", [f"reminded:{who}", payloads.QUEUE], [task, milliseconds(REMIND_AGAIN)])

    def ask_for_count(self) -> None:
        """Push a recount task, unless one was pushed a moment ago."""
        task = wakeup.message(payloads.COUNT_TASK)
        self._run("request", ["reminded:#count", payloads.QUEUE], [task, milliseconds(COUNT_AGAIN)])

    def drop_identity(self, who: Who) -> bool:
        """Delete the person's user id, unless a text is waiting."""
        return bool(self._run("drop_identity", [f"inbox:{who}", "people"], [who]))

    @translated()
    def forget(self, who: Who, user_id: str) -> int:
        """Delete everything that Redis holds of a person, waiting texts included; return the item count.

        The caller holds the person's lease, or serves no person at all.
        """
        removed = 0
        for entry_id, fields in _flat(self._redis.xrange("receipts")):
            receipt = _receipt(entry_id.decode(), fields)
            if receipt.report is not None and receipt.report.to == address_of(user_id):
                removed += int(self._redis.xdel("receipts", entry_id))
        keys = [f"{name}:{who}" for name in ("inbox", "again", "rung", "visit", "reminded", "streak")]
        keys += [key.decode() for key in self._redis.scan_iter(match=f"rate:*{who}*", count=1000)]
        for day in self._redis.scan_iter(match="purse:day:*", count=1000):
            sums = [f"{kind}:{who}" for kind in ("model", "sms", "last", "urgent:danger", "urgent:help")]
            removed += int(self._redis.hdel(day, *sums))
        removed += int(self._redis.delete(*keys))
        for name in ("agenda", "waiting"):
            removed += int(self._redis.zrem(name, who))
        removed += int(self._redis.hdel("people", who))
        return removed

    @translated()
    def person(self, who: Who) -> str | None:
        """Return the user id of a person, or None if the person is unknown."""
        user_id: Any = self._redis.hget("people", who)
        return user_id.decode() if user_id is not None else None

    def due(self, *, limit: int) -> tuple[Sequence[Who], bool]:
        """List people who are due and not served, and whether Redis was emptied since the last call."""
        emptied, *people = self._run(
            "due", ["agenda", "epoch"], [limit, self._ring_again_ms, "lease:", secrets.token_hex(8)]
        )
        return [Who(name.decode()) for name in people], bool(int(emptied))

    @translated()
    def receipts(self, *, limit: int) -> Sequence[Receipt]:
        """Return new reports, or reports that another reader abandoned if there are none."""
        self._ensure_group()
        fresh: Any = self._redis.xreadgroup(_GROUP, self._reader, {"receipts": ">"}, count=limit)
        streams = list(fresh.items()) if isinstance(fresh, dict) else list(fresh or [])
        entries = _flat(streams[0][1]) if streams else []
        if not entries:
            claimed: Any = self._redis.xautoclaim(
                "receipts", _GROUP, self._reader, min_idle_time=milliseconds(RECEIPT_IDLE), count=limit
            )
            entries = _flat(claimed[1])
        return [_receipt(entry_id.decode(), fields) for entry_id, fields in entries]

    @translated()
    def receipts_done(self, entry_ids: Sequence[str]) -> None:
        """Acknowledge and delete reports in one transaction."""
        if entry_ids:
            with self._redis.pipeline(transaction=True) as pipe:
                pipe.xack("receipts", _GROUP, *entry_ids)
                pipe.xdel("receipts", *entry_ids)
                pipe.execute()

    @translated()
    def drain_begins(self) -> None:
        """Let the next report push a new drain task."""
        self._redis.delete("receipts:rung")

    @translated()
    def oldest_waiting_ms(self) -> int | None:
        """Return when the oldest unanswered text arrived."""
        oldest: Any = self._redis.zrange("waiting", 0, 0, withscores=True)
        return int(oldest[0][1]) if oldest else None

    @translated()
    def now_ms(self) -> int:
        """Return Redis's clock in milliseconds."""
        seconds, microseconds = self._redis.time()
        return int(seconds) * 1000 + int(microseconds) // 1000

    def _ensure_group(self) -> None:
        try:
            self._redis.xgroup_create("receipts", _GROUP, id="0", mkstream=True)
        except redis.ResponseError as exc:
            if "BUSYGROUP" not in str(exc):
                raise

    @translated()
    def _run(self, name: str, keys: Sequence[str], args: Sequence[Any]) -> Any:  # Any: Redis's own replies
        return self._scripts[name](keys=list(keys), args=list(args))


def _flat(entries: Any) -> list[tuple[bytes, dict[bytes, bytes]]]:  # Any: two protocol versions nest differently
    while entries and isinstance(entries[0], list) and entries[0] and isinstance(entries[0][0], list | tuple):
        entries = entries[0]
    return [(entry_id, fields) for entry_id, fields in entries if fields]


def _waiting(entry_id: str, fields: dict[bytes, bytes]) -> Waiting:
    payload = fields.get(b"text", b"")
    try:
        return Waiting(entry_id=entry_id, text=payloads.decode_text(payload), payload=payload)
    except UnreadableEntry:
        return Waiting(entry_id=entry_id, text=None, payload=payload)


def _receipt(entry_id: str, fields: dict[bytes, bytes]) -> Receipt:
    try:
        return Receipt(entry_id=entry_id, report=payloads.decode_report(fields.get(b"report", b"")))
    except UnreadableEntry:
        return Receipt(entry_id=entry_id, report=None)
