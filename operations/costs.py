"""Sum the costs in the journal by day, engine, person or number of ours, for a table or a chart."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from journal.spending import Cost, cost_of, has_cost
from journal.store import Journal
from operations import charts
from operations.progress import Progress, silent, with_progress
from runtime.isolation import SetAside
from runtime.money import MICRO

#: A chart with more bars than this cannot be read.
BARS: Final = 60


@dataclass(slots=True)
class Line:
    """The cost of one day, engine, person or number of ours; money is in millionths of a dollar."""

    name: str
    replies: int = 0
    segments: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    model: int = 0
    sms: int = 0
    #: The part of `sms` that the carrier has reported; the rest is from the price table.
    reported: int = 0

    @property
    def total(self) -> int:
        """The cost of models and messages together."""
        return self.model + self.sms

    def add(self, cost: Cost) -> None:
        """Add the cost of one reply or message."""
        self.replies += cost.replies
        self.segments += cost.segments
        self.tokens_in += cost.tokens_in
        self.tokens_out += cost.tokens_out
        self.model += cost.model
        self.sms += cost.sms
        self.reported += cost.sms if cost.reported else 0

    def to_json(self) -> dict[str, Any]:  # Any: JSON
        """Return the line as a JSON object, with its money in dollars."""
        return {
            "name": self.name,
            "replies": self.replies,
            "segments": self.segments,
            "tokens_in": self.tokens_in,
            "tokens_out": self.tokens_out,
            "model_usd": self.model / MICRO,
            "sms_usd": self.sms / MICRO,
            "sms_reported_usd": self.reported / MICRO,
            "total_usd": self.total / MICRO,
        }


def gather(
    journal: Journal,
    since: datetime,
    by: str,
    *,
    person_name: Callable[[str], str],
    set_aside: SetAside,
    progress: Progress = silent,
) -> tuple[list[Line], Line]:
    """Return the costs since a time, by day, engine, person or number, and their total.

    Days are in UTC, oldest first. The others come by their cost, the largest first. A row that cannot be read is handed
    to `set_aside`. Raises `StoreAway`.
    """
    keys: dict[str, Callable[[Cost], str]] = {
        "day": lambda cost: cost.at.date().isoformat(),
        "engine": lambda cost: cost.engine or "unknown",
        "person": lambda cost: person_name(cost.user_id),
        "number": lambda cost: cost.number or "none",
    }
    lines, total = summed(with_progress(journal.costs.since(since, set_aside), "costs", progress), keys[by])
    return sorted(lines, key=lambda line: line.name if by == "day" else -line.total), total


def of_person(journal: Journal, person: str) -> Line:
    """Return what a person's replies ever cost. Reads the person's rows. Raises `StoreAway`."""
    costs = (cost_of(row) for row in journal.archive.rows(person) if has_cost(row))
    _, total = summed((cost for cost in costs if cost is not None), lambda _: "")
    return total


def first(lines: Sequence[Line], by: str, limit: int) -> Sequence[Line]:
    """Return the lines to show: the newest days, or the largest costs."""
    return lines[-limit:] if by == "day" else lines[:limit]


def summed(costs: Iterable[Cost], key: Callable[[Cost], str]) -> tuple[list[Line], Line]:
    """Return one line for each day, engine, person or number, and the line of their total."""
    lines: dict[str, Line] = {}
    total = Line("total")
    for cost in costs:
        name = key(cost)
        lines.setdefault(name, Line(name)).add(cost)
        total.add(cost)
    return list(lines.values()), total


def draw(lines: Sequence[Line], title: str, path: Path) -> None:
    """Draw the lines as stacked bars into a self-contained SVG file, which loads nothing from a server."""
    charts.stacked(
        path,
        title=title,
        unit="US dollars",
        labels=[line.name for line in lines],
        series={"models": [line.model / MICRO for line in lines], "messages": [line.sms / MICRO for line in lines]},
        shown=lambda value: f"{value:.4f}",
    )
