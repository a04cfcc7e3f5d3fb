"""Costly work, once at a time: pages that are loaded again and again must not take every thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from operations.errors import BadRequest

#: A page waits so long for another one that does the same work; then it says so.
TURN_SECONDS: Final = 5.0


class OneAtATime:
    """One kind of such work; `what` says that it is done, such as `the journal is read`."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._lock = threading.Lock()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Do the work while no other thread does it. Raises `BadRequest` if another one takes long."""
        if not self._lock.acquire(timeout=TURN_SECONDS):
            raise BadRequest(f"{self._what} for another page: try again when that is done")
        try:
            yield
        finally:
            self._lock.release()
