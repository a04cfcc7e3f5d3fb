"""The log files of a tree: keep them small, read their ends, follow them."""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

#: A log that grew beyond this is moved to `NAME.log.1`, so a process keeps at most twice as much.
LOG_BYTES: Final = 10 * 1024 * 1024
#: How often a followed log is looked at.
FOLLOW_SECONDS: Final = 0.2
#: The disk is full, or the owner's share of it.
_FULL: Final = (errno.ENOSPC, errno.EDQUOT)


def keep_small(path: Path, limit: int = LOG_BYTES) -> None:
    """Move the content of a log that is too large to `NAME.log.1`, over what stood there.

    The process keeps the file open to append to it, so the file is copied and emptied, not renamed. Lines that are
    written between the two are lost. On a full disk the file is emptied without a copy. A log that cannot be moved for
    another reason stays: it is no reason to stop a tree.
    """
    with suppress(OSError):
        if path.stat().st_size > limit:
            _copy(path, path.with_name(f"{path.name}.1"))
            os.truncate(path, 0)


def _copy(path: Path, copy: Path) -> None:
    try:
        shutil.copyfile(path, copy)
    except OSError as exc:
        if exc.errno not in _FULL:
            raise


def files(logs: Path) -> Mapping[str, Path]:
    """Return the log of each process, by its name."""
    return {path.stem: path for path in sorted(logs.glob("*.log"))}


def last_lines(path: Path, count: int) -> list[str]:
    """Return the last lines of a log."""
    with path.open(errors="replace") as file:
        return [line.rstrip("\n") for line in deque(file, maxlen=count)]


def follow(paths: Mapping[str, Path], running: Callable[[], bool]) -> Iterator[tuple[str, str]]:
    """Yield each line that is written from now on, with the name of its process, while `running`."""
    places = {name: path.stat().st_size for name, path in paths.items()}
    while running():
        for name, path in paths.items():
            if path.stat().st_size < places[name]:
                places[name] = 0  # the log was emptied
            with path.open("rb") as file:
                file.seek(places[name])
                written = file.read().rpartition(b"\n")
            places[name] += len(written[0]) + len(written[1])
            yield from ((name, line.decode(errors="replace")) for line in written[0].splitlines())
        time.sleep(FOLLOW_SECONDS)
