"""The frequent words of each language, and the nouns among them with number and gender.

`scripts/bake_words.py` and `scripts/bake_names.py` make the lists in `words/` and name their sources and licences.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final

import stopwordsiso

from cat import data

#: Names of people that the list does not hold as nouns.
_PEOPLE: Final = frozenset({"women", "men", "girls", "boys", "folks"})
#: The languages in which the poet does everything.
FULL: Final = ("en", "de", "fr", "es")
#: The languages in which it greets, thanks, says good night, asks for a name and hears a feeling.
SMALL: Final = ("it", "pt", "nl", "pl", "tr")


@dataclass(frozen=True, slots=True)
class Noun:
    """A noun as it stands in the text, in lower case."""

    word: str
    plural: bool = False
    #: `m`, `f` or `n`; empty in English.
    gender: str = ""
    #: Whether it names a thing that can be touched; known for English only.
    touchable: bool = False
    #: Whether it names a person, such as `postman`; known for English only.
    human: bool = False


@dataclass(frozen=True, slots=True)
class WordList:
    """The words of one language: each word's place by frequency, and the tags of nouns."""

    places: Mapping[str, int]
    tags: Mapping[str, str]


@cache
def word_list(language: str) -> WordList:
    """Return the list of a language; its file is read once. A language without a list has no words."""
    if language not in (*FULL, *SMALL):
        return WordList({}, {})
    places: dict[str, int] = {}
    tags: dict[str, str] = {}
    text = data.text(f"poet/words/{language}.txt")
    for place, line in enumerate(text.splitlines()):
        word, _, tag = line.partition(" ")
        places[word] = place
        if tag:
            tags[word] = tag
    # people leave accents out
    for word, place in list(places.items()):
        places.setdefault(fold(word), place)
    return WordList(places, tags)


@cache
def names() -> frozenset[str]:
    """Return frequent first names, and names of animals, in lower case."""
    return frozenset(data.text("poet/words/names.txt").split())


@cache
def given_names() -> frozenset[str]:
    """Return first names of many countries, in lower case; some are words, too, such as `chase`."""
    return frozenset(data.text("poet/words/given_names.txt").split())


@cache
def stop_words(language: str) -> frozenset[str]:
    """Return the words that carry no subject, such as `the`."""
    return frozenset(stopwordsiso.stopwords(language))


def is_known(word: str, language: str) -> bool:
    """Return whether a word is in the list of its language."""
    return word in word_list(language).places


def noun(word: str, language: str) -> Noun | None:
    """Return the noun that a word is; None if it is none, or more often something else."""
    tag = word_list(language).tags.get(word, "") if language in FULL else ""
    touchable = "c" in tag
    if not tag or word in stop_words(language) or (language == "en" and word.endswith("ing") and not touchable):
        return None
    return Noun(
        word,
        plural=tag[0] == "p",
        gender=tag[1:].strip("ch"),
        touchable=touchable,
        human="h" in tag and language == "en",
    )


def is_person(word: str, language: str) -> bool:
    """Return whether a word names a person or people, such as `women`; known for English only."""
    return language == "en" and (word in _PEOPLE or "h" in word_list(language).tags.get(word, ""))


def fold(word: str) -> str:
    """Return a word without its accents."""
    return "".join(letter for letter in unicodedata.normalize("NFKD", word) if not unicodedata.combining(letter))
