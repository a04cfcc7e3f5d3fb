"""What a text of emoji alone shows: one of the families of `cat/lexicon/emoji.toml`."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Final

#: Characters that only join others or choose their look.
_JOINERS: Final = "\ufe0f\u200d"


@cache
def _families() -> Mapping[str, str]:
    return tomllib.loads(files("cat").joinpath("lexicon", "emoji.toml").read_text(encoding="utf-8"))


def family_of(text: str) -> str:
    """Return the family of the first emoji that belongs to one, such as `cry`; empty if none does."""
    for character in text:
        for family, members in _families().items():
            if character in members and character not in _JOINERS:
                return family
    return ""
