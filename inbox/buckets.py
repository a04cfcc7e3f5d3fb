"""The limits that all workers share, on Redis: each move one atomic script.

limited:{sid}     the verdict that was given for it
rate:{key}        hash: tokens left, and when
pace:{number}     until when a number of ours is busy
streak:{who}      hash: count, and the sid that was counted last
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import redis

from inbox.contract import Who
from inbox.limits import PACE_AHEAD, STREAK_KEPT, VERDICT_KEPT, Rate
from inbox.ports import milliseconds
from inbox.redis import script, translated

if TYPE_CHECKING:
    from redis.commands.core import Script


class RedisLimits:
    """The buckets that all workers share."""

    def __init__(self, client: redis.Redis) -> None:
        self._scripts: dict[str, Script] = {
            name: client.register_script(script(name)) for name in ("limit", "streak", "pace")
        }

    @translated()
    def exceeded(self, sid: str, rates: Sequence[Rate]) -> str:
        """See `inbox.limits.Limits.exceeded`."""
        keys = [f"limited:{sid}", *(f"rate:{rate.key}" for rate in rates)]
        numbers = [part for rate in rates for part in (rate.most, milliseconds(rate.per))]
        empty = int(self._scripts["limit"](keys=keys, args=[milliseconds(VERDICT_KEPT), *numbers]))
        return rates[empty - 1].name if 0 < empty <= len(rates) else ""

    @translated()
    def pace(self, sender: str, segments: int, *, per_second: float) -> int:
        """See `inbox.limits.Limits.pace`."""
        takes = int(segments * 1000 / per_second)
        return int(self._scripts["pace"](keys=[f"pace:{sender}"], args=[takes, milliseconds(PACE_AHEAD)]))

    @translated()
    def streak(self, who: Who, sid: str, step: int) -> int:
        """See `inbox.limits.Limits.streak`."""
        return int(self._scripts["streak"](keys=[f"streak:{who}"], args=[sid, step, milliseconds(STREAK_KEPT)]))
