"""How long things last in the inbox, and its milliseconds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

#: Length of a lease. It must outlast a pause of the process that renews it. After a crash, another worker waits for
#: this long.
LEASE: Final = timedelta(seconds=20)
#: The first sweep after this time replaces a lost wake-up task.
GRACE: Final = timedelta(seconds=5)
#: The sweep pushes a wake-up task for the same person at most this often.
WAKE_AGAIN: Final = timedelta(seconds=60)

#: A memory task for the same person is pushed at most this often.
REMIND_AGAIN: Final = timedelta(seconds=30)
#: A task that drains the reports is pushed at most this often, unless a drain begins in between.
DRAIN_AGAIN: Final = timedelta(seconds=1)
#: A task that continues a recount is pushed at most this often.
COUNT_AGAIN: Final = timedelta(seconds=5)

#: How often one send goes through an open circuit as a probe, to see whether the operator has repaired the fault.
PROBE_EVERY: Final = timedelta(seconds=30)


def moment(ms: int) -> datetime:
    """Convert milliseconds of Redis's clock to a time."""
    return datetime.fromtimestamp(ms / 1000, UTC)


def milliseconds(duration: timedelta) -> int:
    """Convert a duration to the milliseconds that the scripts take."""
    return int(duration.total_seconds() * 1000)
