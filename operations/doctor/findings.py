"""The result of a check: what is wrong and what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from runtime.settings import Settings

#: Seconds for one step of a check: a connection, or an answer.
TIMEOUT_SECONDS: Final = 3.0
#: Clocks that differ by more break leases, ages and the signatures of requests to AWS.
CLOCK_SECONDS: Final = 5.0


class Level(StrEnum):
    """The severity of a finding."""

    OK = "ok"
    WARNING = "warning"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The result of a check: where, what, and what to do about it."""

    where: str
    level: Level
    what: str
    remedy: str = ""


#: A finding before `examine` adds where it was made: level, what, remedy.
Result = tuple[Level, str, str]
Check = Callable[[Settings], Iterator[Result]]


def ok(what: str) -> Result:
    """Return the result of a check that found nothing wrong."""
    return Level.OK, what, ""


def warning(what: str, remedy: str) -> Result:
    """Return a result that needs no action at once."""
    return Level.WARNING, what, remedy


def wrong(what: str, remedy: str) -> Result:
    """Return a result that keeps texts from being answered."""
    return Level.WRONG, what, remedy


def clock(difference: float) -> Iterator[Result]:
    """Report a clock that differs from this machine's by so many seconds."""
    if abs(difference) > CLOCK_SECONDS:
        what = f"its clock differs from this machine's by {abs(difference):.0f} s"
        yield wrong(what, "set the clock of this machine, or of the other one, by NTP (timedatectl set-ntp true)")
