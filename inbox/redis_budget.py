"""The budget on Redis: each operation is one atomic script, so no dollar is spent twice."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import Final

import redis

from inbox import worker_keys
from inbox.budget import (
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
from inbox.connection import Scripts, translated
from inbox.durations import milliseconds

#: Seconds for which the totals of a day and of a month are kept.
_KEPT: Final = (int(DAY_KEPT.total_seconds()), int(MONTH_KEPT.total_seconds()))


class RedisQuota:
    """`inbox.budget.Quota` on Redis; `models` and `messages` cap the two kinds of spending."""

    def __init__(self, client: redis.Redis, *, models: Caps, messages: Caps) -> None:
        self._redis = client
        self._messages = messages
        self._caps = [
            -1 if cap is None else cap for caps in (models, messages) for cap in (caps.person, caps.day, caps.month)
        ]
        self._scripts = Scripts(client)

    def reserve(self, ask: Ask, *, now: datetime) -> Grant | None:
        """Set money aside for one reply; None if a recount has to finish first."""
        day = day_of(now)
        answer = self._scripts.run(
            "reserve",
            _names(day),
            [
                ask.who, ask.turn, ask.model, ask.sms, ask.last_line, ask.urgent, *self._caps, *_KEPT,
                int(ask.at_once),
            ],
        )  # fmt: skip
        if int(answer[0]) < 0:
            return None
        verdict, model, sms, epoch, counting = answer
        return Grant(
            who=ask.who, verdict=BudgetVerdict(verdict), turn=ask.turn, model=int(model), sms=int(sms), day=day,
            epoch=epoch.decode(), counting=bool(counting),
        )  # fmt: skip

    def settle(self, grant: Grant, *, model: int, sms: int | None) -> None:
        """Replace the amount set aside by the amount spent; `sms` None: the turn is not answered yet."""
        on_messages = "" if sms is None else sms
        self._scripts.run(
            "settle",
            _names(grant.day),
            [grant.who, grant.epoch, model, grant.model, on_messages, grant.turn, *_KEPT],
        )

    def begin_count(self, counter: str, *, now: datetime) -> RecountProgress | None:
        """Begin or continue a recount; None if it is complete or another process is counting."""
        day = day_of(now)
        answer = self._scripts.run(
            "count", _names(day), [secrets.token_hex(8), day, counter, milliseconds(COUNTER_LIVES)]
        )
        if not answer:
            return None
        epoch, day, cursor = (part.decode() for part in answer)
        return RecountProgress(epoch=epoch, day=day, counter=counter, cursor=cursor)

    def add_page(
        self, progress: RecountProgress, spent: Sequence[Spent], *, cursor: str | None, over: bool = False
    ) -> bool:
        """Add a page of the journal to the totals; False if another process has continued."""
        sums = sums_of(spent, progress.day)
        caps = (self._messages.day, self._messages.month)
        return bool(
            self._scripts.run(
                "page",
                _names(progress.day),
                [
                    progress.epoch, progress.cursor, cursor or "", int(cursor is None),
                    progress.counter, 0 if over else milliseconds(COUNTER_LIVES),
                    *_KEPT, *(-1 if cap is None else cap for cap in caps), len(sums.day), len(sums.month),
                    *(part for sum_ in (sums.day, sums.month, sums.last_lines)
                      for pair in sum_.items() for part in pair),
                ],
            )
        )  # fmt: skip

    @translated()
    def forget(self) -> None:
        """Discard the totals, so that nothing is granted before a recount."""
        self._redis.delete(worker_keys.BUDGET_EPOCH, worker_keys.RECOUNT)


def _names(day: str) -> list[str]:
    return [worker_keys.BUDGET_EPOCH, worker_keys.RECOUNT, worker_keys.spent_on(day), worker_keys.spent_in(day[:7])]
