"""What the processes count, for Prometheus. Names here, so that dashboards and alarms can be held against one list."""

from __future__ import annotations

import os

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.multiprocess import MultiProcessCollector

REQUESTS = Counter("dadacat_webhook_requests", "Webhook requests by path and status.", ["path", "status"])
ACKNOWLEDGE_SECONDS = Histogram(
    "dadacat_webhook_acknowledge_seconds",
    "From the request's last byte to its answer.",
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0, 5.0),
)
OLDEST_WAITING_SECONDS = Gauge(
    "dadacat_oldest_waiting_seconds",
    "Age of the oldest unanswered text; 0: none waits.",
    multiprocess_mode="mostrecent",
)
SENDING_STOPPED = Gauge(
    "dadacat_sending_stopped",
    "1 while the account or its configuration is wrong and nothing is sent.",
    multiprocess_mode="mostrecent",
)
ALARMS = Counter("dadacat_alarms", "What the carrier said that a person should look at.", ["alarm"])
TURNS = Counter("dadacat_turns", "Turns by how they ended.", ["state"])
PARTS = Counter("dadacat_parts", "Parts by the state an attempt left them in.", ["state"])
THINK_SECONDS = Histogram("dadacat_think_seconds", "How long the cat thought, by engine.", ["engine"])
MEMORIES = Counter("dadacat_memories", "Foldings of old talk into memories, by what became of them.", ["outcome"])
RECEIPTS = Counter("dadacat_receipts", "Delivery reports by what became of them.", ["outcome"])
REPAIRED = Counter("dadacat_repaired", "Rows and texts that the reconciler put back on the road.", ["kind"])


def registry() -> CollectorRegistry:
    """Where the figures are read: this process's, or of all that count together (`webhook.processes`)."""
    if not os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        return REGISTRY
    together = CollectorRegistry()
    MultiProcessCollector(together)  # type: ignore[no-untyped-call]  # prometheus_client's own
    return together
