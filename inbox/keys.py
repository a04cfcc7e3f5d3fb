"""The names in Redis that the webhook writes or reads; `inbox.worker_keys` has all others.

`who` is a person's hash (`inbox.payloads.who`), such as `6f1ed002ab5595859014ebf0`: no key shows a telephone number.
A key without a lifetime stays until it is deleted.
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
#: Hash, who -> user id, such as `+15551230001`; for `inbox.durations.IDENTITY_KEPT` after the person's last visit.
PEOPLE: Final = "people"

#: Stream of delivery reports; each stays until it is in the journal.
REPORTS: Final = "receipts"
#: String: a drain of the reports was requested and has not begun; for `inbox.durations.DRAIN_AGAIN`.
DRAIN_REQUESTED: Final = "receipts:rung"

#: The account's circuit breaker: see `circuit`.
CIRCUIT: Final = "circuit"
#: The account's probe: see `probe`.
PROBE: Final = "circuit:probe"
#: Sorted set of the open circuits other than the account's, such as `sender:+15005550006`, by when they opened.
CIRCUITS: Final = "circuits"


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


def texts(who: str) -> str:
    """Stream of a person's texts; each stays until its turn is over."""
    return f"inbox:{who}"


def wake_up(who: str) -> str:
    """Whether a wake-up task is queued that no worker has taken; for `inbox.durations.GRACE`."""
    return f"rung:{who}"


def repeats(who: str) -> str:
    """Hash, sid -> how often a waiting text was brought again; until the person's inbox is empty."""
    return f"again:{who}"
