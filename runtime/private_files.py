"""Write files that only their owner may read: secrets, and the settings of a tree."""

from __future__ import annotations

import os
from pathlib import Path


def kept(path: Path, fresh: str) -> str:
    """Return the secret in a file; the first call creates the file, private, with `fresh`."""
    try:
        create(path, fresh)
    except FileExistsError:
        return path.read_text().strip()
    return fresh


def create(path: Path, content: str) -> None:
    """Write a new file, readable by its owner only. Raises `FileExistsError`."""
    with os.fdopen(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600), "w") as file:
        file.write(content)
