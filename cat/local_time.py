"""Tell a model where the person is, what time it is there, and how long ago the last text came.

The country follows from the telephone number; the time zones of a country stand in `zones.txt`. A country of several
zones has several hours, and a model is told from which to which.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Final
from zoneinfo import ZoneInfo

from cat import data
from sms import countries

#: A shorter silence is a conversation and is not mentioned.
WORTH_MENTIONING: Final = timedelta(hours=1)


def words_for(person: str, *, now: datetime | None, last_at: datetime | None) -> str:
    """Return a sentence or two; empty if neither country nor time is known.

    `last_at` is the time of the message before this text.
    """
    country = countries.of(person)
    told = [f"country: {country}." if country else ""]
    if now is not None:
        told.append(_hour(now, times_at(person, now)))
        if last_at is not None and now - last_at >= WORTH_MENTIONING:
            told.append(f"the message before this text came {_gap(now - last_at)} ago.")
    return " ".join(filter(None, told))


def times_at(person: str, now: datetime) -> list[datetime]:
    """Return the times that it may be where a person is, earliest first; empty if unknown."""
    country = countries.of(person) or countries.of_calling_code(person)
    return sorted({now.astimezone(ZoneInfo(zone)).replace(tzinfo=None) for zone in _zones().get(country, ())})


def _hour(now: datetime, times: list[datetime]) -> str:
    if not times:
        return f"it is {now.astimezone(UTC):%A, %H:%M} in utc; the hour there is not known."
    earliest, latest = times[0], times[-1]
    if earliest == latest:
        return f"there it is {earliest:%A, %H:%M}."
    return f"there it is between {earliest:%A, %H:%M} and {latest:%A, %H:%M}."


def _gap(silence: timedelta) -> str:
    hours = round(silence / timedelta(hours=1))
    count, unit = (hours, "hour") if hours < 48 else (round(hours / 24), "day")  # noqa: PLR2004 - two days
    return f"{count} {unit}{'' if count == 1 else 's'}"


@cache
def _zones() -> Mapping[str, tuple[str, ...]]:
    lines = data.text("zones.txt").splitlines()
    return {line[:2]: tuple(line.split()[1:]) for line in lines if not line.startswith("#")}
