"""The budget of all workers: money is reserved before a model call and a send, settled afterwards.

Amounts are in the unit of `runtime.money`; days and months are in UTC. `inbox.redis_budget` implements the budget on
Redis. A reservation never exceeds a cap, with two exceptions: a last line may exceed a cap for all people once, and an
urgent reply, such as to a person in danger, may exceed any cap.

If Redis was emptied, what was spent is recounted from the journal, page by page, by one process at a time. The progress
is stored in Redis: if that process dies or stops, another one continues. Money granted meanwhile is added to the same
totals. A reply that was under way when Redis was emptied may be counted twice, but is always counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from typing import Final, Protocol

from inbox.payloads import Who

#: A process that recounts and adds no page for this long counts as dead.
COUNTER_LIVES: Final = timedelta(seconds=10)
#: How long totals are kept: longer than their day and their month, so that a wrong clock does no harm.
DAY_KEPT: Final = timedelta(days=3)
MONTH_KEPT: Final = timedelta(days=40)


@dataclass(frozen=True, slots=True, kw_only=True)
class Caps:
    """What may be spent, in millionths of a dollar; None: no cap."""

    #: By one person in a day.
    person: int | None = None
    day: int | None = None
    month: int | None = None

    @property
    def are_there(self) -> bool:
        """Whether any cap is set."""
        return (self.person, self.day, self.month) != (None, None, None)


class BudgetVerdict(IntEnum):
    """What the budget allows to be sent to a person."""

    SILENCE = 0
    LAST_LINE = 1
    GO = 2
    #: Go, although a cap is exceeded: the reply is urgent.
    BEYOND = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A request to reserve what one reply may cost at most, in millionths of a dollar."""

    who: Who
    #: The sid of the turn: a second request for the same turn gets the same last line, not silence. Empty: no message.
    turn: str
    model: int
    sms: int
    #: What a single last line would cost instead.
    last_line: int
    #: Why the person is answered whatever it costs, once a day for each reason, such as `help`; empty: no such reason.
    urgent: str = ""
    #: During a recount: accept what can be granted now instead of waiting for the recount.
    at_once: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What was set aside for one reply."""

    who: Who
    verdict: BudgetVerdict
    #: The turn for whose messages it was set aside; empty: for none.
    turn: str = ""
    model: int = 0
    sms: int = 0
    #: The day in whose totals, and in whose month's, it is counted, such as `2026-11-29`; empty: it was never counted.
    day: str = ""
    epoch: str = ""
    #: A recount is in progress: there is no money for models.
    counting: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What one reply cost, in millionths of a dollar."""

    who: Who
    at: datetime
    model: int = 0
    sms: int = 0
    #: The turn, if the reply was a last line.
    last_line: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecountProgress:
    """How far a recount has come."""

    epoch: str
    #: The day on which it began: the totals of that day and its month are recounted.
    day: str
    #: Id of the process that counts.
    counter: str
    #: The journal cursor to continue from; empty: the beginning.
    cursor: str = ""

    @property
    def since(self) -> datetime:
        """When the month of `day` began."""
        return datetime.fromisoformat(f"{self.day[:7]}-01").replace(tzinfo=UTC)


class Quota(Protocol):
    """The budget of all workers together. Every method raises `InboxAway` if Redis cannot be reached."""

    def reserve(self, ask: Ask, *, now: datetime) -> Grant | None:
        """Set money aside for one reply; None if Redis was emptied and the recount is not complete.

        With `ask.at_once`, a recount in progress may still grant a reply without a model: if messages have no cap, or
        if the reply is urgent. A second call for the same turn sets money for models aside a second time: the worker of
        the first call may have spent its grant and died. What it set aside for messages, the second call takes over:
        a turn's messages are sent once.
        """

    def settle(self, grant: Grant, *, model: int, sms: int | None) -> None:
        """Replace the amount set aside by the amount spent, once it is in the journal.

        `sms` None: the turn is not answered yet, so what was set aside for its messages stays.
        If Redis was emptied since and a recount has begun, everything spent is added: the recount may have passed the
        row before it was written.
        """

    def begin_count(self, counter: str, *, now: datetime) -> RecountProgress | None:
        """Begin a recount, or continue where another process stopped.

        Returns None if the totals are complete or another process is counting.
        """

    def add_page(
        self, progress: RecountProgress, spent: Sequence[Spent], *, cursor: str | None, over: bool = False
    ) -> bool:
        """Add a page of the journal to the totals.

        `cursor`: where the next page begins; None: this was the last page, and the recount is complete.
        `over`: another process may continue at once.
        Returns False, and changes nothing, if another process has continued from that progress.
        """


def day_of(moment: datetime) -> str:
    """Return the UTC day, such as `2026-11-29`; its first seven characters are the month."""
    return moment.astimezone(UTC).date().isoformat()


@dataclass(frozen=True, slots=True)
class Sums:
    """The fields of a day's hash and of a month's hash."""

    day: dict[str, int]
    month: dict[str, int]
    #: Field `last:{who}` -> turn at which that person got a last line.
    last_lines: dict[str, str]


def sums_of(spent: Iterable[Spent], day: str) -> Sums:
    """Add up what was spent on `day` and in its month."""
    of_day: Counter[str] = Counter()
    of_month: Counter[str] = Counter()
    last_lines: dict[str, str] = {}
    for cost in spent:
        when = day_of(cost.at)
        if when[:7] != day[:7]:
            continue
        amounts = {"model": cost.model, "sms": cost.sms}
        of_month.update(amounts)
        if when != day:
            continue
        of_day.update(amounts)
        of_day.update({f"{kind}:{cost.who}": amount for kind, amount in amounts.items()})
        if cost.last_line:
            last_lines[f"last:{cost.who}"] = cost.last_line
    return Sums(dict(of_day), dict(of_month), last_lines)
