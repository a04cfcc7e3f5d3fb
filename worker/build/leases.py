"""Build the keeper of leases, the marks of this process, and the watch over its neighbours."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from inbox.ports import Inbox
from journal.ports import Journal
from runtime.host import REAL, Host
from runtime.settings import Settings
from worker import telemetry
from worker.lease import LeaseKeeper
from worker.send_marks.marks import Marks
from worker.send_marks.proofs import LOOK_EVERY_SECONDS, Proofs

#: Places for visits whose attempt is not settled yet, beside one for each conversation that is served at a time.
SPARE_PLACES: Final = 64


def marks(chosen: Settings) -> Marks:
    """Return the marks of this process; without a usable folder they are kept in memory only."""
    folder = chosen.delivery.marks_folder
    return Marks(
        Path(folder) if folder else None,
        slots=chosen.worker.concurrency + SPARE_PLACES,
        unusable=lambda why: telemetry.OF_THIS_PROCESS.emit(telemetry.marks_in_memory(why)),
    )


def lease_keeper(chosen: Settings, inbox: Inbox, marks_: Marks) -> LeaseKeeper:
    """Return the keeper of this process's leases."""
    every = chosen.visit.lease_renew_seconds
    return LeaseKeeper(inbox.leases, every_seconds=every, marks=marks_, telemetry=telemetry.OF_THIS_PROCESS)


def look(inbox: Inbox, journal: Journal, marks_: Marks) -> Callable[[], None]:
    """Return the function that settles the marks of dead neighbours and those that were abandoned."""
    return Proofs(inbox, journal, marks_, telemetry=telemetry.OF_THIS_PROCESS).look


def watch(look: Callable[[], None], telemetry_: telemetry.Telemetry, host: Host = REAL) -> None:
    """Look for neighbours that died, in a thread of its own, for as long as this process lives."""

    def run() -> None:
        while True:
            try:
                look()
            except Exception as exc:  # noqa: BLE001 - one file that cannot be read must not end the watch
                telemetry_.emit(telemetry.look_failed(exc))
            host.sleep(LOOK_EVERY_SECONDS)

    host.start(run, "watch")
