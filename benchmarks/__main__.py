"""`scripts/bench`: measure, print, and write what was found to `docs/benchmarks/`."""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from pathlib import Path

from benchmarks import acknowledge, calls, growth, memory, parts, queues, road, scale, simulate, start, turns
from benchmarks.lab import ROOT
from benchmarks.report import Study

STUDIES = {
    "acknowledge": acknowledge.study,
    "queues": queues.study,
    "memory": memory.study,
    "turns": turns.study,
    "calls": calls.study,
    "parts": parts.study,
    "road": road.study,
    "growth": growth.study,
    "scale": scale.study,
    "start": start.study,
    "simulate": simulate.study,
}
#: What two checkouts are compared by.
COMPARED = {"acknowledge": acknowledge.compare, "turns": turns.compare}


def main() -> None:
    """Carry out what was asked for."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="STUDY", help="default: all")
    parser.add_argument("--quick", action="store_true", help="few short rounds, nothing written: does it run?")
    parser.add_argument("--compare", metavar="BASE", help="a commit: this checkout and that one, in turns")
    asked = parser.parse_args()
    if unknown := set(asked.names) - set(STUDIES):
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(STUDIES)}")
    if asked.compare:
        if others := set(asked.names) - set(COMPARED):
            parser.error(f"two checkouts are compared by {' and '.join(COMPARED)}, not by {', '.join(sorted(others))}")
        with tempfile.TemporaryDirectory(prefix="dadacat-base-") as folder:
            base = Path(folder) / asked.compare.replace("/", "-")
            git = ["git", "-C", str(ROOT), "worktree"]
            subprocess.run([*git, "add", "--quiet", "--detach", str(base), asked.compare], check=True)  # noqa: S603
            try:
                found = Study(
                    name="compare", title=f"This checkout beside {base.name}", command="scripts/bench --compare"
                )
                for name in asked.names or COMPARED:
                    COMPARED[name](found, base, quick=asked.quick)
                print(found.table())
            finally:
                subprocess.run([*git, "remove", "--force", str(base)], check=True)  # noqa: S603
        return
    for name in asked.names or STUDIES:
        found = STUDIES[name](quick=asked.quick)
        print(found.table(), flush=True)
        if not asked.quick:
            found.save()


if __name__ == "__main__":
    main()
