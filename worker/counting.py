"""What was spent, counted again after Redis was emptied: from the journal, a page at a time, by one process at a time.

How far it has come stands in Redis. Who is killed, turned away by the store, or out of time is followed by somebody who goes on from there.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Final

from conversation.ports import Cost, Journal
from inbox.contract import Who
from inbox.money import Purse, Spent

#: What a reply that was nothing but a last line is recorded as said by.
LAST_LINE: Final = "last line"
#: Whoever needs the sums counts for so long himself, out of the time for his reply: a small journal is counted by then.
AT_ONCE_SECONDS: Final = 2.0
#: One task counts for so long; shorter than a task may take. Then it asks for the next.
TASK_SECONDS: Final = 60.0


class Counting:
    """Counts for `purse` what `journal` says was spent. `ask` is called where it has to go on, `begun` when a count begins."""

    def __init__(
        self,
        purse: Purse,
        journal: Journal,
        *,
        who: Callable[[str], Who],
        ask: Callable[[], None] = lambda: None,
        begun: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.purse = purse
        self._journal = journal
        self._who = who
        self._ask = ask
        self._begun = begun
        self._clock = clock
        self._name = secrets.token_hex(6)

    def go_on(self, *, seconds: float, now: datetime) -> None:
        """Count for so long, and ask for more where that was not enough; nothing happens where it is counted or somebody is at it.

        Raises `StoreAway` and `InboxAway`; what was counted until then is kept.
        """
        until = self._clock() + seconds
        stand = self.purse.begin_count(self._name, now=now)
        if stand is not None and not stand.cursor:
            self._begun()
        while stand is not None:
            page = self._journal.costs(since=stand.since, cursor=stand.cursor or None)
            over = self._clock() >= until
            spent = [self._entry(cost) for cost in page.costs]
            if not self.purse.add_page(stand, spent, cursor=page.cursor, leave=over) or page.cursor is None:
                return
            if over:
                self._ask()
                return
            stand = replace(stand, cursor=page.cursor)

    def _entry(self, cost: Cost) -> Spent:
        said_last = cost.turn if cost.engine == LAST_LINE else ""
        return Spent(who=self._who(cost.user_id), at=cost.at, model=cost.model, sms=cost.sms, last_line=said_last)
