"""What a process gets from its machine: clocks, pauses, threads, chance and ids of its own.

The parts of a worker are handed a host. `REAL` is the machine itself; a simulated day gives each process another one.
"""

from __future__ import annotations

import random
import secrets
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Protocol


class Semaphore(Protocol):
    """A limit on how many threads are in a place."""

    def acquire(self, *, timeout: float) -> bool:
        """Wait for a place and take it; False if there was none for so many seconds."""

    def release(self) -> object:
        """Give the place to the next thread."""


def _monotonic() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME) if sys.platform == "linux" else time.monotonic()


def _now() -> datetime:
    return datetime.now(UTC)


def _start(run: Callable[[], None], name: str) -> None:
    threading.Thread(target=run, name=name, daemon=True).start()


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """The machine, as one process sees it."""

    #: Seconds that only grow, on Linux also while the machine is suspended; two processes' are not compared.
    monotonic: Callable[[], float] = _monotonic
    #: The machine's own date and time. It may be wrong: nothing that matters is decided by it.
    now: Callable[[], datetime] = _now
    sleep: Callable[[float], None] = time.sleep
    #: A number from 0 to 1, for jitter.
    random: Callable[[], float] = random.random
    #: So many random bytes in hexadecimal digits: an id that no other process has.
    token: Callable[[int], str] = secrets.token_hex
    #: Run a function in a thread of its own with this name. Raises `RuntimeError` if there is no thread left.
    start: Callable[[Callable[[], None], str], None] = _start
    semaphore: Callable[[int], Semaphore] = threading.Semaphore


REAL: Final = Host()
