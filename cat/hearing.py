"""Classify a text for the offline engine `dada`: its language, its kind and its usable words.

A word is usable if it consists of letters, is neither a stop word nor a slur, and looks like no secret or address.

Slurs are stored as digests of their normal form (`lexicon/never.txt`), so that no reader of the file has to see them.
The list is made from the word list of better-profanity 0.7 (MIT) and our own additions in four languages.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final

import stopwordsiso

from cat import grave
from sms import keywords

LANGUAGES: Final = ("en", "de", "fr", "es")
#: A text of more characters than this is of the kind `wall`.
WALL: Final = 220
#: Length of a usable word, in characters.
SHORTEST, LONGEST = 3, 16

_WORD: Final = re.compile(r"[^\W\d_](?:[^\W\d_]|['\u2019](?=[^\W\d_]))*")
_LINK: Final = re.compile(
    r"(?:https?://|www\.)\S+|(?<!\S)\S+@\S+|(?<!\S)\S+\.(?:com|net|org|io|de|fr|es|uk)\b\S*|@\w+|#\w+", re.IGNORECASE
)
#: Letters and digits in one word, such as a code, a number plate or a password.
_CODE: Final = re.compile(r"\b(?=\w*\d)(?=\w*[^\W\d])\w+\b")
#: Weights of the text and of the earlier texts, newest first, when the language is determined.
_WEIGHTS: Final = (1.0, 0.4, 0.3, 0.2, 0.1)
#: A longer number may be a telephone, a card or a code. A year, an age or a house number is harmless.
_NUMBER: Final = re.compile(r"\d{5,}|\d(?:[ ./-]?\d){5,}")
_LEET: Final = str.maketrans("013457@$!|", "oieastasii")
_TWICE: Final = re.compile(r"(.)\1+")
#: The kind of a text that shows a person in danger or in despair.
CRISIS: Final = "crisis"
#: Kinds by content, in the order in which they are tried; kinds by appearance come after them.
_KINDS: Final = (
    CRISIS, "spell", "laugh", "thanks", "love", "insult", "sad", "tired", "who", "bye", "greeting", "happy",
    "food", "howmany", "why", "when", "where", "how", "what",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Lexicon:
    """The words and patterns of one language."""

    language: str
    #: Each thing's grammatical cases by slot name: `thing`, and others such as `thing_acc` in German.
    things: Sequence[Mapping[str, str]]
    deeds: Sequence[str]
    sounds: Sequence[str]
    asks: Sequence[str]
    kinds: Mapping[str, Sequence[str]]
    hear: Mapping[str, re.Pattern[str]]
    #: The reply in a crisis, and the words in it if no crisis line of the person's country is known.
    serious: str
    help: str
    #: Stop words.
    dull: frozenset[str]
    #: `told` matches what a person states about themselves. `single` holds a pattern for each kind of statement of
    #: which only the newest is true; a group names the subject, such as `my dog`.
    told: re.Pattern[str]
    single: Sequence[re.Pattern[str]]
    #: Where one statement ends and the next begins.
    joint: re.Pattern[str]


_CASES: Final = {"de": ("thing", "thing_acc", "thing_dat"), "fr": ("thing", "thing_de"), "es": ("thing", "thing_de")}


@cache
def lexicon(language: str) -> Lexicon:
    """Return the lexicon of a language; its file is read once."""
    given = tomllib.loads(files("cat").joinpath("lexicon", f"{language}.toml").read_text())
    return Lexicon(
        language=language,
        things=[_thing(language, thing) for thing in given["things"]],
        deeds=given["deeds"],
        sounds=given["sounds"],
        asks=given["asks"],
        kinds=given["kinds"],
        hear={name: re.compile(pattern, re.IGNORECASE) for name, pattern in given["hear"].items()},
        serious=given["serious"]["say"],
        help=given["serious"]["help"],
        dull=frozenset(stopwordsiso.stopwords(language)),
        told=re.compile(given["tell"]["told"], re.IGNORECASE),
        joint=re.compile(given["tell"]["joint"]),
        single=[re.compile(pattern, re.IGNORECASE) for pattern in given["tell"]["single"]],
    )


def _thing(language: str, given: Any) -> Mapping[str, str]:  # Any: TOML's own types
    return {"thing": given} if isinstance(given, str) else dict(zip(_CASES[language], given, strict=True))


@cache
def crisis_lines() -> Mapping[str, str]:
    """Return the crisis lines by country code, such as `+44`."""
    lines: dict[str, str] = tomllib.loads(files("cat").joinpath("lexicon", "help.toml").read_text())
    return lines


def help_for(address: str, words: Lexicon) -> str:
    """Return the number that a person with this address can call at any hour."""
    number = address.rpartition(":")[2]
    codes = [code for code in crisis_lines() if number.startswith(code)]
    return crisis_lines()[max(codes, key=len)] if codes else words.help


def words_of(text: str) -> list[str]:
    """Return the words of a text in lower case, without links, addresses and codes."""
    plain = _CODE.sub(" ", _LINK.sub(" ", text))
    return [match.group().lower().replace("\u2019", "'") for match in _WORD.finditer(plain)]


def language_of(text: str, before: Iterable[str] = ()) -> str:
    """Return the language of a text: the one of most of its stop words.

    Without evidence in the text, the earlier texts (`before`, newest first) decide; the default is English.
    """
    scores = dict.fromkeys(LANGUAGES, 0.0)
    for weight, source in zip(_WEIGHTS, (text, *before), strict=False):
        words = words_of(source)
        for language in LANGUAGES:
            scores[language] += weight * _score(language, source, words)
    return max(LANGUAGES, key=lambda language: scores[language])


def _score(language: str, text: str, words: Sequence[str]) -> float:
    """Score a text for a language by stop words, common phrases and the look of its words.

    A stop word that several languages share counts less.
    """
    known = lexicon(language)
    stop_words = sum(1 / _owners(word) for word in words if word in known.dull)
    phrases = any(pattern.search(text) for name, pattern in known.hear.items() if name != "looks")
    looks = sum(bool(known.hear["looks"].search(word)) for word in words if word not in dull_anywhere())
    return stop_words + 1.5 * phrases + 0.4 * looks


def _owners(word: str) -> int:
    return sum(word in lexicon(language).dull for language in LANGUAGES)


def is_known_tongue(text: str) -> bool:
    """Return whether at least half of the letters of a text are Latin; true without letters."""
    letters = [character for character in text if character.isalpha()]
    latin = sum("LATIN" in unicodedata.name(character, "") for character in letters)
    return not letters or latin * 2 >= len(letters)


@cache
def _never() -> frozenset[str]:
    return frozenset(files("cat").joinpath("lexicon", "never.txt").read_text().split())


def is_unspeakable(word: str) -> bool:
    """Return whether a word is a slur, also in disguise: with digits, accents or repeated letters."""
    plain = unicodedata.normalize("NFKD", word.lower().translate(_LEET))
    letters = _TWICE.sub(r"\1", "".join(character for character in plain if character.isalpha()))
    forms = {
        letters,
        letters.removesuffix("s"),
        letters.removesuffix("er"),
        letters.removesuffix("ing"),
        letters.removesuffix("en"),
    }
    return any(hashlib.blake2b(form.encode(), digest_size=6).hexdigest() in _never() for form in forms)


@cache
def dull_anywhere() -> frozenset[str]:
    """Return the stop words of all languages: an earlier text may be in another language."""
    return frozenset().union(*(lexicon(language).dull for language in LANGUAGES))


def mice(text: str, dull: frozenset[str]) -> list[str]:
    """Return the usable words of `text`, each once, in order."""
    usable = dict.fromkeys(
        word
        for word in words_of(text)
        if SHORTEST <= len(word) <= LONGEST
        and word not in dull
        and "'" not in word
        and "LATIN" in unicodedata.name(word[0], "")
        and not is_unspeakable(word)
        and grave.playable(word)
    )
    return list(usable)


def is_harmless(text: str) -> bool:
    """Return whether a text holds no slur and nothing like an address, a number, a code or a secret."""
    return not (
        _LINK.search(text)
        or _CODE.search(text)
        or _NUMBER.search(text)
        or any(is_unspeakable(word) for word in words_of(text))
    )


def name_in(text: str, words: Lexicon) -> str:
    """Return the name that the person states in a text, in lower case; empty if there is none."""
    match = words.hear["myname"].search(text)
    name = match.group(1).lower() if match else ""
    return "" if name in words.dull or is_unspeakable(name) else name


def food_in(text: str, words: Lexicon) -> str:
    """Return the food that a text mentions, in lower case; empty if there is none."""
    match = words.hear["food"].search(text)
    return match.group(1).lower() if match else ""


def kind_of(text: str, words: Lexicon, *, pictures: int = 0) -> str:
    """Return the kind of a text as the lexicon names it, such as `greeting` or `wall`."""
    low = text.strip().lower()
    if not any(character.isalnum() for character in low):
        return "picture" if pictures else "emoji" if low else "silence"
    if not any(character.isalpha() for character in low):
        return "number"
    if not is_known_tongue(low):
        return "foreign"
    if keywords.read(low) is keywords.Keyword.RESET:
        return "reset"
    for kind in _KINDS:
        if words.hear[kind].search(low):
            return kind
    if words.hear["myname"].search(low):
        return "name"
    return _looks_of(text, low)


def listen(said: str, before: Sequence[str], *, pictures: int = 0) -> tuple[Lexicon, str]:
    """Return the lexicon of a text's language, and the kind of the text.

    `before` holds the person's earlier texts, oldest first.
    """
    words = lexicon(language_of(said, reversed(before)))
    return words, kind_of(said, words, pictures=pictures)


def _looks_of(text: str, low: str) -> str:
    letters = [character for character in text if character.isalpha()]
    if len(letters) == 1:
        return "tiny"
    if len(letters) > 3 and all(c.isupper() for c in letters if c.upper() != c.lower()):  # noqa: PLR2004 - "OK"
        return "shout"
    if len(low) > WALL:
        return "wall"
    return "yesno" if low.endswith("?") else "anything"
