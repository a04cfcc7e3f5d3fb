"""Declare Prometheus metrics, and those that the webhook sets; `worker.metrics` has the others.

The registry is our own: Flower exports the default one, where ours would only be zeros.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from itertools import product
from typing import Final

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector
from prometheus_client.multiprocess import MultiProcessCollector

# no rule asks when a counter began, and its series would be as many again
prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]  # the library's own
REGISTRY: Final = CollectorRegistry()
ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)


def counter(name: str, meaning: str, **labels: Sequence[str]) -> Counter:
    """Declare a counter, with the known values of each label.

    Their series exist from the start, at 0: Prometheus does not see the increase of a series that begins at 1.
    """
    declared = Counter(name, meaning, list(labels), registry=REGISTRY)
    for values in product(*labels.values()) if labels else ():
        declared.labels(*values)
    return declared


#: A gauge. Where several processes count together, the value that was set last is shown.
gauge: Final = partial(Gauge, registry=REGISTRY, multiprocess_mode="mostrecent")
histogram: Final = partial(Histogram, registry=REGISTRY)

REQUESTS = counter(
    "dadacat_webhook_requests",
    "Webhook requests by path and status.",
    path=("/sms", "/sms/fallback", "/sms/status"),
    status=("403", "503"),
)
ACKNOWLEDGE_SECONDS = histogram(
    "dadacat_webhook_acknowledge_seconds",
    "Time from the request's last byte to the answer.",
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0, 5.0),
)
READY = gauge("dadacat_process_ready", "1 while a process does its work, 0 while it is in trouble.", ["process"])
REDIS_UP = gauge("dadacat_redis_up", "1 if Redis answered this process at the last scrape, else 0.")
OLDEST_WAITING_SECONDS = gauge("dadacat_oldest_waiting_seconds", "Age of the oldest unanswered text, or 0.")
SENDING_STOPPED = gauge("dadacat_sending_stopped", "1 while nothing is sent because Twilio refuses the account.")
STOPPED = gauge("dadacat_stopped", "Open circuit breakers by scope, from account to destination.", ["scope"])
STOPPED_PEOPLE = gauge("dadacat_stopped_people", "People who wait for an open circuit breaker, by scope.", ["scope"])


def registry() -> CollectorRegistry:
    """Return the registry to read: of this process, or of all that count together (`dadacat.serve`)."""
    if not os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        return REGISTRY
    together = CollectorRegistry()
    MultiProcessCollector(together)  # type: ignore[no-untyped-call]  # prometheus_client's own
    return together
