"""Whether a webhook's memory stays what it is: a million texts through one process, Redis emptied now and then."""

from __future__ import annotations

from typing import Final

from benchmarks import acknowledge
from benchmarks.lab import Lab, bring
from benchmarks.load import Plan
from benchmarks.report import Goal, Study

TEXTS: Final = 1_000_000
#: So many at a time, then Redis is emptied and the memory is looked at.
CHUNK: Final = 50_000
#: From a tenth of all texts to all of them, by no more than this part.
FLAT: Final = 0.05


def study(*, quick: bool = False) -> Study:
    """The whole measurement."""
    found = Study(name="memory", title="A webhook's memory over a million texts, in MB", command="scripts/bench memory")
    texts, chunk = (20_000, 2_000) if quick else (TEXTS, CHUNK)
    seen = []
    with Lab() as lab:
        client, url, _ = lab.redis(fsync="no")
        one = acknowledge.start(lab, "ours", url)
        for first in range(0, texts, chunk):
            done = bring(
                Plan(
                    host="127.0.0.1",
                    port=one.port,
                    connections=32,
                    seconds=600,
                    texts=chunk,
                    first=first,
                    people=chunk,
                    warm_up=0,
                )
            )
            if done.statuses != {"200": chunk}:
                raise RuntimeError(f"not everything was kept: {done.statuses}")
            client.flushall()
            seen.append(one.proc.pss_mb())
    tenth, last = seen[len(seen) // 10], seen[-1]
    for after, size in (
        (0, seen[0]),
        (len(seen) // 10, tenth),
        (len(seen) // 2, seen[len(seen) // 2]),
        (len(seen) - 1, last),
    ):
        found.add(f"after {(after + 1) * chunk:,} texts", "ours", size)
    found.goals.append(
        Goal(goal=f"memory flat over {texts:,} texts", figure=f"{tenth:.1f} MB at a tenth, {last:.1f} MB at the end", ratio=f"{last / tenth:.3f}",
             met=last / tenth < 1 + FLAT)
    )  # fmt: skip
    return found
