"""Grave words: what may be heard and is never played with, such as death, illness, assault, faith and war.

The list is `lexicon/grave.txt`. Accents and case do not count.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

#: The mark of a word that is not played with, and makes no text grave by itself.
_LIGHT: Final = "~"
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
    return any(_grave(language).hold(part) for part in _parts(text))


def _parts(text: str) -> Iterator[str]:
    """Yield the words of a text in their normal form; `l'enterrement` is two words."""
    return (_normal(word) for word in _WORD.findall(unicodedata.normalize("NFC", text)))


def _normal(word: str) -> str:
    """Return a word in lower case without accents, such as `garcon` of `Garçon`."""
    apart = unicodedata.normalize("NFKD", word.casefold())
    return "".join(character for character in apart if not unicodedata.combining(character))


@cache
def _lines() -> tuple[tuple[str, str], ...]:
    """Return each language with a word of the list, in the form of the file."""
    lines = files("cat").joinpath("lexicon", "grave.txt").read_text(encoding="utf-8").splitlines()
    return tuple((line[:2], word) for line in lines if line[2:4] == ": " for word in line[4:].split())


@cache
def _unplayable() -> _Words:
    return _words(word.removeprefix(_LIGHT) for _, word in _lines())


@cache
def _grave(language: str) -> _Words:
    return _words(word for of, word in _lines() if of == language and not word.startswith(_LIGHT))


def _words(listed: Iterator[str]) -> _Words:
    words = list(listed)
    return _Words(
        whole=frozenset(_normal(word) for word in words if not word.endswith("*")),
        beginnings=frozenset(_normal(word[:-1]) for word in words if word.endswith("*")),
    )
