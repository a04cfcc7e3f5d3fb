"""Show the figures of the whole installation at each scrape, and count those of the journal."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from math import nan
from typing import Any, Final

from inbox.connection import connect
from inbox.errors import InboxAway
from inbox.figures import Figures, RedisFigures
from inbox.ports import Leases
from inbox.state import InboxState, note
from journal.ports import Journal
from journal.states import DEAD_LETTERS, HELD_PARTS
from runtime.metrics import READY, REDIS_UP
from runtime.money import MICRO
from runtime.settings import Settings
from worker import metrics

#: A scrape waits so many seconds for Redis; Prometheus gives up after ten.
REDIS_SECONDS: Final = 2.0
#: More rows than this are counted as this many: an operator has enough to do.
MOST_ROWS: Final = 1000
#: The gauges of the figures that are noted in Redis.
_NOTED: Final = {
    "held": metrics.HELD_PARTS,
    "dead": metrics.DEAD_LETTERS,
    "set_aside": metrics.SET_ASIDE_ITEMS,
    "sent_after_stop": metrics.SENT_AFTER_STOP,
    "audited_at": metrics.AUDITED,
}

#: The periods and kinds of spending that were counted since this process started; none without a budget.
_counted: Final = set[tuple[str, str]]()


def refresher(chosen: Settings, process: str, trouble: Callable[[], str]) -> Callable[[], None]:
    """Return the function that sets the figures before each scrape.

    If Redis is away, they keep their last values.
    """
    client = connect(chosen.redis.url, socket_timeout=REDIS_SECONDS, socket_connect_timeout=REDIS_SECONDS)
    figures = RedisFigures(client)

    def refresh() -> None:
        READY.labels(process=process).set(not trouble())
        try:
            show(figures.read())
        except InboxAway:
            REDIS_UP.set(0)

    return refresh


def show(figures: Figures) -> None:
    """Set the gauges to the figures that Redis knows."""
    note(InboxState(oldest_waiting_seconds=figures.oldest_waiting_seconds, stopped=figures.stopped))
    metrics.WAITING_PEOPLE.set(figures.people)
    metrics.WAITING_TEXTS.set(figures.texts)
    metrics.DUE_PEOPLE.set(figures.due)
    metrics.WAKE_UP_TASKS.set(figures.tasks)
    metrics.WAITING_REPORTS.set(figures.reports)
    # a day or a month in which nothing was spent yet is not in Redis: its amount is not that of the one before
    _counted.update(figures.spent)
    for period, kind in _counted:
        metrics.SPENT.labels(kind=kind, period=period).set(figures.spent.get((period, kind), 0) / MICRO)
    for name, gauge in _NOTED.items():
        gauge.set(figures.noted.get(name, 0))
    server = figures.server
    for gauge, known in (
        (metrics.REDIS_MEMORY, server.used_bytes),
        (metrics.REDIS_MEMORY_LIMIT, server.most_bytes),
        (metrics.REDIS_APPENDS, server.appends),
    ):
        gauge.set(nan if known is None else known)


def count_journal(journal: Journal, leases: Leases, figures: RedisFigures) -> None:
    """Count what waits for an operator, unless a worker has just done so.

    The lease on this duty is left to expire: until then nothing is counted again.
    Raises `StoreAway` and `InboxAway`.
    """
    if leases.take_duty("figures") is None:
        return
    rows = journal.unsettled.rows
    figures.note(
        held=_count(rows(HELD_PARTS, limit=MOST_ROWS)),
        dead=_count(rows(DEAD_LETTERS, limit=MOST_ROWS)),
        set_aside=_count(journal.set_aside.all()),
    )


def _count(rows: Iterable[Any]) -> int:
    return sum(1 for _ in islice(rows, MOST_ROWS))
