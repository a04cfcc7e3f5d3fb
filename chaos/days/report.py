"""Many days, summed up."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from chaos.days.day import Outcome, simulate
from chaos.days.draw import draw
from chaos.days.parallel import CHUNK, in_parallel
from chaos.days.plan import Plan, What
from chaos.days.shrink import Shrinker


@dataclass(slots=True)
class Report:
    """What became of many days."""

    days: int = 0
    texts: int = 0
    silent: int = 0
    held: int = 0
    struck: Counter[What] = field(default_factory=Counter)
    #: Seed to what went wrong.
    broken: dict[int, tuple[str, ...]] = field(default_factory=dict)
    simulated_hours: float = 0.0
    seconds: float = 0.0

    def add(self, outcome: Outcome) -> None:
        """Add one day."""
        self.days += 1
        self.texts += outcome.texts
        self.silent += outcome.silent
        self.held += len(outcome.held)
        self.struck.update(outcome.struck)
        self.simulated_hours += outcome.seconds / 3600
        if outcome.offences:
            self.broken[outcome.plan.seed] = tuple(outcome.offences)

    def lines(self, first: int) -> Iterator[str]:
        """Yield the account as text."""
        for what, times in sorted(self.struck.items(), key=lambda item: -item[1]):
            yield f"{times:>8}  {what}"
        yield ""
        for name, number in self._sums().items():
            yield f"{number:>8}  {name}"
        for seed, offences in sorted(self.broken.items()):
            yield f"seed {seed}: {offences[0]}" + (f", and {len(offences) - 1} more" if offences[1:] else "")
        kept = "the promise was kept" if not self.broken else "THE PROMISE WAS BROKEN"
        yield f"seeds {first} to {first + self.days - 1}, {self.seconds:.0f} s: {kept}"

    def as_json(self, first: int) -> dict[str, Any]:  # Any: JSON
        """Return the account as JSON data."""
        return {
            "first_seed": first,
            **{name.replace(" ", "_"): number for name, number in self._sums().items()},
            "seconds": round(self.seconds, 1),
            "faults": {str(what): times for what, times in sorted(self.struck.items())},
            "broken": {str(seed): list(offences) for seed, offences in self.broken.items()},
        }

    def _sums(self) -> dict[str, int]:
        return {
            "days": self.days,
            "simulated hours": round(self.simulated_hours),
            "texts": self.texts,
            "faults that struck": sum(self.struck.values()),
            "texts without a reply, for a reason": self.silent,
            "replies in doubt, each excused by a fault": self.held,
            "days that went wrong": len(self.broken),
        }


def run(
    seeds: Iterable[int], *, processes: int | None = None, note: Callable[[Report], None] = lambda _: None
) -> Report:
    """Run a day for each seed, on all cores; `note` gets the report so far after each day."""
    begun, report = time.monotonic(), Report()
    for outcome in in_parallel(day_of, seeds, processes=processes, chunk=CHUNK):
        report.add(outcome)
        report.seconds = time.monotonic() - begun
        note(report)
    return report


def day_of(seed: int, *, logged: bool = False) -> Outcome:
    """Run the day of a seed."""
    return simulate(draw(seed), logged=logged)


def shrunk(seed: int) -> Outcome:
    """Return the smallest day, with its log, that goes wrong as the day of this seed does."""
    kinds = {_kind(offence) for offence in day_of(seed).offences}

    def goes_wrong(plan: Plan) -> bool:
        return bool(kinds & {_kind(offence) for offence in simulate(plan).offences})

    return simulate(Shrinker(goes_wrong).shrink(draw(seed)), logged=True)


def _kind(offence: str) -> str:
    return offence.partition(":")[0]
