"""Ask Prometheus for our alarms."""

from __future__ import annotations

from collections.abc import Iterator

from operations import prometheus
from operations.alarms import ALARMS, RUNBOOK
from operations.doctor.findings import Result, ok, warning
from operations.prometheus import NotPrometheus
from runtime.settings import Settings


def check(chosen: Settings) -> Iterator[Result]:
    """Ask Prometheus, if one is named, whether it has our alarms and which of them fire."""
    url = chosen.observability.prometheus_url
    if url is None:
        return
    try:
        states = prometheus.states(url)
    except NotPrometheus as exc:
        yield warning(f"{url} does not answer as Prometheus does ({exc.cause})", "check PROMETHEUS_URL")
        return
    missing = [alarm.name for alarm in ALARMS if alarm.name not in states]
    if missing:
        what = f"Prometheus has not the alarms {', '.join(missing[:3])}{' and others' if missing[3:] else ''}"
        yield warning(what, "give it deploy/observability/alarms.yml")
    firing = [alarm for alarm in ALARMS if states.get(alarm.name) == "firing"]
    for alarm in firing:
        yield warning(f"{alarm.name} fires", f"see {RUNBOOK}#{alarm.section}")
    if not missing and not firing:
        yield ok(f"Prometheus has all {len(ALARMS)}, and none fires")
