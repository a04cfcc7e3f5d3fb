"""The view of `dadacat top`: the overview as it fits into a terminal."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from conversation.errors import StoreAway
from inbox.errors import InboxAway
from operations.overview import Level, Overview, span, why
from operations.recent import Recent
from runtime.money import MICRO, dollars
from runtime.visible import visible

#: Lines of the view that are no person who waits: the rest of the terminal lists people.
OTHER_LINES: Final = 24
_LEVELS: Final = {Level.OK: "green", Level.ATTENTION: "yellow", Level.WRONG: "bold red"}
#: A bar of a plot in eighths of a line; no text is a blank.
_BLOCKS: Final = " ▁▂▃▄▅▆▇█"
_BAR_CHARACTERS: Final = 20
_SECOND_MS: Final = 1000
#: So many lines are assumed where there is no terminal.
_LINES_IN_A_PIPE: Final = 60


def show(overview: Overview) -> None:
    """Print one view."""
    console = Console()
    console.print(view(overview, height=_LINES_IN_A_PIPE))


def watch(look: Callable[[], Overview], *, every: float, console: Console | None = None) -> None:
    """Show the view until Ctrl-C. What is away is said, and asked again."""
    console = console or Console()
    with Live(console=console, screen=True, auto_refresh=False) as screen, suppress(KeyboardInterrupt):
        while True:
            try:
                shown = view(look(), height=console.height)
            except (InboxAway, StoreAway) as exc:
                shown = _line(f"asked again in {every:g} s: {exc}", _LEVELS[Level.WRONG])
            screen.update(shown, refresh=True)
            time.sleep(every)


def view(overview: Overview, *, height: int) -> RenderableType:
    """Return the view of one moment, for a terminal of so many lines."""
    parts: list[RenderableType] = [
        Text.assemble((overview.verdict, _LEVELS[overview.level]), (f"   {overview.at:%Y-%m-%d %H:%M:%S} UTC", "dim")),
        *(_line(trouble.what, _LEVELS[trouble.level]) for trouble in overview.troubles),
        _now(overview),
    ]
    if overview.snapshot.waiting:
        parts.append(_waiting(overview, most=max(3, height - OTHER_LINES - len(overview.troubles))))
    parts.append(_day(overview.recent) if overview.recent else _line("the journal is being read", "dim"))
    if budgets := [budget for budget in overview.budgets if budget.cap]:
        parts.append(Group(*(_budget(budget.kind, budget.span, budget.spent, budget.cap or 0) for budget in budgets)))
    return Group(*parts)


def sparkline(values: Sequence[int]) -> str:
    """Return a plot of one line; the highest bar is the largest value."""
    most = max(values, default=0) or 1
    return "".join(_BLOCKS[-(-value * (len(_BLOCKS) - 1) // most)] for value in values)


def _line(text: str, style: str = "") -> Text:
    return Text(visible(text).replace("\n", " "), style=style)


def _now(overview: Overview) -> RenderableType:
    now, lists = overview.snapshot, overview.lists
    figures = {
        "people waiting": now.people, "texts": now.texts, "served now": now.served, "wake-ups": now.wake_ups,
        "reports": now.reports, "held": lists.held, "dead letters": lists.dead, "set aside": lists.set_aside,
    }  # fmt: skip
    table = Table(box=None, pad_edge=False, expand=True)
    for name in figures:
        table.add_column(name, style="bold", header_style="dim")
    table.add_row(*map(str, figures.values()))
    return Panel(table, title="now", title_align="left")


def _waiting(overview: Overview, *, most: int) -> RenderableType:
    table = Table(box=None, pad_edge=False, expand=True)
    for name in ("person", "waits", "texts", "why"):
        table.add_column(name, header_style="dim", no_wrap=name != "why")
    now_ms = overview.snapshot.now_ms
    shown = overview.snapshot.waiting[:most]
    for person in shown:
        waits = span(max(0.0, (now_ms - person.since_ms) / 1000))
        table.add_row(_line(person.who), waits, str(person.texts), _line(why(person, now_ms)))
    more = overview.snapshot.people - len(shown)
    return Panel(table, title="who waits" + (f", {more} more" if more > 0 else ""), title_align="left")


def _day(recent: Recent) -> RenderableType:
    arrived = [sum(bar.values()) for bar in recent.bars]
    lines = [
        Text.assemble(("texts an hour  ", "dim"), (sparkline(arrived), "cyan"), f"  at most {max(arrived, default=0)}"),
        _counts("texts", recent.stats.texts),
        _counts("engines", recent.stats.engines),
        _counts("statuses", recent.stats.statuses),
        Text.assemble(("steps, median and 95 of 100  ", "dim"), ", ".join(_steps(recent))),
        Text.assemble(
            ("costs  ", "dim"),
            f"{dollars(recent.today.total)} USD today, {dollars(recent.month.total)} USD this month",
        ),
    ]
    return Panel(Group(*lines), title=f"the last day, as of {recent.at:%H:%M:%S} UTC", title_align="left")


def _counts(name: str, counts: Mapping[str, int]) -> Text:
    largest = sorted(counts.items(), key=lambda pair: -pair[1])
    return Text.assemble((f"{name}  ", "dim"), _line(", ".join(f"{count} {what}" for what, count in largest) or "none"))


def _steps(recent: Recent) -> Iterator[str]:
    for name, spread in recent.spreads.items():
        yield f"{name} {_took(spread.median)} {_took(spread.p95)}"


def _took(milliseconds: float) -> str:
    return f"{milliseconds:.0f} ms" if milliseconds < _SECOND_MS else span(milliseconds / _SECOND_MS)


def _budget(kind: str, name: str, spent: int, cap: int) -> Text:
    full = min(_BAR_CHARACTERS, spent * _BAR_CHARACTERS // cap)
    bar = "█" * full + "░" * (_BAR_CHARACTERS - full)
    return _line(f"{kind} budget of the {name}  {bar}  {spent / MICRO:.2f} of {cap / MICRO:.2f} USD")
