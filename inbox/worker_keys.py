"""The names in Redis that only workers, commands and the console know; `inbox.keys` has the webhook's.

`who` is a person's hash, and `sid` a MessageSid, such as `SM` and 32 hexadecimal digits.
A key without a lifetime stays until it is deleted.
The names are stored: a worker of an earlier release reads and writes the same keys.
"""

from __future__ import annotations

from typing import Final

from inbox import keys

#: Sorted set, who -> end of the last visit that left nothing waiting, in milliseconds, or when the sweep first saw a
#: user id without one; as long as `inbox.keys.PEOPLE`.
SERVED: Final = "served"
#: String, set by the first sweep; missing: Redis was emptied.
EPOCH: Final = "epoch"

#: The group of workers that reads the stream of reports.
REPORT_READERS: Final = "binders"
#: String: a recount was requested a moment ago; for `inbox.durations.COUNT_AGAIN`.
COUNT_REQUESTED: Final = "reminded:#count"

#: String, set when the totals of what was spent are complete; missing: Redis was emptied.
BUDGET_EPOCH: Final = "purse:epoch"
#: Hash, during a recount: its epoch, day, cursor, the counting process (`counter`) and its deadline (`until`).
RECOUNT: Final = "purse:count"

#: Hash of figures that are shown as metrics, by name: `held`, `dead`, `set_aside`, `sent_after_stop`, `audited_at`.
FIGURES: Final = "figures:noted"
#: Stream of what operators did in the console, each entry before it is done; the newest `console.audit.KEPT`.
AUDIT: Final = "console:audit"
#: Stream of the attempts to log in that failed; the newest `console.audit.KEPT_REFUSALS`.
REFUSED_LOGINS: Final = "console:refused"

#: What precedes a person or a duty in the key of its lease; the script `due` appends the rest.
LEASE_PREFIX: Final = "lease:"


def circuit_suspected(place: str) -> str:
    """Set of the people who were refused because of a sender or channel; for `inbox.circuit.SUSPECTED`."""
    return f"{keys.CIRCUIT}:suspected:{place}"


def lease(holder: str) -> str:
    """Token of the worker that serves a person or does a duty (`#reconcile`); for the length of a lease."""
    return f"{LEASE_PREFIX}{holder}"


def visit(who: str) -> str:
    """Token of the lease of a visit that has begun; until it is closed, or released without a failure.

    It begins with `again` if the visit before it died or failed.
    """
    return f"visit:{who}"


def memory_requested(who: str) -> str:
    """Whether a memory task was pushed a moment ago; for `inbox.durations.REMIND_AGAIN`."""
    return f"reminded:{who}"


def bucket(key: str) -> str:
    """Hash of a token bucket: `tokens` and `at`; for `inbox.rates.BUCKET_KEPT` after it is full again."""
    return f"rate:{key}"


def verdict(sid: str) -> str:
    """Whether a text exceeds a limit, and which; for as long as the text may be answered."""
    return f"limited:{sid}"


def pace(key: str) -> str:
    """Time until which a queue is taken, in milliseconds; until a second after that time."""
    return f"pace:{key}"


def sent(key: str) -> str:
    """List of the times of the newest events in a window, newest first; for the length of the window."""
    return f"{pace(key)}:sent"


def streak(who: str) -> str:
    """Count of texts in a row that look like a machine's; for `inbox.rates.STREAK_KEPT`."""
    return f"streak:{who}"


def streak_at(sid: str) -> str:
    """Hold that count as of one text; for `inbox.rates.STREAK_KEPT`."""
    return f"streaked:{sid}"


def spent_on(day: str) -> str:
    """Hash of what was spent on a day, such as `2026-11-29`; for `inbox.budget.DAY_KEPT`.

    Its fields are `model`, `sms` and `beyond`: a cap for all people was exceeded once. Those of a person end with the
    hash, such as `urgent:danger:SM1:{who}`: amounts, those set aside for the messages of a turn that is not answered
    yet (`aside:SM1:{who}`), and the turns of a last line and of urgent replies.
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
