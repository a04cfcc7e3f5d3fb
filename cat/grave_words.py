"""Grave words: what is heard and never played with, such as death, illness, faith and war.

The list is `lexicon/grave.txt`. Accents and case do not count.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Final

from cat import data
from cat.poet.words import fold

#: The mark of a word that is not played with, and makes no text grave by itself.
_MARK: Final = "~"
#: Kinds of words. One of death that is light by itself is grave beside a relative, as in `my husband is dead`.
_GRAVE, _LIGHT, _LIGHT_DEATH, _RELATIVES = "grave", "light", "light death", "relatives"
_WORD: Final = re.compile(r"[^\W\d_]+")


@dataclass(frozen=True, slots=True)
class _Words:
    whole: frozenset[str]
    beginnings: frozenset[str]

    def hold(self, word: str) -> bool:
        """Return whether a word, in its normal form, is in the list."""
        return word in self.whole or any(word[:length] in self.beginnings for length in range(2, len(word) + 1))


def playable(word: str) -> bool:
    """Return whether a word may be cut, listed, called back or remembered for play, in any language."""
    return not any(_unplayable().hold(part) for part in _parts(word))


def is_grave(text: str, language: str) -> bool:
    """Return whether a text in this language is answered by the quiet kind, because of a grave word in it."""
    words = list(_parts(text))

    def has(kind: str) -> bool:
        return any(_of_kind(language, kind).hold(word) for word in words)

    return has(_GRAVE) or (has(_LIGHT_DEATH) and has(_RELATIVES))


def is_sad(text: str, language: str) -> bool:
    """Return whether a text in this language holds a grave word, or a light one of death."""
    return any(_of_kind(language, kind).hold(word) for kind in (_GRAVE, _LIGHT_DEATH) for word in _parts(text))


def _parts(text: str) -> Iterator[str]:
    """Yield the words of a text in their normal form; `l'enterrement` is two words."""
    return (_normal(word) for word in _WORD.findall(unicodedata.normalize("NFC", text)))


def _normal(word: str) -> str:
    """Return a word in lower case without accents, such as `garcon` of `Garçon`."""
    return fold(word.casefold())


@cache
def _entries() -> tuple[tuple[str, str, str], ...]:
    """Return each word of the list, in the form of the file, with its language and its kind."""
    entries, section = [], ""
    for line in data.text("lexicon/grave.txt").splitlines():
        if line.startswith("== "):
            section = line[3:]
        elif line[2:4] == ": ":
            entries += [(line[:2], _kind(word, section), word.removeprefix(_MARK)) for word in line[4:].split()]
    return tuple(entries)


def _kind(word: str, section: str) -> str:
    if section == _RELATIVES:
        return _RELATIVES
    if not word.startswith(_MARK):
        return _GRAVE
    return _LIGHT_DEATH if section == "death" else _LIGHT


@cache
def _unplayable() -> _Words:
    return _words(word for _, kind, word in _entries() if kind != _RELATIVES)


@cache
def _of_kind(language: str, kind: str) -> _Words:
    return _words(word for of, has, word in _entries() if of == language and has == kind)


def _words(listed: Iterable[str]) -> _Words:
    words = list(listed)
    return _Words(
        whole=frozenset(_normal(word) for word in words if not word.endswith("*")),
        beginnings=frozenset(_normal(word[:-1]) for word in words if word.endswith("*")),
    )
