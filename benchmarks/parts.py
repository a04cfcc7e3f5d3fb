"""Break down the CPU time of a turn: a profile of both workers by part, and a flame graph of ours.

py-spy samples the stack of the thread that holds the interpreter lock, a few hundred times a second.
A sample belongs to the innermost part in its stack: urllib3 below the Twilio client counts as the Twilio client.
The shares are of the time with the lock. They are applied to the CPU time a turn that `/proc` counted in the same
rounds, system calls included, without what listening for danger takes: that is done without the lock, and timed alone.
"""

from __future__ import annotations

import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from benchmarks import turns
from benchmarks.lab import BENCH_PYTHON, ROOT, Proc
from benchmarks.report import RESULTS, Study
from cat.danger import vectors

SAMPLES_A_SECOND: Final = 400
PROFILED_ROUNDS: Final = 6
DYNAMODB, MODEL, TWILIO, INBOX, CELERY, HEARING, OURS = (
    "DynamoDB",
    "model client",
    "Twilio client",
    "inbox in Redis",
    "Celery",
    "listening for danger",
    "the turn itself",
)
#: Path fragment of a frame, and its part. The first match counts, from the innermost frame outwards.
PLACES: Final = (
    ("(conversation/", DYNAMODB), ("(journal/", DYNAMODB), ("(boto3/", DYNAMODB), ("(botocore/", DYNAMODB),
    ("(cat/engines/openai.py", MODEL), ("(openai/", MODEL),
    ("(sms/twilio.py", TWILIO), ("(sms/http.py", TWILIO), ("(twilio/", TWILIO),
    ("(inbox/", INBOX),
    ("(celery/", CELERY), ("(kombu/", CELERY), ("(billiard/", CELERY),
    ("(worker/broker.py", CELERY), ("(worker/tasks.py", CELERY),
    ("(worker/", OURS), ("(cat/", OURS), ("(sms/", OURS), ("(runtime/", OURS), ("(benchmarks/plain/", OURS),
)  # fmt: skip


def part_of(stack: str) -> str:
    """Return the part of a stack, whose frames are joined by `;`, the outermost first."""
    for frame in reversed(stack.split(";")):
        for piece, part in PLACES:
            if piece in frame:
                return part
    return CELERY


def shares(lines: Iterable[str]) -> dict[str, float]:
    """Return each part's share of the samples; a raw line of py-spy is a stack and its count."""
    seen: Counter[str] = Counter()
    for line in lines:
        stack, _, times = line.rpartition(" ")
        seen[part_of(stack)] += int(times)
    return {part: times / seen.total() for part, times in seen.items()}


def profiled(at: turns.House, name: str, proc: Proc, first: int, *, form: str, where: Path) -> float:
    """Run rounds of texts under the profiler; return their milliseconds of CPU a turn."""
    spy = subprocess.Popen(  # noqa: S603 - a program of the benchmark environment
        [str(BENCH_PYTHON.parent / "py-spy"), "record", "--subprocesses", "--rate", str(SAMPLES_A_SECOND), "--gil",
         "--format", form, "--output", str(where), "--pid", str(proc.pid), "--duration", "3600"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    before = proc.cpu_seconds()
    for number in range(PROFILED_ROUNDS):
        turns.a_round(at, name, first + number * turns.PEOPLE)
    milliseconds = 1000 * (proc.cpu_seconds() - before) / (PROFILED_ROUNDS * turns.PEOPLE)
    spy.send_signal(signal.SIGINT)
    spy.wait(60)
    return milliseconds


def hearing() -> float:
    """Return the milliseconds of CPU that the meaning of one of the texts takes."""
    vectors.hear("hello")
    before = time.thread_time()
    for number in range(turns.PEOPLE):
        vectors.hear(f"hello {number}")
    return 1000 * (time.thread_time() - before) / turns.PEOPLE


def study(*, quick: bool = False) -> Study:
    """Run the study."""
    results = Study(name="parts", title="What a turn's CPU is spent on, in milliseconds", command="scripts/bench parts")
    for _ in range(1 if quick else 2):
        for name, start, concurrency in ((turns.OURS, turns.ours, 32), (turns.PLAIN, turns.plain, 2)):
            with turns.house(thinks=0) as at:
                proc = start(at, concurrency=concurrency)
                for number in range(turns.EXCHANGES):
                    turns.a_round(at, name, number * turns.PEOPLE)
                raw, first = at.lab.data / "profile", turns.EXCHANGES * turns.PEOPLE
                cpu = profiled(at, name, proc, first, form="raw", where=raw)
                if name == turns.OURS:
                    results.add(HEARING, name, heard := hearing())
                    cpu -= heard
                for part, share in sorted(shares(raw.read_text().splitlines()).items()):
                    results.add(part, name, cpu * share)
                if name == turns.OURS and not quick:
                    first += PROFILED_ROUNDS * turns.PEOPLE
                    flame = RESULTS / "parts-flame.svg"
                    profiled(at, name, proc, first, form="flamegraph", where=flame)
                    # the title is the profiler's command line: do not publish this checkout's path
                    flame.write_text(flame.read_text().replace(f"{ROOT}/", ""))
    results.notes.append("A flame graph of our worker: [parts-flame.svg](parts-flame.svg).")
    return results
