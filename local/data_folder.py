"""Keep the data folder of a process tree: its lock, its secrets, its settings and its status.

DIR/lock               locked for as long as a tree runs here; holds the launcher's process id
DIR/run/tree.json      the settings of the running tree's processes
DIR/run/status.json    addresses and processes of the running tree
DIR/run/*              secrets that the first run created, and the ready files of the workers
DIR/logs/*.log         the output of each process
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from local.errors import CannotStart
from runtime.private_files import replace
from runtime.settings import names as setting_names

#: The folder of `dadacat up`, unless DADACAT_DATA names another one.
DEFAULT: Final = ".data"

#: Folders that earlier releases made readable for every user of the machine.
_OURS: Final = ("run", "logs", "redis", "dynamodb", "simulator")
_TREE_FILE: Final = Path("run", "tree.json")
_STATUS_FILE: Final = Path("run", "status.json")
#: boto3 reads these from the environment alone.
CREDENTIALS: Final = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


def lock(data: Path) -> int:
    """Lock the folder for one tree; return the file descriptor to close at the end. Raises `CannotStart`."""
    try:
        data.mkdir(parents=True, exist_ok=True)
        for name in _OURS:
            if (data / name).is_dir():
                (data / name).chmod(0o700)
        descriptor = os.open(data / "lock", os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # of a killed tree: it would pass for this one, which is not ready
        clear(data)
        os.ftruncate(descriptor, 0)
        os.write(descriptor, str(os.getpid()).encode())
    except BlockingIOError:
        raise CannotStart(
            f"another DadaCat runs in the data folder {data}; choose another folder with --data"
        ) from None
    except OSError as exc:
        raise CannotStart(f"the data folder {data} cannot be used: {exc.strerror}") from exc
    return descriptor


def is_locked(data: Path) -> bool:
    """Return whether a tree runs in this folder; a killed tree leaves its files behind."""
    try:
        descriptor = os.open(data / "lock", os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(descriptor)


def launcher(data: Path) -> int | None:
    """Return the process id of the tree that runs in this folder; None if none does."""
    if not is_locked(data):
        return None
    try:
        return int((data / "lock").read_text())
    except (OSError, ValueError):
        return None


def write_settings(data: Path, env: Mapping[str, str]) -> None:
    """Write the settings that commands need to find the running tree, readable by their owner only."""
    names = [*setting_names(), *CREDENTIALS]
    replace(data / _TREE_FILE, json.dumps({name: env[name] for name in names if env.get(name)}))


def settings(data: Path) -> dict[str, str] | None:
    """Return the settings of the tree that runs in this folder; None if none is ready."""
    return _read(data / _TREE_FILE) if is_locked(data) else None


def write_status(data: Path, status: Mapping[str, Any]) -> None:
    """Write the addresses and processes of the running tree, readable by their owner only."""
    replace(data / _STATUS_FILE, json.dumps(status))


def status(data: Path) -> dict[str, Any] | None:
    """Return what `write_status` wrote of the tree that runs in this folder; None if none is ready."""
    return _read(data / _STATUS_FILE) if is_locked(data) else None


def clear(data: Path) -> None:
    """Remove the settings and the status of a tree that has ended."""
    for name in (_TREE_FILE, _STATUS_FILE):
        (data / name).unlink(missing_ok=True)


def _read(path: Path) -> dict[str, Any] | None:
    try:
        content: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return content
