"""Ask Prometheus which alarms it has, and which are pending or firing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import httpx

from runtime.loopback import is_loopback

#: Prometheus is on the same network, and a page waits for it.
TIMEOUT_SECONDS: Final = 2.0
#: Prometheus itself evaluates its rules every 15 s or more.
AGAIN_SECONDS: Final = 5.0
#: The states of an alarm, the worst last.
STATES: Final = ("inactive", "pending", "firing")
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


class NotPrometheus(Exception):
    """Prometheus does not answer, or what answers is another program; `cause` is the name of the error."""

    def __init__(self, message: str, cause: Exception) -> None:
        super().__init__(message)
        self.cause = type(cause).__name__


def states(url: str) -> dict[str, str]:
    """Return the state of each alarm that Prometheus has, by its name. Raises `NotPrometheus`.

    A recording rule has no state. Of alarms with one name, as other teams may have, the worst state counts.
    """
    with _understood():
        rules = [rule for group in _data(url, "rules")["groups"] for rule in group["rules"] if "state" in rule]
        rules.sort(key=lambda rule: STATES.index(rule["state"]) if rule["state"] in STATES else 0)
        return {rule["name"]: rule["state"] for rule in rules}


def _data(url: str, what: str) -> Any:  # Any: JSON
    answer = httpx.get(f"{url}/api/v1/{what}", timeout=TIMEOUT_SECONDS, trust_env=not is_loopback(url))
    return answer.raise_for_status().json()["data"]


@contextmanager
def _understood() -> Iterator[None]:
    try:
        yield
    except httpx.HTTPError as exc:
        raise NotPrometheus(f"Prometheus does not answer ({type(exc).__name__})", exc) from exc
    except (ValueError, KeyError, TypeError) as exc:
        raise NotPrometheus("what answers at PROMETHEUS_URL is no Prometheus", exc) from exc


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
            with _understood():
                found = [_alarm(given) for given in _data(self._url, "alerts")["alerts"]]
        except NotPrometheus as exc:
            return Alarms(problem=str(exc))
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
