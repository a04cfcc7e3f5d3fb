"""What a text of emoji alone shows: one of the families of `cat/lexicon/emoji.toml`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from cat import data

#: Characters that only join others or choose their look.
_JOINERS: Final = "\ufe0f\u200d"

#: What stands around the message that a telephone's reaction quotes.
_QUOTATION: Final = re.compile('["\u201c\u201e\u00ab].*["\u201c\u201d\u00bb]|["\u201c\u201e\u00ab].*', re.DOTALL)
#: The sign of a reaction by a part of its words; any other is a thumb.
_SIGNS: Final[Mapping[str, tuple[str, ...]]] = {
    "\N{THUMBS DOWN SIGN}": (
        "dislike",
        "remov",
        "nicht",
        "entfernt",
        "n'a pas",
        "supprim",
        "retir",
        "enlev",
        "no le",
        "elimin",
        "quit",
    ),
    "\N{FACE WITH TEARS OF JOY}": ("laugh", "lacht", "a ri ", "se ri", "risa", "reír", "gracia", "divirti"),
    "\N{HEAVY BLACK HEART}": ("love", "heart", "liebt", "herz", "ador", "cœur", "encant", "corazón"),
}


def sign_of(reaction: str) -> str:
    """Return the sign of a telephone's reaction, without the message that it quotes."""
    frame = _QUOTATION.sub(" ", reaction).casefold()
    shown = "".join(character for character in frame if family_of(character))
    words = (sign for sign, parts in _SIGNS.items() if any(part in frame for part in parts))
    return shown or next(words, "\N{THUMBS UP SIGN}")


def family_of(text: str) -> str:
    """Return the family of the first emoji that belongs to one, such as `cry`; empty if none does."""
    for character in text:
        for family, members in data.table("lexicon/emoji.toml").items():
            if character in members and character not in _JOINERS:
                return family
    return ""
