"""Draw a chart of bars into a self-contained SVG file, which loads nothing from a server."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import pygal
from pygal.style import Style

#: Colours that people with a colour vision deficiency can tell apart (https://personal.sron.nl/~pault/).
_COLOURS: Final = ("#4477aa", "#ee7733", "#009988", "#cc3311", "#bbbbbb")
WIDTH, HEIGHT = 1000, 520


def stacked(
    path: Path,
    *,
    title: str,
    unit: str,
    labels: Sequence[str],
    series: Mapping[str, Sequence[float]],
    shown: Callable[[float], str],
) -> None:
    """Draw `series` on top of each other, one bar for each label. `shown` writes a value with its unit."""
    chart = pygal.StackedBar(
        js=[],
        style=Style(background="white", plot_background="white", colors=_COLOURS, font_family="sans-serif"),
        title=title,
        y_title=unit,
        x_label_rotation=40,
        legend_at_bottom=True,
        value_formatter=shown,
        width=WIDTH,
        height=HEIGHT,
    )
    chart.x_labels = list(labels)
    for name, values in series.items():
        chart.add(name, list(values))
    chart.render_to_file(str(path))
