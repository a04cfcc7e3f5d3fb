"""One clock and one scheduler: everything that happens in a simulated day happens here, in one order.

A thread of a simulated process is a greenlet. It runs until it waits; then whatever is due first goes on. What is due
at the same moment goes on in the order in which it was planned. So the same day runs in the same way every time.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count

from greenlet import getcurrent, greenlet


class Died(BaseException):
    """The thread's process is dead. No product code catches it."""


class Kernel:
    """The clock and the events of one day."""

    def __init__(self) -> None:
        #: Seconds since the day began.
        self.now = 0.0
        self.hub = getcurrent()
        #: The thread that runs; None while an event runs.
        self.current: Thread | None = None
        self._due: list[tuple[float, int, Callable[[], object]]] = []
        self._ties = count()

    def at(self, when: float, happen: Callable[[], object]) -> None:
        """Plan an event."""
        heappush(self._due, (max(when, self.now), next(self._ties), happen))

    def run(self, until: float) -> None:
        """Let everything happen that is due until then."""
        while self._due and self._due[0][0] <= until:
            self.now, _, happen = heappop(self._due)
            happen()
        self.now = max(self.now, until)

    def thread(self) -> Thread:
        """Return the thread that runs. Raises `Died` if its process is dead."""
        thread = self.current
        assert thread is not None, "only a thread of a process can wait"
        if thread.process.is_dead:
            raise Died
        return thread

    def sleep(self, seconds: float) -> None:
        """Let the running thread wait."""
        self.thread().wait(seconds)


class Process:
    """A simulated process: it runs, stands still, or is dead."""

    def __init__(self, kernel: Kernel, name: str, seed: str) -> None:
        self.kernel = kernel
        self.name = name
        self.rng = random.Random(f"{seed}|{name}")  # noqa: S311 - a simulation
        self.is_dead = False
        #: No thread runs before this time.
        self.stopped_until = 0.0
        self._threads: dict[Thread, None] = {}

    def start(self, run: Callable[[], None], name: str = "thread") -> None:
        """Run a function in a new thread."""
        if self.is_dead:
            raise Died
        thread = Thread(self, run, f"{self.name}/{name}")
        self._threads[thread] = None
        thread.wake_at(self.kernel.now)

    def stop(self, seconds: float) -> None:
        """Let no thread of the process run for so long, as SIGSTOP does."""
        self.stopped_until = max(self.stopped_until, self.kernel.now + seconds)

    def die(self) -> None:
        """End the process at once, as SIGKILL does. The caller raises `Died` if it is one of its threads."""
        self.is_dead = True
        for thread in self._threads:
            if thread is not self.kernel.current:
                self.kernel.at(self.kernel.now, thread.unwind)

    def forget(self, thread: Thread) -> None:
        """Drop a thread that has ended."""
        self._threads.pop(thread, None)


class Thread:
    """A thread of a simulated process."""

    def __init__(self, process: Process, run: Callable[[], None], name: str) -> None:
        self.process = process
        self.name = name
        #: Decides how long its calls take: what another thread does changes nothing of it.
        self.rng = random.Random(process.rng.random())  # noqa: S311 - a simulation
        self._run = run
        self._greenlet = greenlet(self._main, parent=process.kernel.hub)
        #: Counts the waits, so that an event meant for an earlier wait wakes nothing.
        self._waits = 0

    def wake_at(self, when: float) -> None:
        """Plan the end of the present wait."""
        waits = self._waits
        self.process.kernel.at(when, lambda: self._wake(waits))

    def wait(self, seconds: float | None) -> None:
        """Let others run; go on after so many seconds, or when `wake_at` says so."""
        self._waits += 1
        kernel = self.process.kernel
        if seconds is not None:
            self.wake_at(kernel.now + seconds)
        kernel.current = None
        kernel.hub.switch()
        if self.process.is_dead:
            raise Died

    def unwind(self) -> None:
        """End the thread of a dead process."""
        if self._greenlet:
            self.process.kernel.current = self
            self._greenlet.throw(Died)
            self.process.kernel.current = None

    def _wake(self, waits: int) -> None:
        process, kernel = self.process, self.process.kernel
        if waits != self._waits or process.is_dead or self._greenlet.dead:
            return
        if kernel.now < process.stopped_until:
            kernel.at(process.stopped_until, lambda: self._wake(waits))
            return
        kernel.current = self
        self._greenlet.switch()
        kernel.current = None

    def _main(self) -> None:
        try:
            self._run()
        except Died:
            pass
        except Exception:
            # what the handlers of a dead process run into happens nowhere
            if not self.process.is_dead:
                raise
        finally:
            self.process.forget(self)
            self.process.kernel.current = None


class Bell:
    """Threads that wait until something happens."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._waiting: list[tuple[Thread, list[bool]]] = []

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for the bell; False if the time ran out first."""
        thread, rung = self._kernel.thread(), [False]
        entry = (thread, rung)
        self._waiting.append(entry)
        try:
            thread.wait(seconds)
        finally:
            if entry in self._waiting:
                self._waiting.remove(entry)
        return rung[0]

    def ring(self, most: int | None = None) -> None:
        """Wake the threads that have waited longest, at most so many."""
        number = len(self._waiting) if most is None else most
        woken, self._waiting = self._waiting[:number], self._waiting[number:]
        for thread, rung in woken:
            rung[0] = True
            thread.wake_at(self._kernel.now)


class Semaphore:
    """`threading.Semaphore` between the threads of one simulated process."""

    def __init__(self, kernel: Kernel, places: int) -> None:
        self._kernel = kernel
        self._places = places
        self._bell = Bell(kernel)

    def acquire(self, *, timeout: float) -> bool:
        """Wait for a place and take it; False if there was none for so many seconds."""
        until = self._kernel.now + timeout
        while self._places <= 0:
            if not self._bell.wait(until - self._kernel.now) and self._places <= 0:
                return False
        self._places -= 1
        return True

    def release(self) -> None:
        """Give the place to the next thread."""
        self._places += 1
        self._bell.ring(1)
