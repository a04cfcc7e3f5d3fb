"""What all workers together may spend: asked for before a model is called and a message is sent, corrected afterwards.

Money is counted as `dadacat.money` counts it. `inbox.purse` keeps these promises on Redis, `inbox.memory` in memory.
Days and months are UTC's. No cap is passed by what is set aside; a last line may pass a cap of all people once, and words for somebody
in danger may pass any.

Where Redis was emptied, what was spent is counted again from the journal, page by page, by one at a time; how far it has come stands in Redis,
so that whoever dies or is turned away is followed by somebody who goes on from there. Whatever is granted meanwhile stands in the same sums.
A reply that was under way when Redis was emptied may be counted twice, never not at all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from typing import Final, Protocol

from inbox.contract import Who

#: Who counts and is not heard of for so long is taken to be dead.
COUNTER_LIVES: Final = timedelta(seconds=10)
#: How long sums are kept: longer than the day and the month that they are of, whatever a clock says.
DAY_KEPT: Final = timedelta(days=3)
MONTH_KEPT: Final = timedelta(days=40)


@dataclass(frozen=True, slots=True, kw_only=True)
class Caps:
    """What may be spent, in millionths of a dollar; None: whatever is asked for."""

    #: By one person in a day.
    person: int | None = None
    day: int | None = None
    month: int | None = None

    @property
    def are_there(self) -> bool:
        """Whether there is any."""
        return (self.person, self.day, self.month) != (None, None, None)


class Leave(IntEnum):
    """What may be sent to a person, as far as the money goes."""

    SILENCE = 0
    LAST_LINE = 1
    GO = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What one reply may cost at most, in millionths of a dollar."""

    who: Who
    #: The sid that the reply will bear: who asks twice for one reply is not told that he had his last line.
    turn: str
    model: int
    sms: int
    #: What it would cost to say one line instead.
    last_line: int
    #: Why it is answered once a day whatever it costs, such as that somebody may be in danger; empty: it is not.
    urgent: str = ""
    #: While it is counted what was spent: do not wait, but do with what can be had then.
    at_once: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What was set aside for one reply."""

    who: Who
    leave: Leave
    model: int = 0
    sms: int = 0
    #: The day, as it is written, in whose and in whose month's sums it stands; empty: it was never counted.
    day: str = ""
    epoch: str = ""
    #: It is not yet counted what was spent: there is no money for models.
    counting: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What one reply cost, in millionths of a dollar."""

    who: Who
    at: datetime
    model: int = 0
    sms: int = 0
    #: Its turn, where it was a last line.
    last_line: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stand:
    """How far a count has come."""

    epoch: str
    #: The day on which it began: that day's sums are counted, and its month's.
    day: str
    #: Who counts.
    counter: str
    #: Where in the journal it goes on; empty: at the beginning.
    cursor: str = ""

    @property
    def since(self) -> datetime:
        """When the month began."""
        return datetime.fromisoformat(f"{self.day[:7]}-01").replace(tzinfo=UTC)


class Purse(Protocol):
    """What all workers together may spend. Every verb raises `InboxAway` where Redis cannot be reached."""

    def reserve(self, ask: Ask, *, now: datetime) -> Grant | None:
        """Set money aside; None where Redis was emptied and it is not yet counted again what was spent.

        `ask.at_once`, while it is counted: where messages have no cap there is leave to send, without a model; somebody in danger always has it.
        A second call sets aside a second time: whoever asked before may have spent it and died.
        """

    def settle(self, grant: Grant, *, model: int, sms: int) -> None:
        """Correct what was set aside by what was spent, once the journal knows it.

        Where Redis was emptied since and a count has begun, all that was spent is added: the count may have passed by before.
        """

    def begin_count(self, counter: str, *, now: datetime) -> Stand | None:
        """Begin to count, or go on where another stopped; None where it is counted, or somebody else is at it."""

    def add_page(self, stand: Stand, spent: Sequence[Spent], *, cursor: str | None, leave: bool = False) -> bool:
        """Add a page of the journal to the sums; `cursor` is where the next one begins, None: this was the last, and it is counted.

        False, and nothing changed, where somebody else has gone on from that stand. `leave`: somebody else may go on.
        """


def day_of(moment: datetime) -> str:
    """The day, as sums bear it; its first seven characters are its month."""
    return moment.astimezone(UTC).date().isoformat()


@dataclass(frozen=True, slots=True)
class Sums:
    """What stands in the hash of a day, and of a month, field by field."""

    day: dict[str, int]
    month: dict[str, int]
    #: Who had his last line, at which turn.
    last_lines: dict[str, str]


def sums_of(spent: Iterable[Spent], day: str) -> Sums:
    """The sums of `day` and its month in what was spent."""
    of_day: Counter[str] = Counter()
    of_month: Counter[str] = Counter()
    last_lines: dict[str, str] = {}
    for one in spent:
        when = day_of(one.at)
        if when[:7] != day[:7]:
            continue
        amounts = {"model": one.model, "sms": one.sms}
        of_month.update(amounts)
        if when != day:
            continue
        of_day.update(amounts)
        of_day.update({f"{kind}:{one.who}": amount for kind, amount in amounts.items()})
        if one.last_line:
            last_lines[f"last:{one.who}"] = one.last_line
    return Sums(dict(of_day), dict(of_month), last_lines)
