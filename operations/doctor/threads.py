"""Run calls in threads that are not waited for: a call that hangs ends with the process."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Threads(Executor):
    """A thread for each call.

    The standard library's pools wait for each of their threads when the process ends.
    """

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Begin a call."""
        future = Future[T]()
        # begun from here on, so that a caller who waits no longer cannot cancel it
        future.set_running_or_notify_cancel()

        def run() -> None:
            try:
                future.set_result(fn(*args, **kwargs))
            except Exception as exc:  # noqa: BLE001 - raised again where the result is read
                future.set_exception(exc)

        threading.Thread(target=run, name="doctor", daemon=True).start()
        return future
