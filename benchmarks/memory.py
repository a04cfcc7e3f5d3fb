"""Measure whether a webhook's memory grows over a million texts through one process."""

from __future__ import annotations

from typing import Final

from benchmarks import acknowledge
from benchmarks.lab import Lab, bring
from benchmarks.load import Plan
from benchmarks.report import Goal, Study

TEXTS: Final = 1_000_000
#: After each chunk of this many texts, Redis is emptied and the memory is read.
CHUNK: Final = 50_000
#: Largest growth from the first tenth of the texts to the last text, as a share.
FLAT: Final = 0.05


def study(*, quick: bool = False) -> Study:
    """Run the study."""
    results = Study(
        name="memory", title="A webhook's memory over a million texts, in MB", command="scripts/bench memory"
    )
    texts, chunk = (20_000, 2_000) if quick else (TEXTS, CHUNK)
    sizes = []
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
                raise RuntimeError(f"not all texts were acknowledged: {done.statuses}")
            client.flushall()
            sizes.append(one.proc.pss_mb())
    tenth, last = sizes[len(sizes) // 10], sizes[-1]
    for after, size in (
        (0, sizes[0]),
        (len(sizes) // 10, tenth),
        (len(sizes) // 2, sizes[len(sizes) // 2]),
        (len(sizes) - 1, last),
    ):
        results.add(f"after {(after + 1) * chunk:,} texts", "ours", size)
    results.goals.append(
        Goal(goal=f"memory flat over {texts:,} texts",
             figure=f"{tenth:.1f} MB at a tenth, {last:.1f} MB at the end",
             ratio=f"{last / tenth:.3f}", met=last / tenth < 1 + FLAT)
    )  # fmt: skip
    return results
