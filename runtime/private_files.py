"""Write files that only their owner may read: secrets, and the settings of a tree.

A reader finds the whole content or no file, also after a power cut.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def kept(path: Path, fresh: str) -> str:
    """Return the secret in a file; if the file is missing or empty, it is created, private, with `fresh`."""
    if secret := _secret(path):
        return secret
    try:
        create(path, fresh)
    except FileExistsError:
        # another process made it meanwhile; or it is empty, as a power cut left it in earlier releases
        if secret := _secret(path):
            return secret
        replace(path, fresh)
    return fresh


def create(path: Path, content: str) -> None:
    """Write a new file, readable by its owner only. Raises `FileExistsError`."""
    with _written(path, content) as fresh:
        os.link(fresh, path)


def replace(path: Path, content: str) -> None:
    """Write a file, readable by its owner only, over what stands there."""
    with _written(path, content) as fresh:
        fresh.replace(path)


def _secret(path: Path) -> str:
    with suppress(FileNotFoundError):
        return path.read_text().strip()
    return ""


@contextmanager
def _written(path: Path, content: str) -> Iterator[Path]:
    """Yield a private file beside `path` that has the content on disk; it is removed if it is not moved."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    fresh = Path(name)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        yield fresh
    finally:
        fresh.unlink(missing_ok=True)
