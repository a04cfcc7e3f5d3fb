"""What a text of emoji alone shows: one of the families of `cat/lexicon/emoji.toml`."""

from __future__ import annotations

from typing import Final

from cat import data

#: Characters that only join others or choose their look.
_JOINERS: Final = "\ufe0f\u200d"


def family_of(text: str) -> str:
    """Return the family of the first emoji that belongs to one, such as `cry`; empty if none does."""
    for character in text:
        for family, members in data.table("lexicon/emoji.toml").items():
            if character in members and character not in _JOINERS:
                return family
    return ""
