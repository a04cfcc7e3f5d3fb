"""Which words are names of people and animals.

The evidence is strong if the wording asks for a name, as in `my name is X`, and weak in `i'm X` or `it's X`: people
write `I'm German` and `It's Friday` with a capital, too (`cat/lexicon/proper.txt`).
"""

from __future__ import annotations

import re
from functools import cache
from typing import Final

from cat import data
from cat.poet import speech, spelling, words

#: A word among so many most frequent ones is a name only with a capital.
FREQUENT: Final = 1500
#: A given name among so many is one only with a capital: `i'm innocent` tells none.
RARE: Final = 10_000
_NAME: Final = re.compile(r"[^\W\d_](?:[^\W\d_]|['-](?=[^\W\d_])){1,18}(?<!'s)")


def is_told(word: str, language: str) -> bool:
    """Return whether a word is a name where the wording asks for one."""
    low = word.lower()
    if not _NAME.fullmatch(word):
        return False
    if _is_listed(word, language) or is_proper(word):
        return True
    if word[0].isupper() and not word.isupper():
        return low in words.names() or not (language == "de" and words.noun(low, language))
    return low not in words.stop_words(language) and not words.is_known(low, language)


def may_be(word: str, language: str) -> bool:
    """Return whether a word is a name where any other word may stand, too."""
    if is_proper(word) or not _NAME.fullmatch(word):
        return False
    return _is_listed(word, language) or _is_unknown(word, language)


def is_odd(word: str, language: str) -> bool:
    """Return whether a word may be an animal's name: it is no frequent one, or the name of a thing."""
    low = word.lower()
    known = words.noun(low, language) or words.word_list(language).places.get(low, FREQUENT) >= FREQUENT
    return bool(known) and low not in words.stop_words(language) and bool(_NAME.fullmatch(word))


def _is_listed(word: str, language: str) -> bool:
    """Return whether a word is a known name; a frequent word, such as `will`, needs its capital."""
    low = word.lower()
    if low in words.names():
        return word[0].isupper() or words.word_list(language).places.get(low, FREQUENT) >= FREQUENT
    return low in words.given_names() and (word[0].isupper() or _is_rare(low))


def _is_rare(low: str) -> bool:
    return all(words.word_list(language).places.get(low, RARE) >= RARE for language in words.FULL)


def _is_unknown(word: str, language: str) -> bool:
    """Return whether no language has a word; in lower case, none that it may be a form of either."""
    low = word.lower()
    if any(words.is_known(low, other) for other in (language, *words.FULL)) or speech.is_mashed(low):
        return False
    return word[0].isupper() or not spelling.is_form(low, language)


def is_proper(word: str) -> bool:
    """Return whether a word has a capital and is no name of a person, such as `German` and `Friday`."""
    return words.fold(word.lower()) in _proper()


@cache
def _proper() -> frozenset[str]:
    lines = data.text("lexicon/proper.txt").splitlines()
    return frozenset(words.fold(word) for line in lines if line[2:4] == ": " for word in line[4:].split())
