"""What a worker does with an item that it cannot handle: list it in the journal, log it, count it.

`runtime.isolation` keeps the loop going. The reconciler tries each item again; the operator sees what is left in
`dadacat set-aside list`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from journal.ports import Journal
from runtime.isolation import BadItem, SetAside
from worker.telemetry import Telemetry, set_aside


def listing(journal: Journal, telemetry: Telemetry, now: Callable[[], datetime]) -> SetAside:
    """Return the function that lists, logs and counts an item. It raises `StoreAway`."""

    def aside(item: BadItem) -> None:
        telemetry.emit(set_aside(item))
        journal.set_aside.add(item, now=now())

    return aside
