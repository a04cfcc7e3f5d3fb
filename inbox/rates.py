"""The rate limits on Redis: token buckets, paced queues and streaks of machine-like texts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import redis

from inbox import worker_keys
from inbox.connection import Scripts
from inbox.payloads import Who
from inbox.ports import Rate
from inbox.times import milliseconds

#: A verdict outlives nearly every retry of its text: after that the text is too old to be answered.
VERDICT_KEPT: Final = timedelta(hours=6)
#: A bucket is kept for so long after it is full, because texts take tokens by the time of their arrival, and wait while
#: no worker runs. After a longer outage each person may be answered a bucketful too much.
BUCKET_KEPT: Final = timedelta(minutes=15)
#: A streak is forgotten after this much silence.
STREAK_KEPT: Final = timedelta(minutes=30)


class RedisLimits:
    """`inbox.ports.Limits` on Redis."""

    def __init__(self, client: redis.Redis) -> None:
        self._scripts = Scripts(client)

    def exceeded(self, sid: str, rates: Sequence[Rate], *, at_ms: int) -> str:
        """Take a token from every bucket or none; return the name of the first empty one or ""."""
        names = [worker_keys.verdict(sid), *(worker_keys.bucket(rate.key) for rate in rates)]
        numbers = [part for rate in rates for part in (rate.most, milliseconds(rate.per))]
        empty = int(
            self._scripts.run("limit", names, [milliseconds(VERDICT_KEPT), at_ms, milliseconds(BUCKET_KEPT), *numbers])
        )
        return rates[empty - 1].name if 0 < empty <= len(rates) else ""

    def pace(self, key: str, *, takes_ms: int, ahead_ms: int, most_ms: int) -> int:
        """Take a place in the queue; return the milliseconds to wait, negative if too long."""
        return int(self._scripts.run("pace", [worker_keys.pace(key)], [takes_ms, ahead_ms, most_ms]))

    def streak(self, who: Who, sid: str, step: int) -> int:
        """Count this text once and return the streak."""
        return int(
            self._scripts.run(
                "streak", [worker_keys.streak(who), worker_keys.streak_at(sid)], [step, milliseconds(STREAK_KEPT)]
            )
        )
