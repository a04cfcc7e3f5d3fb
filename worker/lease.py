"""Take leases, write down that this process holds them, and renew them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from inbox.payloads import Who
from inbox.ports import Lease, Leases
from runtime.host import REAL, Host
from worker import telemetry
from worker.send_marks.marks import Mark, Marks


class LeaseKeeper:
    """Renew every lease this process holds, in one thread that exists only while there is one to renew.

    A lease that could not be renewed is dropped. The fence decides what its holder may still write.
    """

    def __init__(
        self,
        leases: Leases,
        *,
        every_seconds: float,
        marks: Marks | None = None,
        telemetry: telemetry.Telemetry = telemetry.SILENT,
        host: Host = REAL,
    ) -> None:
        self._leases = leases
        self._marks = marks or Marks()
        self._every_seconds = every_seconds
        self._telemetry = telemetry
        self._host = host
        self._held: dict[str, Lease] = {}
        self._lock = threading.Lock()
        self._is_running = False

    @contextmanager
    def taken(self, who: Who) -> Iterator[tuple[Lease, Mark] | None]:
        """Take the lease on a person, and keep it alive for as long as the block runs.

        Yields it with the visit's mark; None if another worker holds it or the person is unknown.
        """
        with self._marks.serving(who) as mark:
            lease = self._leases.take(who, token=mark.token)
            if lease is None:
                yield None
                return
            with self.kept(lease):
                yield lease, mark

    @contextmanager
    def kept(self, lease: Lease) -> Iterator[None]:
        """Keep `lease` alive for as long as the block runs, if a thread can be started for it."""
        with self._lock:
            self._held[lease.token] = lease
            self._is_running = self._is_running or self._started()
        try:
            yield
        finally:
            with self._lock:
                self._held.pop(lease.token, None)

    def _started(self) -> bool:
        try:
            self._host.start(self._run, "lease-keeper")
        except RuntimeError as exc:  # the machine has no thread left; the next lease tries again
            self._telemetry.emit(telemetry.lease_not_renewed(exc))
            return False
        return True

    def _run(self) -> None:
        while True:
            self._host.sleep(self._every_seconds)
            with self._lock:
                held = list(self._held.values())
                if not held:
                    self._is_running = False
                    return
            for lease in held:
                try:
                    if not self._leases.renew(lease):
                        with self._lock:
                            lost = self._held.pop(lease.token, None)
                        if lost is not None:  # else the visit gave it back meanwhile
                            self._telemetry.emit(telemetry.lease_lost(lease.who))
                except Exception as exc:  # noqa: BLE001 - the keeper must outlive every error: it serves all visits
                    self._telemetry.emit(telemetry.lease_not_renewed(exc))
