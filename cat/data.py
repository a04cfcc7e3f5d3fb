"""The word lists and tables that the cat is made of: files beside the modules of this package."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any


def text(name: str) -> str:
    """Return the content of a file, such as `lexicon/never.txt`."""
    return files("cat").joinpath(name).read_text(encoding="utf-8")


@cache
def table(name: str) -> Mapping[str, Any]:  # Any: TOML's own types
    """Return the content of a TOML file, such as `lexicon/chat.toml`; it is read once."""
    return tomllib.loads(text(name))
