"""Serve few people at a time in a process's first seconds.

A process that dies soon after its start, as each does of a deployment that crashes or of a machine without memory,
then has few texts in hand. Of the others no try is counted: their tasks wait, and the next sweep sends them again.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from runtime.host import REAL, Host

#: One person is served at first, and twice as many after each such time: 32 after five seconds.
DOUBLES_AFTER_SECONDS: Final = 1.0


class SlowStart:
    """Lets up to `most` visits in at once, and fewer at first. The clock starts with the first visit."""

    def __init__(self, most: int, host: Host = REAL) -> None:
        self._most = most
        self._host = host
        self._began: float | None = None
        self._inside = 0
        self._changed = threading.Condition()

    @contextmanager
    def place(self) -> Iterator[None]:
        """Wait for a place, and hold it for as long as the block runs."""
        with self._changed:
            if self._began is None:
                self._began = self._host.monotonic()
            while self._inside >= self.places():
                self._changed.wait(DOUBLES_AFTER_SECONDS)
            self._inside += 1
        try:
            yield
        finally:
            with self._changed:
                self._inside -= 1
                self._changed.notify()

    def places(self) -> int:
        """Return how many visits may run now."""
        if self._began is None:
            return 1
        doubled = int((self._host.monotonic() - self._began) / DOUBLES_AFTER_SECONDS)
        return min(self._most, 1 << min(doubled, self._most.bit_length()))
