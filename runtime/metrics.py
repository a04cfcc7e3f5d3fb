"""Define the Prometheus metrics of all processes.

All names stand in this file, so that dashboards and alarms can be checked against one list.
They have a registry of their own: Flower exports the default one, where ours would only be zeros.
"""

from __future__ import annotations

import os
from functools import partial
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector
from prometheus_client.multiprocess import MultiProcessCollector

REGISTRY: Final = CollectorRegistry()
ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)
_counter = partial(Counter, registry=REGISTRY)
_gauge = partial(Gauge, registry=REGISTRY)
_histogram = partial(Histogram, registry=REGISTRY)

REQUESTS = _counter("dadacat_webhook_requests", "Webhook requests by path and status.", ["path", "status"])
ACKNOWLEDGE_SECONDS = _histogram(
    "dadacat_webhook_acknowledge_seconds",
    "Time from the request's last byte to the answer.",
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0, 5.0),
)
OLDEST_WAITING_SECONDS = _gauge(
    "dadacat_oldest_waiting_seconds",
    "Age of the oldest unanswered text; 0 if no text waits.",
    multiprocess_mode="mostrecent",
)
SENDING_STOPPED = _gauge(
    "dadacat_sending_stopped",
    "1 while nothing is sent because Twilio refuses the account.",
    multiprocess_mode="mostrecent",
)
STOPPED = _gauge(
    "dadacat_stopped",
    "Open circuit breakers by scope: account, sender, channel, destination.",
    ["scope"],
    multiprocess_mode="mostrecent",
)
STOPPED_PEOPLE = _gauge(
    "dadacat_stopped_people",
    "People whose replies wait for an open circuit breaker, by its scope.",
    ["scope"],
    multiprocess_mode="mostrecent",
)
ALARMS = _counter("dadacat_alarms", "Refusals by the carrier or a store that the operator should look at.", ["alarm"])
SET_ASIDE = _counter("dadacat_set_aside", "Items that could not be handled, so that the others went on.", ["kind"])
TURNS = _counter("dadacat_turns", "Turns by final state.", ["state"])
PARTS = _counter("dadacat_parts", "Reply parts by state after an attempt.", ["state"])
THINK_SECONDS = _histogram("dadacat_think_seconds", "Time to generate a reply, by engine.", ["engine"])
DANGERS = _counter("dadacat_dangers", "Replies to texts in which danger was heard, by tier.", ["tier"])
MEMORIES = _counter("dadacat_memories", "Summaries of old turns into memories, by outcome.", ["outcome"])
RECEIPTS = _counter("dadacat_receipts", "Delivery reports by outcome.", ["outcome"])
CONSOLE_LOGINS = _counter(
    "dadacat_console_logins", "Attempts to log in to the console: done, refused, limited.", ["outcome"]
)
REPAIRED = _counter("dadacat_repaired", "Rows and texts that the reconciler queued again.", ["kind"])


def registry() -> CollectorRegistry:
    """Return the registry to read: of this process, or of all that count together (`dadacat.serve`)."""
    if not os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        return REGISTRY
    together = CollectorRegistry()
    MultiProcessCollector(together)  # type: ignore[no-untyped-call]  # prometheus_client's own
    return together
