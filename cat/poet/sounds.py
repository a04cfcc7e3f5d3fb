"""Sound poems in the manner of Hugo Ball's `Karawane`: made of the letters and syllables of one word."""

from __future__ import annotations

import random
from functools import cache
from typing import Final

import pyphen

_DICTIONARIES: Final = {
    "en": "en_US",
    "de": "de_DE",
    "fr": "fr_FR",
    "es": "es_ES",
    "it": "it_IT",
    "pt": "pt_PT",
    "nl": "nl_NL",
    "pl": "pl_PL",
}
_VOWELS: Final = "aeiouyäöüáéíóúàèùâêîôû"
_TAILS: Final = ("olo", "ulu", "ango", "amba", "o", "u", "ola", "imbo", "ula", "ando", "usch", "am")


def syllables(word: str, language: str) -> list[str]:
    """Split a word where its language allows a hyphen; a short word stays whole."""
    if language not in _DICTIONARIES:
        return [word]
    return [piece for piece in _scissors(language).inserted(word, "|").split("|") if piece] or [word]


@cache
def _scissors(language: str) -> pyphen.Pyphen:
    return pyphen.Pyphen(lang=_DICTIONARIES[language], left=1, right=2)


def poem(word: str, language: str, dice: random.Random, sound: str) -> str:
    """Return a sound poem on a word, in one to three lines."""
    pieces = syllables(word, language)
    if len(pieces) == 1 and len(word) > 3:  # noqa: PLR2004 - a word of three letters is not cut
        pieces = [word[: len(word) // 2], word[len(word) // 2 :]]
    first, last = pieces[0], pieces[-1]
    turned = "".join(reversed(pieces)) if len(pieces) > 1 else word[::-1]
    stem = first.rstrip(_VOWELS) or first
    grown = [stem + tail for tail in dice.sample(_TAILS, k=3)]
    forms = (
        f"{word}. {stem}{dice.choice(_TAILS)}, {turned}.\n{first} {first} {last}, {grown[0]} {word}.",
        f"{word}\n{turned}, {turned} {last}\n{grown[0]} {grown[1]}, {sound}",
        f"{first} {first} {grown[0]}\n{word} {last} {last}\n{turned}. {sound}.",
        f"{word}: {first}, {grown[0]}, {turned} {grown[1]}. {last} {last} {last}.",
        f"{grown[0]} {word} {grown[1]}\n{last} {first} {last} {first}\n{_sung(word, dice)}",
        f"{_sung(word, dice)}, {_sung(word, dice)}!\n{turned} {grown[2]} {first}. {sound}.",
    )
    return dice.choice(forms)


def _sung(word: str, dice: random.Random) -> str:
    """Return the word with all its vowels changed to one."""
    vowel = dice.choice("aeiou")
    return "".join(vowel if letter in _VOWELS else letter for letter in word)
