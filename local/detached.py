"""Start a tree that goes on without a terminal, and stop a tree from elsewhere."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

from local import data_folder, environments, log_files, programs
from local.errors import CannotStart
from local.plan import PLACES, UpOptions, own_services
from runtime.settings import environment

#: The launcher's log. What it says there in an attended start, it says on the terminal.
LAUNCHER_LOG: Final = "up"
POLL_SECONDS: Final = 0.1
#: The workers finish their turns together; then each other process, of those with a place and beat, has its time.
STOP_SECONDS: Final = programs.WORKER_STOP_SECONDS + (len(PLACES) + 1) * programs.STOP_SECONDS
LINES_SHOWN: Final = 5


def up(options: UpOptions) -> dict[str, Any]:  # Any: JSON
    """Start a tree and return its status when everything answers. Raises `CannotStart`."""
    if data_folder.is_locked(options.data):
        raise CannotStart(f"another DadaCat runs in the data folder {options.data}; choose another one with --data")
    # here, because it takes long the first time, and says so
    for name in own_services(environment(), options) & environments.NAMES.keys():
        environments.python(name)
    log = options.data / "logs" / f"{LAUNCHER_LOG}.log"
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        file = log.open("ab")
    except OSError as exc:
        raise CannotStart(f"the data folder {options.data} cannot be used: {exc.strerror}") from exc
    with file:
        process = subprocess.Popen(  # noqa: S603 - our own command
            _command(options), stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True
        )
    try:
        while process.poll() is None:
            status = data_folder.status(options.data)
            if status is not None and status["pid"] == process.pid:
                return status
            time.sleep(POLL_SECONDS)
    except BaseException:
        process.terminate()
        process.wait()
        raise
    raise CannotStart("\n".join(log_files.last_lines(log, LINES_SHOWN)))


def down(data: Path) -> None:
    """Stop the tree that runs in this folder, and wait until it has stopped. Raises `CannotStart`."""
    pid = data_folder.launcher(data)
    if pid is not None:
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    while data_folder.is_locked(data):
        if time.monotonic() > deadline:
            raise CannotStart(f"the tree in {data} has not stopped within {STOP_SECONDS:.0f} s; its launcher is {pid}")
        time.sleep(POLL_SECONDS)


def _command(options: UpOptions) -> list[str]:
    command = [str(Path(sys.executable).parent / "dadacat"), "up", "--headless"]
    command += ["--port-base", str(options.port_base), "--data", str(options.data), "--workers", str(options.workers)]
    command += ["--dynamodb", "aws"] if options.aws else []
    command += ["--observe"] if options.observe else []
    command += [word for name in sorted(options.without) for word in ("--without", name)]
    return command + (["--model", "local"] if options.model else [])
