"""Tell the hour and the day where the person is, as a person reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache

from cat import data, local_time


def hour(person: str, now: datetime | None) -> str:
    """Return the time there, such as `16:10`; empty if the country has several hours, or is not known."""
    times = local_time.times_at(person, now) if now is not None else []
    return f"{times[0].hour}:{times[0].minute:02d}" if len(times) == 1 else ""


def weekday(person: str, now: datetime | None, language: str) -> str:
    """Return the day of the week there; empty if the country has two at this hour, or is not known."""
    times = local_time.times_at(person, now) if now is not None else []
    days = {time.weekday() for time in times}
    return _days()[language][days.pop()] if len(days) == 1 else ""


@cache
def _days() -> Mapping[str, Sequence[str]]:
    given = data.table("lexicon/numbers.toml")
    return {language: words.split() for language, words in given["days"].items()}
