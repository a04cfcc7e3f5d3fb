"""How long until there is something: a command's help, a webhook's first acknowledgement, a worker's first turn; and how long until it has stopped.

Plain: the FastAPI webhook and the prefork worker of `benchmarks/plain/`.
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

#: `dadacat --help` is asked by people.
HELP_SECONDS: Final = 0.5
#: A worker that is asked to stop finishes what it has in hand: a reply's 20 s, a send's 10 s, and room.
DRAIN_SECONDS: Final = 40.0


def study(*, quick: bool = False) -> Study:
    """The whole measurement."""
    found = Study(name="start", title="Start and stop, in seconds", command="scripts/bench start")
    for _ in range(1 if quick else 3):
        begun = time.monotonic()
        subprocess.run([ROOT / ".venv/bin/dadacat", "--help"], check=True, capture_output=True)  # noqa: S603
        found.add("dadacat --help", "ours", time.monotonic() - begun)
        with Lab() as lab:
            _, url, _ = lab.redis(fsync="always")
            for name in ("ours", "FastAPI + delay"):
                begun = time.monotonic()
                one = acknowledge.start(lab, name, url)
                bring(Plan(host="127.0.0.1", port=one.port, connections=1, seconds=1, texts=1, warm_up=0))
                found.add("webhook: start to first acknowledgement", name, time.monotonic() - begun)
                found.add("webhook: SIGTERM to gone", name, one.proc.stop())
    for _ in range(1 if quick else 3):
        _workers(found)
    seconds = found.median("dadacat --help", "ours")
    found.goals.append(
        Goal(goal="dadacat --help within half a second", figure=f"{seconds:.2f} s", met=seconds <= HELP_SECONDS)
    )
    drained = found.median("worker with 32 conversations in flight: SIGTERM to gone", "ours")
    found.goals.append(
        Goal(
            goal="drain on SIGTERM within 40 s, nothing lost, nothing sent twice",
            figure=f"{drained:.1f} s",
            met=drained <= DRAIN_SECONDS,
        )
    )
    return found


def _workers(found: Study) -> None:
    with turns.house(thinks=0) as at:
        for name, start in ((turns.OURS, turns.ours), (turns.PLAIN, turns.plain)):
            sent = turns.seen(at)["sent"]
            turns.text(at, name, 1, 1)
            begun = time.monotonic()
            proc = start(at, concurrency=2)
            turns.until_sent(at, int(sent) + 1)
            found.add("worker: start to first turn", name, time.monotonic() - begun)
            proc.stop()
    with turns.house(thinks=2) as at:
        proc = turns.ours(at, concurrency=32)
        turns.text(at, turns.OURS, 1, 64)
        while turns.seen(at)["thinking"] < 32:  # noqa: PLR2004 - all threads
            time.sleep(0.05)
        found.add("worker with 32 conversations in flight: SIGTERM to gone", "ours", proc.stop(signal.SIGTERM))
        before = turns.seen(at)["sent"]
        again = turns.ours(at, concurrency=32)
        turns.text(at, turns.OURS, 65, 1)
        sent = turns.until_sent(at, 65)["sent"]
        again.stop()
        if sent != 65:  # noqa: PLR2004 - each text once
            raise RuntimeError(f"{sent} replies to 65 texts; {before} were sent before the stop")
