"""Run every process of the product on one machine: `dadacat up`.

Processes are started in order, watched, and stopped in reverse order. The stores start first, because everything
else needs them. Simulator, webhook, workers, beat and Flower follow and find each other by address.
A process that dies is started again. A process that cannot be started, or that keeps dying, ends the whole tree
with a sentence that says why.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
import webbrowser
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from local import data_folder, log_files, running_trees
from local.errors import CannotStart
from local.plan import Plan, UpOptions, make_plan
from local.programs import Program
from runtime.settings import SettingsError, environment

#: Time for a process to answer. On a slow machine, Python alone needs several seconds to start them all.
START_SECONDS: Final = 120.0
#: A process that dies sooner than this after its start counts as dying again: it restarts after a pause.
STEADY_SECONDS: Final = 10.0
#: The tree stops after this many deaths in a row, each within `STEADY_SECONDS` of the start.
DEATHS: Final = 5
#: The longest pause before a process that keeps being killed is started again.
LONGEST_PAUSE_SECONDS: Final = 5
WATCH_SECONDS: Final = 0.2
#: How often the sizes of the logs are looked at.
LOGS_SECONDS: Final = 5.0
LOG_LINES_SHOWN: Final = 5

_PR_SET_PDEATHSIG: Final = 1


@dataclass(slots=True)
class _Running:
    program: Program
    process: subprocess.Popen[bytes]
    started: float
    deaths: int = 0
    again_at: float = field(default=0.0)


def up(options: UpOptions, *, headless: bool, ready: Callable[[dict[str, Any]], None]) -> int:
    """Run the tree until a signal, and return the exit code. `ready` is called with its status."""
    try:
        lock = data_folder.lock(options.data)
        plan = make_plan(environment(), options)
    except (CannotStart, SettingsError, OSError) as exc:
        _say(str(exc))
        return 1
    stopping: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: stopping.append(number))
    tree = Tree(options.data, stopping)
    try:
        for group in plan.groups:
            tree.start(group)
        if stopping:
            return 0
        _say(f"logs are in {options.data / 'logs'}")
        data_folder.write_settings(options.data, plan.environment)
        running_trees.remember(options.data)
        tree.watch(plan, lambda status: _ready(status, ready, headless=headless))
    except (CannotStart, OSError) as exc:
        _say(str(exc))
        return 1
    finally:
        with suppress(OSError):
            data_folder.clear(options.data)
        tree.stop()
        os.close(lock)
    return 0


def _ready(status: dict[str, Any], ready: Callable[[dict[str, Any]], None], *, headless: bool) -> None:
    ready(status)
    if not headless:
        open_page(status)


def open_page(status: dict[str, Any]) -> None:  # Any: JSON
    """Open the page with the telephones, or what there is instead, in a browser."""
    urls = status["urls"]
    webbrowser.open(urls.get("phone", urls["webhook"]))


class Tree:
    """The running processes, in the order of their start."""

    def __init__(self, data: Path, stopping: list[int]) -> None:
        self._data = data
        self._logs = data / "logs"
        self._stopping = stopping
        self._running: list[_Running] = []
        self._since = datetime.now(UTC).isoformat(timespec="seconds")

    def start(self, programs: Sequence[Program]) -> None:
        """Start programs together and wait until all of them answer. Raises `CannotStart`."""
        self._logs.mkdir(parents=True, exist_ok=True)
        first = len(self._running)
        for program in programs:
            # one by one: if the next cannot be started, `stop` ends those before it
            self._running.append(self._spawn(program))
        deadline = time.monotonic() + START_SECONDS
        waiting = self._running[first:]
        while waiting and not self._stopping:
            for running in list(waiting):
                if running.process.poll() is not None:
                    raise CannotStart(f"{running.program.name} did not start: {self._last_log_lines(running)}")
                if running.program.answers():
                    _say(f"{running.program.name} is up")
                    waiting.remove(running)
            if waiting and time.monotonic() > deadline:
                names = ", ".join(running.program.name for running in waiting)
                raise CannotStart(
                    f"no answer within {START_SECONDS:.0f} s from: {names}; their logs are in {self._logs}"
                )
            time.sleep(0.05)

    def watch(self, plan: Plan, ready: Callable[[dict[str, Any]], None]) -> None:
        """Restart processes that die, until a signal. Raises `CannotStart` if one keeps dying."""
        ready(self._note(plan))
        noted, looked_at = self._pids(), time.monotonic()
        while not self._stopping:
            for place, running in enumerate(self._running):
                if running.process.poll() is not None:
                    self._running[place] = self._restarted(running)
            if noted != self._pids():
                # a full disk stops no tree: the status is written when there is room again
                with suppress(OSError):
                    self._note(plan)
                    noted = self._pids()
            if time.monotonic() - looked_at > LOGS_SECONDS:
                looked_at = time.monotonic()
                for path in log_files.files(self._logs).values():
                    log_files.keep_small(path)
            time.sleep(WATCH_SECONDS)

    def _note(self, plan: Plan) -> dict[str, Any]:
        """Write the tree's status for `dadacat status`, and return it."""
        status = {
            "data": str(self._data),
            "pid": os.getpid(),
            "since": self._since,
            "urls": dict(plan.urls),
            "processes": self._pids(),
        }
        data_folder.write_status(self._data, status)
        return status

    def _pids(self) -> dict[str, int]:
        return {running.program.name: running.process.pid for running in self._running}

    def _restarted(self, dead: _Running) -> _Running:
        now = time.monotonic()
        if not dead.again_at:
            dead.deaths = dead.deaths + 1 if now - dead.started < STEADY_SECONDS else 1
            # a process killed from outside is always restarted; one that keeps ending by itself has a fault
            if dead.deaths >= DEATHS and (dead.process.returncode or 0) >= 0:
                raise CannotStart(f"{dead.program.name} died {DEATHS} times in a row: {self._last_log_lines(dead)}")
            dead.again_at = now + min(dead.deaths - 1, LONGEST_PAUSE_SECONDS)
            _say(f"{dead.program.name} died ({_exit_reason(dead.process.returncode)}); starting it again")
        if now < dead.again_at:
            return dead
        successor = self._spawn(dead.program)
        successor.deaths = dead.deaths
        return successor

    def stop(self) -> None:
        """Stop the processes, the last started first, the workers together.

        A second signal kills without waiting.
        """
        if self._running:
            _say("stopping ...")
        for _, together in groupby(reversed(self._running), lambda running: running.program.role):
            self._end(list(together))
        self._running.clear()

    def _end(self, together: Sequence[_Running]) -> None:
        """Stop processes at the same time, and wait until all have ended."""
        for running in together:
            if running.process.poll() is None:
                running.process.terminate()
        deadline = time.monotonic() + max(running.program.stop_seconds for running in together)
        signals = len(self._stopping)
        while alive := [running.process for running in together if running.process.poll() is None]:
            if time.monotonic() > deadline or len(self._stopping) > max(signals, 1):
                for process in alive:
                    process.kill()
            time.sleep(0.02)

    def _spawn(self, program: Program) -> _Running:
        if program.ready_file is not None:
            program.ready_file.unlink(missing_ok=True)
        try:
            with (self._logs / f"{program.name}.log").open("ab") as log:
                process = subprocess.Popen(  # noqa: S603 - our own commands
                    list(program.command),
                    env=dict(program.environment),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,  # Ctrl-C reaches only the launcher, which stops the processes in order
                    preexec_fn=_die_with_parent,  # noqa: PLW1509 - the launcher has one thread
                )
        except OSError as exc:
            raise CannotStart(f"{program.name} cannot be started: {exc}") from exc
        return _Running(program, process, time.monotonic())

    def _last_log_lines(self, running: _Running) -> str:
        path = self._logs / f"{running.program.name}.log"
        lines = log_files.last_lines(path, LOG_LINES_SHOWN)
        return f"{_exit_reason(running.process.returncode)}\n  " + "\n  ".join(lines) + f"\n  (log: {path})"


def _die_with_parent() -> None:
    """Ask Linux to stop this process when the launcher is killed.

    On other systems the process keeps running, as any child process does.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _exit_reason(code: int | None) -> str:
    return f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"


def _say(sentence: str) -> None:
    # a terminal that is gone, or a full disk under the launcher's log, stops no tree
    with suppress(OSError):
        print(sentence, file=sys.stderr, flush=True)
