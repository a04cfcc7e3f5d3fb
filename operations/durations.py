"""Parse the durations that an operator types, such as `90m`."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Final

from operations.errors import WrongArgument

_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days"}


def duration(given: str) -> timedelta:
    """Parse a duration such as `90m`, `24h` or `2d`. Raises `WrongArgument`."""
    match = re.fullmatch(r"(\d{1,4})([mhd])", given)
    if match is None:
        raise WrongArgument("a duration is a number and m, h or d: 90m, 24h, 2d")
    return timedelta(**{_UNITS[match.group(2)]: int(match.group(1))})
