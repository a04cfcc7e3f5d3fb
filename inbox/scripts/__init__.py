"""The scripts that Redis runs; each is one atomic step."""

from __future__ import annotations

from functools import cache
from importlib.resources import files


@cache
def script(name: str) -> str:
    """Return the source of a script, such as `accept`."""
    return files("inbox.scripts").joinpath(f"{name}.lua").read_text()
