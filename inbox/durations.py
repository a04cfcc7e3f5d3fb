"""How long things last in the inbox, and its milliseconds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

#: The first sweep after this time replaces a lost wake-up task.
GRACE: Final = timedelta(seconds=5)
#: A memory task for the same person is pushed at most this often.
REMIND_AGAIN: Final = timedelta(seconds=30)
#: A task that drains the reports is pushed at most this often, unless a drain begins in between.
DRAIN_AGAIN: Final = timedelta(seconds=1)
#: A task that continues a recount is pushed at most this often.
COUNT_AGAIN: Final = timedelta(seconds=5)

#: For how long after a visit Redis keeps a person's number: a report about the reply may come days later.
IDENTITY_KEPT: Final = timedelta(days=7)


def moment(ms: int) -> datetime:
    """Convert milliseconds of Redis's clock to a time."""
    return datetime.fromtimestamp(ms / 1000, UTC)


def milliseconds(duration: timedelta) -> int:
    """Convert a duration to the milliseconds that the scripts take."""
    return int(duration.total_seconds() * 1000)
