"""The limits that all workers share, on Redis: each operation is one atomic script.

limited:{sid}     the verdict for this text
rate:{key}        hash: tokens left, and at what time
pace:{key}        time until which the queue is taken
streak:{who}      number of texts in a row that look like a machine's
streaked:{sid}    that number as of this text
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import redis

from inbox.inbox import script, translated
from inbox.limits import STREAK_KEPT, VERDICT_KEPT, Rate
from inbox.payloads import Who
from inbox.ports import milliseconds

if TYPE_CHECKING:
    from redis.commands.core import Script


class RedisLimits:
    """`inbox.limits.Limits` on Redis."""

    def __init__(self, client: redis.Redis) -> None:
        self._scripts: dict[str, Script] = {
            name: client.register_script(script(name)) for name in ("limit", "streak", "pace")
        }

    @translated()
    def exceeded(self, sid: str, rates: Sequence[Rate], *, at_ms: int) -> str:
        """Take a token from every bucket or none; return the name of the first empty one or ""."""
        keys = [f"limited:{sid}", *(f"rate:{rate.key}" for rate in rates)]
        numbers = [part for rate in rates for part in (rate.most, milliseconds(rate.per))]
        empty = int(self._scripts["limit"](keys=keys, args=[milliseconds(VERDICT_KEPT), at_ms, *numbers]))
        return rates[empty - 1].name if 0 < empty <= len(rates) else ""

    @translated()
    def pace(self, key: str, *, takes_ms: int, ahead_ms: int, most_ms: int) -> int:
        """Take a place in the queue; return the milliseconds to wait, negative if too long."""
        return int(self._scripts["pace"](keys=[f"pace:{key}"], args=[takes_ms, ahead_ms, most_ms]))

    @translated()
    def streak(self, who: Who, sid: str, step: int) -> int:
        """Count this text once and return the streak."""
        return int(
            self._scripts["streak"](keys=[f"streak:{who}", f"streaked:{sid}"], args=[step, milliseconds(STREAK_KEPT)])
        )
