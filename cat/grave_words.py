"""Grave words: what is heard and never played with, such as death, illness, faith and war.

The list is `lexicon/grave.txt`. Accents and case do not count. A loss may be told without a grave word, such as
`my dad passed away`: the phrases of the list hear it.
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
_PHRASES: Final = "phrases"
#: Words that stand in phrases only, and in a phrase under which name.
_NAMED: Final = {"kin": ("<kin>",), "animals": ("<kin>", "<animal>")}
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
    """Return whether a text is answered by the quiet kind: it holds a grave word or tells a loss."""
    words = list(_parts(text))

    def has(kind: str) -> bool:
        return any(_of_kind(language, kind).hold(word) for word in words)

    return has(_GRAVE) or (has(_LIGHT_DEATH) and has(_RELATIVES)) or _tells_loss(text, language)


def is_sad(text: str, language: str) -> bool:
    """Return whether a text in this language holds a grave word, a light one of death or a phrase of loss."""
    held = any(_of_kind(language, kind).hold(word) for kind in (_GRAVE, _LIGHT_DEATH) for word in _parts(text))
    return held or _tells_loss(text, language)


def _tells_loss(text: str, language: str) -> bool:
    said = _normal(" ".join(text.replace("\u2019", "'").split()))
    return any(phrase.search(said) for phrase in phrases(language))


@cache
def phrases(language: str) -> tuple[re.Pattern[str], ...]:
    """Return the phrases of a language that are grave without a grave word."""
    named: dict[str, list[str]] = {"<kin>": [], "<animal>": []}
    lines = [(section, said) for of, section, said in _lines() if of == language]
    for section, said in lines:
        for name in _NAMED.get(section, ()):
            named[name] += map(_normal, said.split())
    kin, animal = (f"(?:{'|'.join(words)})" for words in named.values())
    found = (said for section, said in lines if section == _PHRASES)
    return tuple(re.compile(said.replace("<kin>", kin).replace("<animal>", animal)) for said in found)


def _parts(text: str) -> Iterator[str]:
    """Yield the words of a text in their normal form; `l'enterrement` is two words."""
    return (_normal(word) for word in _WORD.findall(unicodedata.normalize("NFC", text)))


def _normal(word: str) -> str:
    """Return a word in lower case without accents, such as `garcon` of `Garçon`."""
    return fold(word.casefold())


@cache
def _entries() -> tuple[tuple[str, str, str], ...]:
    """Return each word of the list, in the form of the file, with its language and its kind."""
    return tuple(
        (language, _kind(word, section), word.removeprefix(_MARK))
        for language, section, words in _lines()
        if section != _PHRASES and section not in _NAMED
        for word in words.split()
    )


@cache
def _lines() -> tuple[tuple[str, str, str], ...]:
    """Return each line of the list as its language, its section and what stands in it."""
    lines, section = [], ""
    for line in data.text("lexicon/grave.txt").splitlines():
        if line.startswith("== "):
            section = line[3:]
        elif line[2:4] == ": ":
            lines.append((line[:2], section, line[4:]))
    return tuple(lines)


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
