"""Bring a text into the form that is heard: lower case, chat words spelt out, frequent typos mended.

What is said back is taken from the mended text, so that no misspelling is quoted as a word.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Final

from cat.poet import chat, words

#: A word of fewer letters is not mended: too many others are one letter away. A longer one is a text without spaces.
_SHORTEST, _LONGEST = 4, 24
#: Words that are remembered with their nearest one: many people type the same few thousand.
NEAREST_KEPT: Final = 4096
#: A word of so many letters is mended into one of this many most frequent ones, a longer word into any that is known.
_FREQUENT: Final[Mapping[int, int]] = {4: 1500, 5: 4000, 6: 6000}
#: Endings of words that are known without them.
_ENDINGS: Final = ("s", "es", "ed", "d", "ing", "er", "ers", "ly", "y", "n't", "en", "n", "e")
#: Letters, not digits: 1,000 is no stretched 10.
_STRETCHED: Final = re.compile(r"([^\W\d])\1{2,}")
_TOKEN: Final = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)*|\d\w*|\+")
_LETTERS: Final = string.ascii_lowercase
_VOWELS: Final = frozenset("aeiouy")


def plain(text: str, language: str) -> str:
    """Return a text in the form that is heard."""
    return _TOKEN.sub(lambda match: _mended(match.group(), language), _even(text))


def mended(text: str, language: str) -> str:
    """Return a text with its typos mended; the capitals of the other words stay, because they mark names."""

    def word(match: re.Match[str]) -> str:
        heard = _mended(match.group(), language)
        return match.group() if heard == match.group().lower() else heard

    return _TOKEN.sub(word, _even(text))


def is_form(word: str, language: str) -> bool:
    """Return whether a word is a known one with an ending."""
    return any(word.endswith(end) and words.is_known(word.removesuffix(end), language) for end in _ENDINGS)


def _even(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).replace("\u2019", "'").split())


def _mended(word: str, language: str) -> str:
    low = word.lower()
    slang = chat.slang(language)
    if low in slang:
        return slang[low]
    squeezed = _STRETCHED.sub(r"\1", low)
    if squeezed != low:
        doubled = _STRETCHED.sub(r"\1\1", low)
        return doubled if words.is_known(doubled, language) and not words.is_known(squeezed, language) else squeezed
    # a capital in a sentence marks a name, except in German, where it marks any noun
    if (
        language not in words.FULL
        or not _SHORTEST <= len(low) <= _LONGEST
        or not low.isalpha()
        or (word != low and language != "de")
    ):
        return low
    return _nearest(low, language)


@lru_cache(maxsize=NEAREST_KEPT)
def _nearest(word: str, language: str) -> str:
    """Return the most frequent word one typo away; the word itself if it is known, or none is near."""
    if word in words.names() or any(words.is_known(word, other) for other in words.FULL):
        return word
    places = words.word_list(language).places
    if is_form(word, language):
        return word
    most = _FREQUENT.get(len(word), len(places))
    # the verbs of the other languages have so many forms that only swapped letters are surely a typo
    forms = _one_typo_away(word) if language == "en" else _swapped(word)
    near = [(places[other], other) for other in forms if places.get(other, most) < most]
    return min(near)[1] if near else word


def remembered() -> int:
    """Return how many words are remembered with their nearest one."""
    return _nearest.cache_info().currsize


def _swapped(word: str) -> Iterator[str]:
    for place in range(len(word) - 1):
        yield word[:place] + word[place + 1] + word[place] + word[place + 2 :]


def _one_typo_away(word: str) -> Iterator[str]:
    halves = [(word[:place], word[place:]) for place in range(len(word) + 1)]
    yield from (left + right[1] + right[0] + right[2:] for left, right in halves if len(right) > 1)
    yield from (left + right[1:] for left, right in halves if right)
    for letter in _LETTERS:
        yield from (left + letter + right for left, right in halves if letter in _VOWELS or left[-1:] == letter)
