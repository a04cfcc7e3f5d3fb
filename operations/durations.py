"""Parse the durations that an operator types, such as `90m`."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from operations.errors import BadRequest

_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days"}


def duration(given: str) -> timedelta:
    """Parse a duration such as `90m`, `24h` or `2d`. Raises `BadRequest`."""
    match = re.fullmatch(r"(\d{1,4})([mhd])", given)
    if match is None:
        raise BadRequest("a duration is a number and m, h or d: 90m, 24h, 2d")
    return timedelta(**{_UNITS[match.group(2)]: int(match.group(1))})


def ago(given: str) -> datetime:
    """Return the moment a duration such as `24h` ago. Raises `BadRequest`."""
    return datetime.now(UTC) - duration(given)
