"""Measure start and stop times of a command, a webhook and a worker.

Start: until a command's help is printed, a webhook acknowledges its first text, a worker answers its first turn.
Stop: from SIGTERM until the process has ended.
The plain contestants are the FastAPI webhook and the prefork worker of `benchmarks/plain/`.
"""

from __future__ import annotations

import signal
import subprocess
import time
from typing import Final

from benchmarks import acknowledge, turns
from benchmarks.lab import ROOT, Lab, bring
from benchmarks.load import Plan
from benchmarks.report import Goal, Study

#: A person waits for `dadacat --help`.
HELP_SECONDS: Final = 0.5
#: A stopping worker finishes its visits: 20 s for a reply, 10 s for a send, and a margin.
DRAIN_SECONDS: Final = 40.0


def study(*, quick: bool = False) -> Study:
    """Run the study."""
    results = Study(name="start", title="Start and stop, in seconds", command="scripts/bench start")
    for _ in range(1 if quick else 3):
        started_at = time.monotonic()
        subprocess.run([ROOT / ".venv/bin/dadacat", "--help"], check=True, capture_output=True)  # noqa: S603
        results.add("dadacat --help", "ours", time.monotonic() - started_at)
        with Lab() as lab:
            _, url, _ = lab.redis(fsync="always")
            for name in ("ours", "FastAPI + delay"):
                started_at = time.monotonic()
                one = acknowledge.start(lab, name, url)
                bring(Plan(host="127.0.0.1", port=one.port, connections=1, seconds=1, texts=1, warm_up=0))
                results.add("webhook: start to first acknowledgement", name, time.monotonic() - started_at)
                results.add("webhook: SIGTERM to gone", name, one.proc.stop())
    for _ in range(1 if quick else 3):
        _workers(results)
    seconds = results.median("dadacat --help", "ours")
    results.goals.append(
        Goal(goal="dadacat --help within half a second", figure=f"{seconds:.2f} s", met=seconds <= HELP_SECONDS)
    )
    drained = results.median("worker with 32 conversations in flight: SIGTERM to gone", "ours")
    results.goals.append(
        Goal(
            goal="drain on SIGTERM within 40 s, nothing lost, nothing sent twice",
            figure=f"{drained:.1f} s",
            met=drained <= DRAIN_SECONDS,
        )
    )
    return results


def _workers(results: Study) -> None:
    with turns.house(thinks=0) as at:
        for name, start in ((turns.OURS, turns.ours), (turns.PLAIN, turns.plain)):
            sent = turns.seen(at)["sent"]
            turns.text(at, name, 1, 1)
            started_at = time.monotonic()
            proc = start(at, concurrency=2)
            turns.until_sent(at, int(sent) + 1)
            results.add("worker: start to first turn", name, time.monotonic() - started_at)
            proc.stop()
    with turns.house(thinks=2) as at:
        proc = turns.ours(at, concurrency=32)
        turns.text(at, turns.OURS, 1, 64)
        while turns.seen(at)["thinking"] < 32:  # noqa: PLR2004 - all threads
            time.sleep(0.05)
        results.add("worker with 32 conversations in flight: SIGTERM to gone", "ours", proc.stop(signal.SIGTERM))
        before = turns.seen(at)["sent"]
        again = turns.ours(at, concurrency=32)
        turns.text(at, turns.OURS, 65, 1)
        sent = turns.until_sent(at, 65)["sent"]
        again.stop()
        if sent != 65:  # noqa: PLR2004 - each text once
            raise RuntimeError(f"{sent} replies to 65 texts; {before} were sent before the stop")
