"""The limits that all workers share, on Redis: each move one atomic script.

limited:{sid}     the verdict that was given for it
rate:{key}        hash: tokens left, and when
pace:{key}        until when a queue is taken
streak:{who}      how often in a row somebody looked like a machine
streaked:{sid}    that count, as it was when this text was counted
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import redis

from inbox.contract import Who
from inbox.limits import STREAK_KEPT, VERDICT_KEPT, Rate
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
    def exceeded(self, sid: str, rates: Sequence[Rate], *, at_ms: int) -> str:
        """See `inbox.limits.Limits.exceeded`."""
        keys = [f"limited:{sid}", *(f"rate:{rate.key}" for rate in rates)]
        numbers = [part for rate in rates for part in (rate.most, milliseconds(rate.per))]
        empty = int(self._scripts["limit"](keys=keys, args=[milliseconds(VERDICT_KEPT), at_ms, *numbers]))
        return rates[empty - 1].name if 0 < empty <= len(rates) else ""

    @translated()
    def pace(self, key: str, *, takes_ms: int, ahead_ms: int, most_ms: int) -> int:
        """See `inbox.limits.Limits.pace`."""
        return int(self._scripts["pace"](keys=[f"pace:{key}"], args=[takes_ms, ahead_ms, most_ms]))

    @translated()
    def streak(self, who: Who, sid: str, step: int) -> int:
        """See `inbox.limits.Limits.streak`."""
        return int(
            self._scripts["streak"](keys=[f"streak:{who}", f"streaked:{sid}"], args=[step, milliseconds(STREAK_KEPT)])
        )
