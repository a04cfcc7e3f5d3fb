"""Bring a text into the form that is heard: lower case, chat words spelt out, frequent typos mended.

What is said back is taken from the mended text, so that no misspelling is quoted as a word.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Final

from cat.poet import words

#: Chat words by language, and what they stand for.
SLANG: Final[Mapping[str, Mapping[str, str]]] = {
    "en": {
        "im": "i'm", "ive": "i've", "youre": "you're", "dont": "don't", "doesnt": "doesn't", "didnt": "didn't", "cant": "can't",
        "wont": "won't", "isnt": "isn't", "aint": "isn't", "wasnt": "wasn't", "havent": "haven't", "whats": "what's", "wats": "what's",
        "wat": "what", "wut": "what", "wot": "what", "hows": "how's", "whos": "who's", "wheres": "where's", "thats": "that's",
        "u": "you", "ur": "your", "r": "are", "y": "why", "luv": "love", "lov": "love", "thx": "thanks", "thanx": "thanks", "tnx": "thanks",
        "tysm": "thanks", "pls": "please", "plz": "please", "gn": "good night", "gnight": "good night", "nite": "night", "gm": "good morning",
        "kk": "ok", "k": "ok", "okay": "ok", "okey": "ok", "tmrw": "tomorrow", "tmr": "tomorrow", "bday": "birthday", "cuz": "because", "cos": "because",
        "nam": "name", "hngry": "hungry", "ppl": "people", "rn": "right now", "sth": "something", "smth": "something", "wanna": "want to",
        "gonna": "going to", "gotta": "got to", "gimme": "give me", "lemme": "let me", "dunno": "don't know", "yea": "yeah", "ya": "you",
        "srsly": "seriously", "bf": "boyfriend", "gf": "girlfriend", "fav": "favorite", "favourite": "favorite", "colour": "color",
        "mum": "mum", "abt": "about", "bc": "because", "2day": "today", "b4": "before", "gr8": "great", "l8r": "later", "hw": "homework",
    },
    "de": {
        "hab": "habe", "nich": "nicht", "net": "nicht", "nix": "nichts", "ne": "nein", "nö": "nein", "nee": "nein", "jo": "ja", "jup": "ja",
        "jaa": "ja", "ned": "nicht", "vllt": "vielleicht", "gn8": "gute nacht", "n8": "nacht", "hdl": "hab dich lieb", "wg": "wegen",
        "kp": "weiß nicht", "ka": "weiß nicht", "gerad": "gerade", "grad": "gerade", "isses": "ist es", "gehts": "geht es", "gibts": "gibt es",
        "hast'n": "hast", "ok": "ok", "okay": "ok", "oke": "ok", "bissl": "bisschen", "wasn": "was", "muede": "müde", "heisst": "heißt", "heisse": "heiße", "heiss": "heiß",
    },
    "fr": {
        "slt": "salut", "bjr": "bonjour", "bsr": "bonsoir", "cc": "coucou", "mdr": "mdr", "stp": "s'il te plaît", "svp": "s'il te plaît", "pk": "pourquoi",
        "pq": "pourquoi", "pcq": "parce que", "jsp": "je ne sais pas", "chui": "je suis", "chuis": "je suis", "jsuis": "je suis", "jai": "j'ai",
        "cest": "c'est", "ouais": "oui", "ouai": "oui", "nan": "non", "dac": "d'accord", "ok": "ok", "okay": "ok", "bcp": "beaucoup", "tkt": "t'inquiète", "a+": "à plus",
        "t'es": "tu es", "koi": "quoi", "ki": "qui", "mnt": "maintenant", "auj": "aujourd'hui", "tjrs": "toujours", "qqch": "quelque chose",
    },
    "es": {
        "q": "que", "k": "que", "xq": "por qué", "pq": "por qué", "porque?": "por qué", "tb": "también", "tmb": "también", "dnd": "dónde", "bn": "bien",
        "grax": "gracias", "vale": "vale", "ok": "ok", "okay": "ok", "toy": "estoy", "pa": "para", "porfa": "por favor", "xfa": "por favor", "finde": "fin de semana",
        "mñn": "mañana", "bno": "bueno", "tqm": "te quiero mucho", "salu2": "saludos", "nose": "no sé", "noc": "no sé",
    },
}  # fmt: skip
#: A word of fewer letters is not mended: too many others are one letter away.
_SHORTEST: Final = 4
#: A word of so many letters is mended into one of this many most frequent ones, a longer word into any that is known.
_FREQUENT: Final[Mapping[int, int]] = {4: 1500, 5: 4000, 6: 6000}
_STRETCHED: Final = re.compile(r"(\w)\1{2,}")
_TOKEN: Final = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*|\d\w*|\+")
_LETTERS: Final = {
    "en": string.ascii_lowercase, "de": string.ascii_lowercase + "äöüß", "fr": string.ascii_lowercase + "éèêàçôîûù",
    "es": string.ascii_lowercase + "ñáéíóú",
}  # fmt: skip


def plain(text: str, language: str) -> str:
    """Return a text in the form that is heard."""
    return _TOKEN.sub(lambda match: _mended(match.group(), language), _even(text))


def mended(text: str, language: str) -> str:
    """Return a text with its typos mended; the capitals of the other words stay, because they mark names."""

    def word(match: re.Match[str]) -> str:
        heard = _mended(match.group(), language)
        return match.group() if heard == match.group().lower() else heard

    return _TOKEN.sub(word, _even(text))


def _even(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).replace("\u2019", "'").split())


def _mended(word: str, language: str) -> str:
    low = word.lower()
    slang = SLANG.get(language, {})
    if low in slang:
        return slang[low]
    squeezed = _STRETCHED.sub(r"\1", low)
    if squeezed != low:
        doubled = _STRETCHED.sub(r"\1\1", low)
        return doubled if words.is_known(doubled, language) and not words.is_known(squeezed, language) else squeezed
    # a capital in a sentence marks a name, except in German, where it marks any noun
    if language not in words.FULL or len(low) < _SHORTEST or not low.isalpha() or (word != low and language != "de"):
        return low
    return _nearest(low, language)


@cache
def _nearest(word: str, language: str) -> str:
    """Return the most frequent word one typo away; the word itself if it is known in any language, or none is near."""
    if word in words.names() or any(words.is_known(word, other) for other in words.FULL):
        return word
    places = words.word_list(language).places
    most = _FREQUENT.get(len(word), len(places))
    near = [(places[other], other) for other in _one_typo_away(word, language) if places.get(other, most) < most]
    return min(near)[1] if near else word


def _one_typo_away(word: str, language: str) -> Iterator[str]:
    halves = [(word[:place], word[place:]) for place in range(len(word) + 1)]
    yield from (left + right[1] + right[0] + right[2:] for left, right in halves if len(right) > 1)
    yield from (left + right[1:] for left, right in halves if right)
    for letter in _LETTERS[language]:
        yield from (left + letter + right[1:] for left, right in halves if right)
        yield from (left + letter + right for left, right in halves)
