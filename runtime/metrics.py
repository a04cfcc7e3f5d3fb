"""Define the Prometheus metrics of all processes.

All names stand in this file, so that dashboards and alarms can be checked against one list.
"""

from __future__ import annotations

import os

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.multiprocess import MultiProcessCollector

REQUESTS = Counter("dadacat_webhook_requests", "Webhook requests by path and status.", ["path", "status"])
ACKNOWLEDGE_SECONDS = Histogram(
    "dadacat_webhook_acknowledge_seconds",
    "Time from the request's last byte to the answer.",
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0, 5.0),
)
OLDEST_WAITING_SECONDS = Gauge(
    "dadacat_oldest_waiting_seconds",
    "Age of the oldest unanswered text; 0 if no text waits.",
    multiprocess_mode="mostrecent",
)
SENDING_STOPPED = Gauge(
    "dadacat_sending_stopped",
    "1 while nothing is sent because the account or its configuration is wrong.",
    multiprocess_mode="mostrecent",
)
ALARMS = Counter("dadacat_alarms", "Errors of the carrier that the operator should look at.", ["alarm"])
TURNS = Counter("dadacat_turns", "Turns by final state.", ["state"])
PARTS = Counter("dadacat_parts", "Reply parts by state after an attempt.", ["state"])
THINK_SECONDS = Histogram("dadacat_think_seconds", "Time to generate a reply, by engine.", ["engine"])
DANGERS = Counter("dadacat_dangers", "Replies to texts in which danger was heard, by tier.", ["tier"])
MEMORIES = Counter("dadacat_memories", "Summaries of old turns into memories, by outcome.", ["outcome"])
RECEIPTS = Counter("dadacat_receipts", "Delivery reports by outcome.", ["outcome"])
REPAIRED = Counter("dadacat_repaired", "Rows and texts that the reconciler queued again.", ["kind"])


def registry() -> CollectorRegistry:
    """Return the registry to read: of this process, or of all that count together (`dadacat.serve`)."""
    if not os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        return REGISTRY
    together = CollectorRegistry()
    MultiProcessCollector(together)  # type: ignore[no-untyped-call]  # prometheus_client's own
    return together
