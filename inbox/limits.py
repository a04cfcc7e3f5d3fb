"""Rate limits over all workers: token buckets, and a count of texts that look like a machine's.

`inbox.rates` implements them on Redis, `inbox.memory` in memory. A verdict is stored with the sid of its text.
A second call for that sid, as the successor of a dead worker makes, gets the same answer and takes no token.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Protocol

from inbox.payloads import Who

#: A verdict outlives nearly every retry of its text: after that the text is too old to be answered.
VERDICT_KEPT: Final = timedelta(hours=6)
#: A streak is forgotten after this much silence.
STREAK_KEPT: Final = timedelta(minutes=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """A token bucket: it holds `most` tokens and fills up completely in `per`."""

    #: What is counted, in the words of a silent turn's reason, such as `texts a minute`.
    name: str
    #: The owner of the bucket, which becomes part of its Redis key.
    key: str
    most: int
    per: timedelta


class Limits(Protocol):
    """The limits that all workers share. Every method raises `InboxAway` if Redis cannot be reached."""

    def exceeded(self, sid: str, rates: Sequence[Rate], *, at_ms: int) -> str:
        """Take a token from every bucket, or from none if one is empty; return the empty one's name or "".

        A second call for the same sid returns the same. Buckets fill by the time of the event, `at_ms` of Redis's
        clock: texts that waited while no worker ran did not all arrive at once.
        """

    def pace(self, key: str, *, takes_ms: int, ahead_ms: int, most_ms: int) -> int:
        """Take a place in a queue that drains by time alone; return the milliseconds to wait.

        The place takes `takes_ms`, and the queue may run `ahead_ms` ahead. If the wait exceeds `most_ms`, no place is
        taken and the result is negative: its absolute value is the time after which to ask again.
        """

    def streak(self, who: Who, sid: str, step: int) -> int:
        """Add `step` to the number of texts in a row that look like a machine's; return it, at least 0.

        A second call for the same sid adds nothing and returns the same count.
        """
