"""Every name in Redis: keys, streams and the queue.

`who` is a person's hash (`inbox.payloads.who`), such as `6f1ed002ab5595859014ebf0`: no key shows a telephone number.
`sid` is a MessageSid, such as `SM` and 32 hexadecimal digits. A key without a lifetime stays until it is deleted.
The names are stored: a worker of an earlier release reads and writes the same keys.
"""

from __future__ import annotations

from typing import Final

#: Celery's queue, a list of wake-up tasks: the sweep sends a lost one again.
QUEUE: Final = "doorbells"

#: Sorted set, who -> time of the next visit in milliseconds.
AGENDA: Final = "agenda"
#: Sorted set, who -> arrival of the oldest unanswered text in milliseconds.
WAITING: Final = "waiting"
#: Hash, who -> user id, such as `+15551230001`; for `inbox.times.IDENTITY_KEPT` after the person's last visit.
PEOPLE: Final = "people"
#: Sorted set, who -> end of the last visit that left nothing waiting, in milliseconds; for as long.
SERVED: Final = "served"
#: String, set by the first sweep; missing: Redis was emptied.
EPOCH: Final = "epoch"

#: Stream of delivery reports; each stays until it is in the journal.
REPORTS: Final = "receipts"
#: The group of workers that reads the stream of reports.
REPORT_READERS: Final = "binders"
#: String: a drain of the reports was requested and has not begun; for `inbox.times.DRAIN_AGAIN`.
DRAIN_REQUESTED: Final = "receipts:rung"
#: String: a recount was requested a moment ago; for `inbox.times.COUNT_AGAIN`.
COUNT_REQUESTED: Final = "reminded:#count"

#: The account's circuit breaker: see `circuit`.
CIRCUIT: Final = "circuit"
#: The account's probe: see `probe`.
PROBE: Final = "circuit:probe"
#: Sorted set of the open circuits other than the account's, such as `sender:+15005550006`, by when they opened.
CIRCUITS: Final = "circuits"

#: String, set when the totals of what was spent are complete; missing: Redis was emptied.
BUDGET_EPOCH: Final = "purse:epoch"
#: Hash, during a recount: its epoch, day, cursor, the counting process (`counter`) and its deadline (`until`).
RECOUNT: Final = "purse:count"

#: Hash of figures that are shown as metrics, by name: `held`, `dead`, `set_aside`, `sent_after_stop`, `audited_at`.
FIGURES: Final = "figures:noted"
#: Stream of what operators did in the console, each entry before it is done; the newest `console.audit.KEPT`.
AUDIT: Final = "console:audit"

#: What precedes a person or a duty in the key of its lease; the script `due` appends the rest.
LEASE_PREFIX: Final = "lease:"


def circuit(place: str) -> str:
    """Hash of an open circuit breaker; until it is closed, or unused for `inbox.circuit.KEPT`.

    `place` is such as `sender:+15005550006`, `channel:whatsapp:+15005550006` or `destination:` with a hash, empty for
    the account. Fields: `reason`, `since`, `last`, `times`, `pause`, `by`; an earlier release knows the first two.
    """
    return f"{CIRCUIT}:{place}" if place else CIRCUIT


def probe(place: str) -> str:
    """Whether one send was let through an open circuit a moment ago; for the time between two probes."""
    return f"{PROBE}:{place}" if place else PROBE


def circuit_waiting(place: str) -> str:
    """Set of the people whose replies wait for a circuit; until it is closed."""
    return f"{CIRCUIT}:waiting:{place}"


def circuit_suspected(place: str) -> str:
    """Set of the people who were refused because of a sender or channel; for `inbox.circuit.SUSPECTED`."""
    return f"{CIRCUIT}:suspected:{place}"


def texts(who: str) -> str:
    """Stream of a person's texts; each stays until its turn is over."""
    return f"inbox:{who}"


def lease(holder: str) -> str:
    """Token of the worker that serves a person or does a duty (`#reconcile`); for the length of a lease."""
    return f"{LEASE_PREFIX}{holder}"


def wake_up(who: str) -> str:
    """Whether a wake-up task is queued that no worker has taken; for `inbox.times.GRACE`."""
    return f"rung:{who}"


def repeats(who: str) -> str:
    """Hash, sid -> how often a waiting text was brought again; until the person's inbox is empty."""
    return f"again:{who}"


def visit(who: str) -> str:
    """Token of the lease of a visit that has begun; until it is closed, or released without a failure.

    It begins with `again` if the visit before it died or failed.
    """
    return f"visit:{who}"


def memory_requested(who: str) -> str:
    """Whether a memory task was pushed a moment ago; for `inbox.times.REMIND_AGAIN`."""
    return f"reminded:{who}"


def bucket(key: str) -> str:
    """Hash of a token bucket: `tokens` and `at`; until the bucket is full again."""
    return f"rate:{key}"


def verdict(sid: str) -> str:
    """Whether a text exceeds a limit, and which; for `inbox.rates.VERDICT_KEPT`."""
    return f"limited:{sid}"


def pace(key: str) -> str:
    """Time until which a queue is taken, in milliseconds; until a second after that time."""
    return f"pace:{key}"


def streak(who: str) -> str:
    """Count of texts in a row that look like a machine's; for `inbox.rates.STREAK_KEPT`."""
    return f"streak:{who}"


def streak_at(sid: str) -> str:
    """Hold that count as of one text; for `inbox.rates.STREAK_KEPT`."""
    return f"streaked:{sid}"


def spent_on(day: str) -> str:
    """Hash of what was spent on a day, such as `2026-11-29`; for `inbox.budget.DAY_KEPT`.

    Its fields are `model`, `sms` and `beyond`: a cap for all people was exceeded once. Those of a person end with the
    hash, such as `urgent:danger:SM1:{who}`: amounts, and the turns of a last line and of urgent replies.
    """
    return f"purse:day:{day}"


def spent_in(month: str) -> str:
    """Hash of what was spent in a month, such as `2026-11`; for `inbox.budget.MONTH_KEPT`.

    Its fields are `model`, `sms` and `beyond`.
    """
    return f"purse:month:{month}"


def console_session(digest: str) -> str:
    """Hash of one login at the console, by the digest of its cookie; for `console.sessions.IDLE`.

    Fields: `name`, `role`, `stamp`, `csrf`, `begun`, `said`, and `shown:` with a person's hash.
    """
    return f"console:session:{digest}"


def console_tries(address: str) -> str:
    """Count of the attempts to log in from one address, or `all`; for `console.sessions.TRIES_IN`."""
    return f"console:tries:{address}"
