"""Keep the data folder of a process tree: its lock, its secrets, and the settings of the tree.

DIR/lock             locked for as long as a tree runs here
DIR/run/tree.json    the settings of the running tree's processes
DIR/run/*            secrets that the first run created, and the ready files of the workers
DIR/logs/*.log       the output of each process
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from local.errors import CannotStart
from runtime.private_files import create
from runtime.settings import names as setting_names

#: The folder of `dadacat up`, unless DADACAT_DATA names another one.
DEFAULT: Final = ".data"

#: Folders that earlier releases made readable for every user of the machine.
_OURS: Final = ("run", "logs", "redis", "dynamodb", "simulator")
_TREE_FILE: Final = Path("run", "tree.json")
#: boto3 reads these from the environment alone.
_CREDENTIALS: Final = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


def lock(data: Path) -> int:
    """Lock the folder for one tree; return the file descriptor to close at the end. Raises `CannotStart`."""
    try:
        data.mkdir(parents=True, exist_ok=True)
        for name in _OURS:
            if (data / name).is_dir():
                (data / name).chmod(0o700)
        descriptor = os.open(data / "lock", os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise CannotStart(
            f"another DadaCat runs in the data folder {data}; choose another folder with --data"
        ) from None
    except OSError as exc:
        raise CannotStart(f"the data folder {data} cannot be used: {exc.strerror}") from exc
    return descriptor


def _is_locked(data: Path) -> bool:
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


def write_settings(data: Path, env: Mapping[str, str]) -> None:
    """Write the settings that commands need to find the running tree, readable by their owner only."""
    names = [*setting_names(), *_CREDENTIALS]
    remove_settings(data)
    create(data / _TREE_FILE, json.dumps({name: env[name] for name in names if env.get(name)}))


def remove_settings(data: Path) -> None:
    """Remove what `write_settings` wrote."""
    (data / _TREE_FILE).unlink(missing_ok=True)


def with_settings_of_tree(given: Mapping[str, str]) -> Mapping[str, str]:
    """Return `given`, completed by the settings of the tree that runs in the data folder, if any."""
    data = Path(given.get("DADACAT_DATA", DEFAULT))
    if not _is_locked(data):
        return given
    try:
        tree: dict[str, str] = json.loads((data / _TREE_FILE).read_text())
    except (OSError, ValueError):
        return given
    for name in _CREDENTIALS:
        if name in tree:
            os.environ.setdefault(name, tree[name])
    return {**tree, **{name: value for name, value in given.items() if value}}
