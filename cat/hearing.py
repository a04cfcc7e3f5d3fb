"""What a text is to the poet: which language it speaks, what kind of text it is, and which of its words may be played with.

A word may be played with when it is letters only, neither dull nor a slur, and looks like nothing that is somebody's secret or address. What is
never said back is kept as digests of its normal form (`lexicon/never.txt`), so that no list of slurs has to be read by anybody: made from the
word list of better-profanity 0.7 (MIT) and our own additions in four languages.
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

LANGUAGES: Final = ("en", "de", "fr", "es")
#: A text of more characters than this is a wall.
WALL: Final = 220
#: Words that are worth chasing are this long.
SHORTEST, LONGEST = 3, 16

_WORD: Final = re.compile(r"[^\W\d_](?:[^\W\d_]|['\u2019](?=[^\W\d_]))*")
_LINK: Final = re.compile(
    r"(?:https?://|www\.)\S+|\S+@\S+|\S+\.(?:com|net|org|io|de|fr|es|uk)\b\S*|@\w+|#\w+", re.IGNORECASE
)
#: Letters and digits in one: a code, a plate, a password.
_CODE: Final = re.compile(r"\b(?=\w*\d)(?=\w*[^\W\d])\w+\b")
#: How much a text tells of its language, and the ones before it, newest first.
_WEIGHTS: Final = (1.0, 0.4, 0.3, 0.2, 0.1)
#: A year, an age, a house number may be told; what is longer may be a telephone, a card or a code.
_NUMBER: Final = re.compile(r"\d{5,}|\d(?:[ ./-]?\d){5,}")
_LEET: Final = str.maketrans("013457@$!|", "oieastasii")
_RESET: Final = re.compile(r"^\W*(reset|restart|clear)\W*$")
_TWICE: Final = re.compile(r"(.)\1+")
#: The kind of a text that says that somebody is in danger, or in despair.
CRISIS: Final = "crisis"
#: The order in which kinds are tried; what a text says goes before how it looks.
_KINDS: Final = (
    CRISIS, "spell", "laugh", "thanks", "love", "insult", "sad", "tired", "who", "bye", "greeting", "happy",
    "food", "howmany", "why", "when", "where", "how", "what",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Lexicon:
    """One language of the poet."""

    language: str
    #: A thing's cases, by slot name: `thing`, and what else the language needs.
    things: Sequence[Mapping[str, str]]
    deeds: Sequence[str]
    sounds: Sequence[str]
    asks: Sequence[str]
    kinds: Mapping[str, Sequence[str]]
    hear: Mapping[str, re.Pattern[str]]
    #: What is said when it is serious, and how an emergency number is called there.
    serious: str
    help: str
    dull: frozenset[str]
    #: What somebody tells about itself; and of what there can be only one, one pattern each, what it is of in a group.
    told: re.Pattern[str]
    single: Sequence[re.Pattern[str]]
    #: Where one thing told ends and the next begins.
    joint: re.Pattern[str]


_CASES: Final = {"de": ("thing", "thing_acc", "thing_dat"), "fr": ("thing", "thing_de"), "es": ("thing", "thing_de")}


@cache
def lexicon(language: str) -> Lexicon:
    """The words of a language, read once."""
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
    """Crisis lines by country code."""
    lines: dict[str, str] = tomllib.loads(files("cat").joinpath("lexicon", "help.toml").read_text())
    return lines


def help_for(address: str, words: Lexicon) -> str:
    """Whom somebody with this address can call at any hour."""
    number = address.rpartition(":")[2]
    found = [code for code in crisis_lines() if number.startswith(code)]
    return crisis_lines()[max(found, key=len)] if found else words.help


def words_of(text: str) -> list[str]:
    """The words of a text, lower case, without links, addresses and codes."""
    plain = _CODE.sub(" ", _LINK.sub(" ", text))
    return [match.group().lower().replace("\u2019", "'") for match in _WORD.finditer(plain)]


def language_of(text: str, before: Iterable[str] = ()) -> str:
    """The language that a text speaks: that of most of its little words, else the one that was spoken before, else English."""
    scores = dict.fromkeys(LANGUAGES, 0.0)
    for weight, said in zip(_WEIGHTS, (text, *before), strict=False):
        words = words_of(said)
        for language in LANGUAGES:
            scores[language] += weight * _score(language, said, words)
    return max(LANGUAGES, key=lambda language: scores[language])


def _score(language: str, text: str, words: Sequence[str]) -> float:
    """Little words count most, those that several languages share less; then what is commonly said, and how words look."""
    known = lexicon(language)
    little = sum(1 / _owners(word) for word in words if word in known.dull)
    said = any(pattern.search(text) for name, pattern in known.hear.items() if name != "looks")
    looks = sum(bool(known.hear["looks"].search(word)) for word in words if word not in dull_anywhere())
    return little + 1.5 * said + 0.4 * looks


def _owners(word: str) -> int:
    return sum(word in lexicon(language).dull for language in LANGUAGES)


def is_known_tongue(text: str) -> bool:
    """Whether any of the poet's languages knows a word of this text, or its letters at least."""
    letters = [character for character in text if character.isalpha()]
    latin = sum("LATIN" in unicodedata.name(character, "") for character in letters)
    return not letters or latin * 2 >= len(letters)


@cache
def _never() -> frozenset[str]:
    return frozenset(files("cat").joinpath("lexicon", "never.txt").read_text().split())


def is_unspeakable(word: str) -> bool:
    """Whether a word is one that is never said back, however it is dressed."""
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
    """Little words of all the languages: what was said earlier may have been said in another one."""
    return frozenset().union(*(lexicon(language).dull for language in LANGUAGES))


def mice(text: str, dull: frozenset[str]) -> list[str]:
    """The words of `text` that the cat may chase, each once, in order."""
    found = dict.fromkeys(
        word
        for word in words_of(text)
        if SHORTEST <= len(word) <= LONGEST
        and word not in dull
        and "'" not in word
        and "LATIN" in unicodedata.name(word[0], "")
        and not is_unspeakable(word)
    )
    return list(found)


def is_harmless(text: str) -> bool:
    """Whether nothing in a text looks like somebody's address, number, code or secret, and no word of it is unspeakable."""
    return not (
        _LINK.search(text)
        or _CODE.search(text)
        or _NUMBER.search(text)
        or any(is_unspeakable(word) for word in words_of(text))
    )


def name_in(text: str, words: Lexicon) -> str:
    """What the person said that it is called; empty where it said nothing of the kind."""
    match = words.hear["myname"].search(text)
    name = match.group(1).lower() if match else ""
    return "" if name in words.dull or is_unspeakable(name) else name


def food_in(text: str, words: Lexicon) -> str:
    """What there is to eat in a text; empty: nothing."""
    match = words.hear["food"].search(text)
    return match.group(1).lower() if match else ""


def kind_of(text: str, words: Lexicon, *, pictures: int = 0) -> str:
    """What kind of text it is, in the words of the lexicon."""
    low = text.strip().lower()
    if not any(character.isalnum() for character in low):
        return "picture" if pictures else "emoji" if low else "silence"
    if not any(character.isalpha() for character in low):
        return "number"
    if not is_known_tongue(low):
        return "foreign"
    if _RESET.search(low):
        return "reset"
    for kind in _KINDS:
        if words.hear[kind].search(low):
            return kind
    if words.hear["myname"].search(low):
        return "name"
    return _looks_of(text, low)


def listen(said: str, before: Sequence[str], *, pictures: int = 0) -> tuple[Lexicon, str]:
    """The language of a text, as its words, and what kind of text it is; `before`: the person's texts before it, oldest first."""
    words = lexicon(language_of(said, reversed(before)))
    return words, kind_of(said, words, pictures=pictures)


def _looks_of(text: str, low: str) -> str:
    letters = [character for character in text if character.isalpha()]
    if len(letters) == 1:
        return "tiny"
    if len(letters) > 3 and all(c.isupper() for c in letters if c.upper() != c.lower()):  # noqa: PLR2004 - "OK" is no shout
        return "shout"
    if len(low) > WALL:
        return "wall"
    return "yesno" if low.endswith("?") else "anything"
