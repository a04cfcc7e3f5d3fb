"""Hold the state of one worker's visit to one person, and renew this process's leases."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

from conversation.journal import Turn
from conversation.models import Conversation
from inbox.ports import Lease, Leases
from inbox.times import moment


@dataclass(slots=True, kw_only=True)
class Visit:
    """One worker serving one person: the lease, the fence, and the work done so far.

    Its clock is Redis's: read once with the lease, then advanced by this process's monotonic clock.
    """

    lease: Lease
    begun: float
    #: The conversation as read under this visit's fence, plus the messages since; None before it is opened.
    opened: Conversation | None = None
    #: Turns that this visit filed or found, by sid: reading one a second time does not count as a second try.
    filed: dict[str, Turn] = field(default_factory=dict)
    #: Turns whose parts are all settled, by the sid that the reply carries.
    over: set[str] = field(default_factory=set)
    turns: int = 0
    #: The last STOP or START among the waiting texts is a STOP.
    stop_waits: bool = False
    #: Tombstones of texts that get no answer, because the person was erased after sending them.
    buried: frozenset[str] = frozenset()
    #: The turns that are being answered right now.
    in_hand: tuple[Turn, ...] = ()

    @property
    def user_id(self) -> str:
        """Return the user id, such as `+15551230001` or `+15551230001/+15005550006`."""
        return self.lease.user_id

    @property
    def conversation(self) -> Conversation:
        """Return the conversation under this visit's fence."""
        assert self.opened is not None, "a visit opens the conversation before it does anything else"
        return self.opened

    @property
    def fence(self) -> int:
        """Return the fencing token that this visit's writes are checked against."""
        return self.conversation.fence

    @property
    def elapsed_seconds(self) -> float:
        """Return how long the visit has taken so far."""
        return time.monotonic() - self.begun

    def now_ms(self) -> int:
        """Return Redis's time, in milliseconds."""
        return self.lease.taken_ms + int(self.elapsed_seconds * 1000)

    def now(self) -> datetime:
        """Return Redis's time."""
        return moment(self.now_ms())


class LeaseKeeper:
    """Renew every lease this process holds, in one thread that exists only while there is one to renew.

    A lease that could not be renewed is dropped. The fence decides what its holder may still write.
    """

    def __init__(self, leases: Leases, *, every_seconds: float, on_error: Callable[[Exception], None]) -> None:
        self._leases = leases
        self._every_seconds = every_seconds
        self._on_error = on_error
        self._held: dict[str, Lease] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    @contextmanager
    def kept(self, lease: Lease) -> Iterator[None]:
        """Keep `lease` alive for as long as the block runs."""
        with self._lock:
            if self._thread is None:
                # stored only once it runs: if no thread can start now, no lease is held, and the next visit tries again
                thread = threading.Thread(target=self._run, name="lease-keeper", daemon=True)
                thread.start()
                self._thread = thread
            self._held[lease.token] = lease
        try:
            yield
        finally:
            with self._lock:
                self._held.pop(lease.token, None)

    def _run(self) -> None:
        while True:
            time.sleep(self._every_seconds)
            with self._lock:
                held = list(self._held.values())
                if not held:
                    self._thread = None
                    return
            for lease in held:
                try:
                    if not self._leases.renew(lease):
                        with self._lock:
                            self._held.pop(lease.token, None)
                except Exception as exc:  # noqa: BLE001 - the keeper must outlive every error: it serves all visits
                    self._on_error(exc)
