"""How long something took: for half of the times, and for 95 of 100."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """How long something took, in milliseconds."""

    median: float
    p95: float

    def to_json(self) -> dict[str, float]:
        """Return it as a JSON object."""
        return {"median": self.median, "p95": self.p95}


def of(values: Sequence[float]) -> Spread:
    """Return the spread of at least one time. It lies between the shortest and the longest."""
    if len(values) == 1:
        return Spread(median=values[0], p95=values[0])
    # the other method says of few values that some took longer than the longest did
    parts = statistics.quantiles(values, n=100, method="inclusive")
    return Spread(median=round(parts[49], 1), p95=round(parts[94], 1))
