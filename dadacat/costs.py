"""What it costs, by day, by engine or by person: read from the journal, summed, shown as a table or drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pygal
from pygal.style import Style

from conversation.ports import Cost
from dadacat.money import MICRO
from sms.messages import masked

#: A picture of more bars than this cannot be read: the dearest are drawn.
BARS: Final = 60


@dataclass(slots=True)
class Line:
    """What one day, engine or person cost; money in millionths of a dollar."""

    name: str
    replies: int = 0
    segments: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    model: int = 0
    sms: int = 0
    #: Of the money for messages, what the carrier itself has said; the rest is by the price table.
    reported: int = 0

    @property
    def total(self) -> int:
        """All of it."""
        return self.model + self.sms

    def add(self, cost: Cost) -> None:
        """Count one more thing."""
        self.replies += cost.replies
        self.segments += cost.segments
        self.tokens_in += cost.tokens_in
        self.tokens_out += cost.tokens_out
        self.model += cost.model
        self.sms += cost.sms
        self.reported += cost.sms if cost.reported else 0

    def to_json(self) -> dict[str, Any]:  # Any: JSON
        """The line with its money in dollars."""
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


def by_day(cost: Cost) -> str:
    """The day, in UTC."""
    return cost.at.date().isoformat()


def by_engine(cost: Cost) -> str:
    """Who found the words."""
    return cost.engine or "unknown"


def hidden(person: str, who: str) -> str:
    """A person by its last digits and the name under which the logs and Flower know it."""
    return f"{masked(person)[-4:]} {who[:8]}"


def summed(costs: Iterable[Cost], key: Callable[[Cost], str]) -> tuple[list[Line], Line]:
    """A line for each day, engine or person, and the line of all of them."""
    lines: dict[str, Line] = {}
    total = Line("total")
    for cost in costs:
        name = key(cost)
        lines.setdefault(name, Line(name)).add(cost)
        total.add(cost)
    return list(lines.values()), total


def draw(lines: Sequence[Line], title: str, path: Path) -> None:
    """Draw the lines as stacked bars, an SVG picture that asks no other server for anything."""
    chart = pygal.StackedBar(
        js=[],
        style=Style(
            background="white", plot_background="white", colors=("#4477aa", "#ee7733"), font_family="sans-serif"
        ),
        title=title,
        y_title="US dollars",
        x_label_rotation=40,
        legend_at_bottom=True,
        value_formatter=lambda value: f"{value:.4f}",
        width=1000,
        height=520,
    )
    chart.x_labels = [line.name for line in lines]
    chart.add("models", [line.model / MICRO for line in lines])
    chart.add("messages", [line.sms / MICRO for line in lines])
    chart.render_to_file(str(path))
