"""Read what was spent today and this month, by kind, as one part of a pipeline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from inbox import worker_keys
from inbox.budget import day_of
from inbox.durations import moment

#: The two kinds of spending, as the fields of a day's and of a month's hash are called.
KINDS: Final = ("model", "sms")


def ask(pipe: Any, now_ms: int) -> None:  # Any: redis-py's pipeline, whose commands are not typed
    """Add the two questions, whose answers `told` takes."""
    day = day_of(moment(now_ms))
    pipe.hmget(worker_keys.spent_on(day), KINDS)
    pipe.hmget(worker_keys.spent_in(day[:7]), KINDS)


def told(of_day: Sequence[bytes | None], of_month: Sequence[bytes | None]) -> Mapping[tuple[str, str], int]:
    """Return millionths of a dollar by span (`day`, `month`) and kind; what is not counted is left out."""
    return {
        (span, kind): int(value)
        for span, values in (("day", of_day), ("month", of_month))
        for kind, value in zip(KINDS, values, strict=True)
        if value is not None
    }
