"""Run benchmark studies, print their results, and write them to `docs/benchmarks/`."""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from pathlib import Path

from benchmarks import acknowledge, growth, kill, marks, memory, parts, queues, road, scale, simulate, start, turns
from benchmarks.lab import ROOT
from benchmarks.report import Study

STUDIES = {
    "acknowledge": acknowledge.study,
    "queues": queues.study,
    "memory": memory.study,
    "turns": turns.study,
    "parts": parts.study,
    "road": road.study,
    "growth": growth.study,
    "scale": scale.study,
    "marks": marks.study,
    "kill": kill.study,
    "start": start.study,
    "simulate": simulate.study,
}
#: Studies that can compare two checkouts.
COMPARED = {"acknowledge": acknowledge.compare, "turns": turns.compare}


def main() -> None:
    """Parse the command line and run the studies."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="STUDY", help="default: all")
    parser.add_argument("--quick", action="store_true", help="run few short rounds and write nothing")
    parser.add_argument("--compare", metavar="BASE", help="a commit: measure this checkout and that one alternately")
    options = parser.parse_args()
    if unknown := set(options.names) - set(STUDIES):
        parser.error(f"unknown study: {', '.join(sorted(unknown))}; choose from: {', '.join(STUDIES)}")
    if options.compare:
        if others := set(options.names) - set(COMPARED):
            parser.error(f"--compare runs {' and '.join(COMPARED)} only, not {', '.join(sorted(others))}")
        with tempfile.TemporaryDirectory(prefix="dadacat-base-") as folder:
            base = Path(folder) / options.compare.replace("/", "-")
            git = ["git", "-C", str(ROOT), "worktree"]
            subprocess.run([*git, "add", "--quiet", "--detach", str(base), options.compare], check=True)  # noqa: S603
            try:
                results = Study(
                    name="compare", title=f"This checkout beside {base.name}", command="scripts/bench --compare"
                )
                for name in options.names or COMPARED:
                    COMPARED[name](results, base, quick=options.quick)
                print(results.table())
            finally:
                subprocess.run([*git, "remove", "--force", str(base)], check=True)  # noqa: S603
        return
    for name in options.names or STUDIES:
        results = STUDIES[name](quick=options.quick)
        print(results.table(), flush=True)
        if not options.quick:
            results.save()


if __name__ == "__main__":
    main()
