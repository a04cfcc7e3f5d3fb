"""What all workers together may spend: asked for before a model is called and a message is sent, corrected afterwards.

Money is counted as `dadacat.money` counts it. `inbox.purse` keeps these promises on Redis, `inbox.memory` in memory.
Days and months are UTC's. No cap is passed by what is set aside; a last line may pass a cap of all people once, and a reply in
several messages may cost more than was set aside for it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from typing import Final, Protocol

from inbox.contract import Who

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
    #: Somebody may be in danger.
    urgent: bool = False


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What one reply cost, in millionths of a dollar."""

    who: Who
    at: datetime
    model: int = 0
    sms: int = 0
    #: Its turn, where it was a last line.
    last_line: str = ""


class Purse(Protocol):
    """What all workers together may spend. Every verb raises `InboxAway` where Redis cannot be reached."""

    def reserve(self, ask: Ask, *, now: datetime) -> Grant | None:
        """Set money aside; None where Redis was emptied and nobody has counted again yet what was spent.

        A second call sets aside a second time: whoever asked before may have spent it and died.
        """

    def settle(self, grant: Grant, *, model: int, sms: int) -> None:
        """Correct what was set aside by what was spent. Where Redis was emptied since, nothing happens."""

    def refill(self, spent: Iterable[Spent], *, now: datetime) -> bool:
        """Count again what was spent since the month of `now` began. False, and nothing changed, where somebody was faster."""


def day_of(moment: datetime) -> str:
    """The day, as sums bear it; its first seven characters are its month."""
    return moment.astimezone(UTC).date().isoformat()


def counted(spent: Iterable[Spent], caps: Caps, *, now: datetime) -> tuple[dict[str, str], dict[str, str]]:
    """The sums of the day and of the month of `now`, field by field, as they are kept."""
    day, month = day_of(now), day_of(now)[:7]
    of_day: Counter[str] = Counter()
    of_month: Counter[str] = Counter()
    last_lines: dict[str, str] = {}
    for one in spent:
        when = day_of(one.at)
        if when[:7] != month:
            continue
        amounts = {"model": one.model, "sms": one.sms}
        of_month.update(amounts)
        if when != day:
            continue
        of_day.update(amounts)
        of_day.update({f"{kind}:{one.who}": amount for kind, amount in amounts.items()})
        if one.last_line:
            last_lines[f"last:{one.who}"] = one.last_line
    beyond = {"beyond": "refilled"}
    return (
        {name: str(amount) for name, amount in of_day.items()}
        | last_lines
        | (beyond if caps.day is not None and of_day["sms"] > caps.day else {}),
        {name: str(amount) for name, amount in of_month.items()}
        | (beyond if caps.month is not None and of_month["sms"] > caps.month else {}),
    )
