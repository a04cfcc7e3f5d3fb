"""Whether this process does its work: a worker's heartbeats, and the tasks that beat sends."""

from __future__ import annotations

import time
from typing import Final

#: A worker's event loop sends a heartbeat every 2 s, and none while it hangs or its broker is away.
WORKER_SECONDS: Final = 30.0


class Heartbeat:
    """When this process last did what it is there for; `seconds` later it is in trouble."""

    def __init__(self, what: str, seconds: float) -> None:
        self._what = what
        self._seconds = seconds
        self._at: float | None = None

    def beat(self, **_: object) -> None:
        """Note that it happened. Takes what a Celery signal sends."""
        self._at = time.monotonic()

    def trouble(self) -> str:
        """Return what is missing; empty if nothing is."""
        if self._at is None:
            return f"no {self._what} yet"
        age = time.monotonic() - self._at
        return f"no {self._what} for {age:.0f} s" if age > self._seconds else ""
