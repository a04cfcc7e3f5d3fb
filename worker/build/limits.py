"""Build the rate limits and the pace of our numbers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Final

import redis

from inbox.rates import RedisLimits
from journal.model import ReplyPart
from runtime.settings import Settings
from worker.limits import Limiter, Pace, Rates

#: How far a number may be ahead of its pace: messages that come together need not go one by one.
PACE_AHEAD_MS: Final = 1000
#: A reply waits for its number's pace in its worker for up to this long; after a longer wait, it is looked at again.
#: Longer than the sweep's pause, so that a woken visit does not find the queue empty; shorter than what a worker is
#: given to stop.
PACE_WAIT_MS: Final = 20_000


def limiter(chosen: Settings, client: redis.Redis) -> Limiter:
    """Return the limiter of texts and replies."""
    limits = chosen.limits
    rates = Rates(
        texts_per_minute=limits.texts_per_minute,
        texts_per_day=limits.texts_per_day,
        identical_per_hour=limits.identical_per_hour,
        turns_per_minute=limits.turns_per_minute,
        turns_per_hour=limits.turns_per_hour,
        messages_per_30_seconds=limits.replies_per_30_seconds,
        # each message takes a segment at least
        messages_per_reply=min(chosen.replies.max_parts, chosen.replies.max_segments),
        replies_per_hour=limits.replies_per_hour,
        loop=limits.loop_replies,
    )
    return Limiter(_limits(chosen, client) if limits.mode == "on" else None, rates)


def pace(chosen: Settings, client: redis.Redis) -> Callable[[ReplyPart], int]:
    """Return the function that tells in how many milliseconds a part may leave its number.

    Redis is not asked if nothing is paced.
    """
    delivery = chosen.delivery
    paces = Pace(
        long_code=delivery.pace_long_code, toll_free=delivery.pace_toll_free, short_code=delivery.pace_short_code
    )
    limits = _limits(chosen, client)

    def wait_ms(part: ReplyPart) -> int:
        per_second = paces.of(part.sender)
        if not per_second:
            return 0
        takes_ms = int((part.expected or 1) * 1000 / per_second)
        return limits.pace(part.sender, takes_ms=takes_ms, ahead_ms=PACE_AHEAD_MS, most_ms=PACE_WAIT_MS)

    return wait_ms


def _limits(chosen: Settings, client: redis.Redis) -> RedisLimits:
    return RedisLimits(client, verdict_kept=timedelta(seconds=chosen.visit.max_age_seconds))
