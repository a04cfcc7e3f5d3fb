"""Ask Prometheus which alarms are pending or firing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import httpx

#: Prometheus is on the same network, and a page waits for it.
TIMEOUT_SECONDS: Final = 2.0
#: Prometheus itself evaluates its rules every 15 s or more.
AGAIN_SECONDS: Final = 5.0
#: A page lists no more.
MOST: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """One alarm that is pending or firing."""

    name: str
    state: str
    severity: str
    summary: str
    #: When it began, in ISO 8601.
    since: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarms:
    """What Prometheus says; `problem` is not empty if it says nothing."""

    alarms: Sequence[Alarm] = ()
    problem: str = ""


class Prometheus:
    """The alarms of one Prometheus, asked for at most every `AGAIN_SECONDS`."""

    def __init__(self, url: str, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._url = url
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._latest = Alarms()
        self._due = 0.0

    def alarms(self) -> Alarms:
        """Return what is pending or firing, the firing first."""
        with self._lock:
            if self._monotonic() >= self._due:
                self._latest = self._ask()
                self._due = self._monotonic() + AGAIN_SECONDS
            return self._latest

    def _ask(self) -> Alarms:
        try:
            answer = httpx.get(f"{self._url}/api/v1/alerts", timeout=TIMEOUT_SECONDS)
            found = [_alarm(given) for given in answer.raise_for_status().json()["data"]["alerts"]]
        except httpx.HTTPError as exc:
            return Alarms(problem=f"Prometheus does not answer ({type(exc).__name__})")
        except (ValueError, KeyError, TypeError):
            return Alarms(problem="what answers at PROMETHEUS_URL is no Prometheus")
        return Alarms(alarms=sorted(found, key=lambda alarm: (alarm.state != "firing", alarm.name))[:MOST])


def _alarm(given: Mapping[str, Any]) -> Alarm:  # Any: JSON
    labels, notes = given["labels"], given.get("annotations", {})
    return Alarm(
        name=str(labels.get("alertname", "")),
        state=str(given["state"]),
        severity=str(labels.get("severity", "")),
        summary=str(notes.get("summary") or notes.get("description") or ""),
        since=str(given.get("activeAt", "")),
    )
