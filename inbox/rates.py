"""The rate limits on Redis: token buckets, paced queues and streaks of machine-like texts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import redis

from inbox import worker_keys
from inbox.connection import Scripts
from inbox.durations import milliseconds
from inbox.payloads import Who
from inbox.ports import Rate

#: A bucket is kept for so long after it is full, because texts take tokens by the time of their arrival, and wait while
#: no worker runs. After a longer outage each person may be answered a bucketful too much.
BUCKET_KEPT: Final = timedelta(minutes=15)
#: A streak is forgotten after this much silence.
STREAK_KEPT: Final = timedelta(minutes=30)


class RedisLimits:
    """`inbox.ports.Limits` on Redis.

    `verdict_kept`: for how long the verdict on a text is kept; after that the text must be too old to be answered.
    """

    def __init__(self, client: redis.Redis, *, verdict_kept: timedelta) -> None:
        self._scripts = Scripts(client)
        self._verdict_ms = milliseconds(verdict_kept)

    def exceeded(self, sid: str, rates: Sequence[Rate], *, at_ms: int) -> str:
        """Take a token from every bucket or none; return the name of the first empty one or ""."""
        names = [worker_keys.verdict(sid), *(worker_keys.bucket(rate.key) for rate in rates)]
        numbers = [part for rate in rates for part in (rate.most, milliseconds(rate.per))]
        empty = int(self._scripts.run("limit", names, [self._verdict_ms, at_ms, milliseconds(BUCKET_KEPT), *numbers]))
        return rates[empty - 1].name if 0 < empty <= len(rates) else ""

    def pace(self, key: str, *, takes_ms: int, ahead_ms: int, most_ms: int) -> int:
        """Take a place in the queue; return the milliseconds to wait, negative if too long."""
        return int(self._scripts.run("pace", [worker_keys.pace(key)], [takes_ms, ahead_ms, most_ms]))

    def window(self, key: str, *, needed: int, most: int, per: timedelta) -> int:
        """Take places in a window of time; return the milliseconds until there is room, 0 if they are taken."""
        return int(self._scripts.run("window", [worker_keys.sent(key)], [needed, most, milliseconds(per)]))

    def streak(self, who: Who, sid: str, step: int) -> int:
        """Count this text once and return the streak."""
        return int(
            self._scripts.run(
                "streak", [worker_keys.streak(who), worker_keys.streak_at(sid)], [step, milliseconds(STREAK_KEPT)]
            )
        )
