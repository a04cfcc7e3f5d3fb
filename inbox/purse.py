"""The budget on Redis: each operation is one atomic script, so no dollar is spent twice.

    purse:epoch            set when the totals are complete; missing: Redis was emptied
    purse:count            hash, during a recount: next epoch, day, cursor, id of the counting process and its deadline
    purse:day:<date>       hash: model, sms, both per person, turns of last lines and of urgent replies, `beyond`
    purse:month:<month>    hash: model, sms, `beyond`

`beyond` is set once the cap for all people was exceeded, by a last line or in a recount.
Dates and months are in UTC. Fields name a person by hash, as every key does.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final

import redis

from inbox.inbox import script, translated
from inbox.money import (
    COUNTER_LIVES,
    DAY_KEPT,
    MONTH_KEPT,
    Ask,
    BudgetVerdict,
    Caps,
    Grant,
    RecountProgress,
    Spent,
    day_of,
    sums_of,
)

if TYPE_CHECKING:
    from redis.commands.core import Script

#: Set when the totals are complete; and the progress of a recount.
EPOCH, COUNT = "purse:epoch", "purse:count"
_COUNTER_LIVES: Final = int(COUNTER_LIVES.total_seconds() * 1000)
_KEPT = (int(DAY_KEPT.total_seconds()), int(MONTH_KEPT.total_seconds()))


class RedisQuota:
    """`inbox.money.Quota` on Redis; `models` and `messages` cap the two kinds of spending."""

    def __init__(self, client: redis.Redis, *, models: Caps, messages: Caps) -> None:
        self._redis = client
        self._messages = messages
        self._caps = [
            -1 if cap is None else cap for caps in (models, messages) for cap in (caps.person, caps.day, caps.month)
        ]
        self._scripts: dict[str, Script] = {
            name: client.register_script(script(name)) for name in ("reserve", "settle", "count", "page")
        }

    @translated()
    def reserve(self, ask: Ask, *, now: datetime) -> Grant | None:
        """Set money aside for one reply; None if a recount has to finish first."""
        day = day_of(now)
        answer = self._scripts["reserve"](
            keys=_keys(day),
            args=[
                ask.who, ask.turn, ask.model, ask.sms, ask.last_line, ask.urgent, *self._caps, *_KEPT,
                int(ask.at_once),
            ],
        )  # fmt: skip
        if int(answer[0]) < 0:
            return None
        leave, model, sms, epoch, counting = answer
        return Grant(
            who=ask.who, leave=BudgetVerdict(leave), model=int(model), sms=int(sms), day=day, epoch=epoch.decode(),
            counting=bool(counting),
        )  # fmt: skip

    @translated()
    def settle(self, grant: Grant, *, model: int, sms: int) -> None:
        """Replace the amount set aside by the amount spent."""
        self._scripts["settle"](
            keys=_keys(grant.day), args=[grant.who, grant.epoch, model, grant.model, sms, grant.sms, *_KEPT]
        )

    @translated()
    def begin_count(self, counter: str, *, now: datetime) -> RecountProgress | None:
        """Begin or continue a recount; None if it is complete or another process is counting."""
        day = day_of(now)
        answer = self._scripts["count"](keys=_keys(day), args=[secrets.token_hex(8), day, counter, _COUNTER_LIVES])
        if not answer:
            return None
        epoch, day, cursor = (part.decode() for part in answer)
        return RecountProgress(epoch=epoch, day=day, counter=counter, cursor=cursor)

    @translated()
    def add_page(
        self, stand: RecountProgress, spent: Sequence[Spent], *, cursor: str | None, leave: bool = False
    ) -> bool:
        """Add a page of the journal to the totals; False if another process has continued."""
        sums = sums_of(spent, stand.day)
        caps = (self._messages.day, self._messages.month)
        return bool(
            self._scripts["page"](
                keys=_keys(stand.day),
                args=[
                    stand.epoch, stand.cursor, cursor or "", int(cursor is None),
                    stand.counter, 0 if leave else _COUNTER_LIVES,
                    *_KEPT, *(-1 if cap is None else cap for cap in caps), len(sums.day), len(sums.month),
                    *(part for sum_ in (sums.day, sums.month, sums.last_lines)
                      for pair in sum_.items() for part in pair),
                ],
            )
        )  # fmt: skip

    @translated()
    def forget(self) -> None:
        """Discard the totals, so that nothing is granted before a recount."""
        self._redis.delete(EPOCH, COUNT)


def _keys(day: str) -> list[str]:
    return [EPOCH, COUNT, f"purse:day:{day}", f"purse:month:{day[:7]}"]
