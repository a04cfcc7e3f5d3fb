"""Recount the spending after Redis was emptied: from the journal, page by page, one process at a time.

The progress is stored in Redis. If the counting process is killed, loses the store or runs out of time, the next one
continues from there.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Final

from inbox.budget import Quota, Spent
from inbox.payloads import Who
from journal.model import LAST_LINE
from journal.ports import Journal
from journal.spending import Cost
from worker import telemetry

#: A visit that needs the totals recounts for up to this long, inside the reply deadline.
#: That is enough for a small journal.
AT_ONCE_SECONDS: Final = 2.0
#: One task counts for up to this long, less than a task may take, and then asks for the next task.
TASK_SECONDS: Final = 60.0


class Counting:
    """Recount for `quota` the spending that `journal` records.

    `ask` is called if the count must be continued.
    """

    def __init__(
        self,
        quota: Quota,
        journal: Journal,
        *,
        who: Callable[[str], Who],
        telemetry: telemetry.Telemetry = telemetry.SILENT,
        ask: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.quota = quota
        self._journal = journal
        self._who = who
        self._ask = ask
        self._telemetry = telemetry
        self._clock = clock
        self._name = secrets.token_hex(6)

    def go_on(self, *, seconds: float, now: datetime) -> None:
        """Count for up to `seconds`, and ask for a continuation if that was not enough.

        Nothing happens if the totals are complete or another process is counting.
        Raises `StoreAway` and `InboxAway`; the pages counted until then are kept.
        """
        until = self._clock() + seconds
        progress = self.quota.begin_count(self._name, now=now)
        if progress is not None and not progress.cursor:
            self._telemetry.emit(telemetry.recount_began())
        while progress is not None:
            page = self._journal.costs.page(since=progress.since, cursor=progress.cursor or None)
            for item in page.unreadable:
                self._telemetry.emit(telemetry.set_aside(item))
            over = self._clock() >= until
            spent = [self._entry(cost) for cost in page.costs]
            if not self.quota.add_page(progress, spent, cursor=page.cursor, over=over) or page.cursor is None:
                return
            if over:
                self._ask()
                return
            progress = replace(progress, cursor=page.cursor)

    def _entry(self, cost: Cost) -> Spent:
        last_line_turn = cost.turn if cost.engine == LAST_LINE else ""
        return Spent(who=self._who(cost.user_id), at=cost.at, model=cost.model, sms=cost.sms, last_line=last_line_turn)
