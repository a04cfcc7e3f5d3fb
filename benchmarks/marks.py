"""Measure what a mark costs an attempt, and how long a kill can leave a doubt.

The plain contestant is the usual way to write something down before an act: a line in a file, and fsync.
The window is the time from the store of BEGUN to the end of the write of a whole request, on a connected socket.
"""

from __future__ import annotations

import os
import socket
import tempfile
import threading
import time
from pathlib import Path
from typing import Final

from benchmarks.report import Study
from inbox.payloads import Who
from worker.send_marks.marks import Mark, Marks

ATTEMPTS: Final = 20_000
SYNCS: Final = 200
#: The length of a request to Twilio with its headers.
REQUEST: Final = b"x" * 1_100
_MICRO: Final = 1e6


def study(*, quick: bool = False) -> Study:
    """Run the study."""
    results = Study(name="marks", title="The mark of an attempt, in microseconds", command="scripts/bench marks")
    with tempfile.TemporaryDirectory(prefix="dadacat-bench-") as folder:
        for _ in range(1 if quick else 5):
            for name, marks in (
                ("in a mapped file", Marks(Path(folder) / "marks", slots=2)),
                ("in memory only", Marks()),
            ):
                with marks.serving(Who("6f1ed002ab5595859014ebf0")) as mark:
                    results.add("an attempt's marks", name, _attempts(mark))
                    if name == "in a mapped file":
                        results.add("from BEGUN to the written request", name, _window(mark))
                marks.close()
            results.add("an attempt's marks", "a line and fsync", _lines(Path(folder) / "log"))
    ratio = results.ratio("an attempt's marks", "a line and fsync", "in a mapped file")
    results.hold("cheaper than a line and fsync", figure="an attempt's marks", ratio=ratio, least=1.0)
    return results


def _attempts(mark: Mark) -> float:
    started_at = time.perf_counter()
    for number in range(ATTEMPTS):
        mark.claiming("out#SM0123456789abcdef0123456789abcdef#0", f"SM0-0-{number:016x}", fence=number)
        mark.begin()
        mark.settled()
    return (time.perf_counter() - started_at) / ATTEMPTS * _MICRO


def _window(mark: Mark) -> float:
    """Return the median over many writes; the other end reads as fast as it can."""
    here, there = socket.socketpair()

    def read() -> None:
        while there.recv(1 << 20):
            pass

    reader = threading.Thread(target=read)
    reader.start()
    taken = []
    for number in range(ATTEMPTS // 10):
        mark.claiming("out#SM0123456789abcdef0123456789abcdef#0", f"SM0-0-{number:016x}", fence=number)
        started_at = time.perf_counter()
        mark.begin()
        here.sendall(REQUEST)
        taken.append(time.perf_counter() - started_at)
        mark.settled()
    here.close()
    reader.join()
    there.close()
    return sorted(taken)[len(taken) // 2] * _MICRO


def _lines(path: Path) -> float:
    with path.open("ab", buffering=0) as log:
        started_at = time.perf_counter()
        for number in range(SYNCS):
            for word in (b"claiming", b"begun", b"settled"):
                log.write(b"%s SM0-0-%016x\n" % (word, number))
                os.fsync(log.fileno())
        return (time.perf_counter() - started_at) / SYNCS * _MICRO
