"""The purse on Redis: each move one atomic script, so that no two workers spend the same dollar.

    purse:epoch            set when the sums were last counted; missing: Redis was emptied
    purse:day:<date>       hash: model, sms, and both by person; who had his last line, who was answered in danger
    purse:month:<month>    hash: model, sms

Dates and months are UTC's. A field bears a person's hash, as every key does.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Final

import redis

from inbox.money import DAY_KEPT, MONTH_KEPT, Ask, Caps, Grant, Leave, Spent, counted, day_of
from inbox.redis import script, translated

if TYPE_CHECKING:
    from redis.commands.core import Script

#: Set when the sums were last counted.
EPOCH: Final = "purse:epoch"
_KEPT = (int(DAY_KEPT.total_seconds()), int(MONTH_KEPT.total_seconds()))


class RedisPurse:
    """The purse that all workers share; `models` and `messages` cap the two kinds of spending."""

    def __init__(self, client: redis.Redis, *, models: Caps, messages: Caps) -> None:
        self._redis = client
        self._messages = messages
        self._caps = [
            -1 if cap is None else cap for caps in (models, messages) for cap in (caps.person, caps.day, caps.month)
        ]
        self._scripts: dict[str, Script] = {
            name: client.register_script(script(name)) for name in ("reserve", "settle", "refill")
        }

    @translated()
    def reserve(self, ask: Ask, *, now: datetime) -> Grant | None:
        """See `inbox.money.Purse.reserve`."""
        day = day_of(now)
        answer = self._scripts["reserve"](
            keys=_keys(day),
            args=[ask.who, ask.turn, ask.model, ask.sms, ask.last_line, int(ask.urgent), *self._caps, *_KEPT],
        )
        if int(answer[0]) < 0:
            return None
        leave, model, sms, epoch = answer
        return Grant(who=ask.who, leave=Leave(leave), model=int(model), sms=int(sms), day=day, epoch=epoch.decode())

    @translated()
    def settle(self, grant: Grant, *, model: int, sms: int) -> None:
        """See `inbox.money.Purse.settle`."""
        if (model, sms) != (grant.model, grant.sms):
            self._scripts["settle"](
                keys=_keys(grant.day), args=[grant.who, grant.epoch, model - grant.model, sms - grant.sms]
            )

    def refill(self, spent: Iterable[Spent], *, now: datetime) -> bool:
        """See `inbox.money.Purse.refill`."""
        day, month = counted(spent, self._messages, now=now)
        with translated():
            return bool(
                self._scripts["refill"](
                    keys=_keys(day_of(now)),
                    args=[
                        secrets.token_hex(8),
                        *_KEPT,
                        len(day),
                        *(part for fields in (day, month) for pair in fields.items() for part in pair),
                    ],
                )
            )

    @translated()
    def forget(self) -> None:
        """Let it be counted again before anything is granted."""
        self._redis.delete(EPOCH)


def _keys(day: str) -> list[str]:
    return [EPOCH, f"purse:day:{day}", f"purse:month:{day[:7]}"]
