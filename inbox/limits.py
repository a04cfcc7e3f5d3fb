"""How often something may happen, over all workers: token buckets, and a count of what looks like a machine.

`inbox.buckets` keeps these promises on Redis, `inbox.memory` in memory. A verdict is remembered with the sid it was given for: who asks twice, as
the successor of a dead worker does, gets the same answer and spends nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Protocol

from inbox.contract import Who

#: A verdict outlives every retry of the text that it was given for, or nearly: by then the text is too old to be answered.
VERDICT_KEPT: Final = timedelta(hours=6)
#: Machines that have been silent for so long begin anew.
STREAK_KEPT: Final = timedelta(minutes=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """A token bucket: it holds `most`, and fills up once in `per`."""

    #: What is counted, as a reason says it.
    name: str
    #: Whose bucket it is.
    key: str
    most: int
    per: timedelta


class Limits(Protocol):
    """What all workers share. Every verb raises `InboxAway` where Redis cannot be reached."""

    def exceeded(self, sid: str, rates: Sequence[Rate], *, at_ms: int) -> str:
        """Take a token from every bucket, or from none: then the name of the first that is empty. A second call for a sid says the same.

        Buckets fill up by the time at which what they count happened, `at_ms` of Redis's clock: what waited while nobody worked did not come at once.
        """

    def pace(self, key: str, *, takes_ms: int, ahead_ms: int, most_ms: int) -> int:
        """Take a place in a queue that moves on by itself: in how many milliseconds it is one's turn.

        So much of it may be ahead of its time. Negative, and no place was taken, where that is longer than `most_ms`: so long from now it is
        worth asking again.
        """

    def streak(self, who: Who, sid: str, step: int) -> int:
        """Add to how often in a row somebody looked like a machine, never below nought; a second call for a sid adds nothing."""
