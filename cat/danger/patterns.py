"""Hear danger by its wording (`patterns.toml`), which needs no model."""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from typing import Any, Final

from cat.danger.model import CALM, Danger, Kind, Tier

_QUOTES: Final = str.maketrans("\u2018\u2019\u02bc\u00b4`", "'" * 5)
#: Ages up to 17, as a person states their own, in the languages that the patterns know best.
_YOUNG: Final = re.compile(
    r"\b(?:i'?m|i am|im|ich bin|bin|j'ai|tengo|ho|tenho|ik ben|mam)\s+(?:only |just |erst |apenas |solo )?"
    r"(?:[5-9]|1[0-7])\b(?!\s*(?:minutes|hours|years? (?:into|at)|euros?|dollars?|minuten|stunden|km|%|percent|min))"
    r"|\b(?:i'?m|i am) a (?:kid|child)\b|\b(?:мне|我今年)\s*(?:[5-9]|1[0-7])\b|(?:[5-9]|1[0-7])歳です"
)
#: Kinds in the order in which they are tried: who must leave a house leaves it first, then comes the ambulance.
_ORDER: Final = (Kind.FIRE, Kind.CHILD, Kind.MEDICAL, Kind.DESPAIR, Kind.EMERGENCY, Kind.VIOLENCE, Kind.THREAT)


def hear(text: str) -> Danger:
    """Return the danger in a text, in its normal form and without idioms."""
    for tier, table in ((Tier.CERTAIN, "certain"), (Tier.POSSIBLE, "possible")):
        for kind in _ORDER:
            if any(pattern.search(text) for pattern in _patterns(table, kind)):
                return Danger(tier, kind, is_young(text))
    return CALM


def without_idioms(text: str) -> str:
    """Return a text, in its normal form, without the idioms that only sound like danger."""
    for idiom in _idioms():
        text = idiom.sub(" ", text)
    return " ".join(text.split())


def is_answer(name: str, text: str) -> bool:
    """Return whether a text, in its normal form, is such an answer as `unanswered` or `joke`."""
    return any(pattern.search(text) for pattern in _patterns("answer", name))


def is_harmful(reply: str) -> bool:
    """Return whether a reply names a method or encourages harm."""
    return any(pattern.search(normal(reply)) for pattern in _patterns("harmful", "all"))


def is_young(text: str) -> bool:
    """Return whether a person says to be a minor, in a text in its normal form."""
    return bool(_YOUNG.search(text))


def normal(text: str) -> str:
    """Return a text in lower case, without Latin accents, with plain apostrophes and single spaces."""
    return " ".join(_plain(text.casefold()).translate(_QUOTES).split())


def _plain(text: str) -> str:
    """Return a text without accents on Latin letters; a mark on any other letter stays."""
    kept = []
    latin = False
    for character in unicodedata.normalize("NFKD", text):
        if unicodedata.combining(character):
            if latin:
                continue
        else:
            latin = "LATIN" in unicodedata.name(character, "")
        kept.append(character)
    return unicodedata.normalize("NFC", "".join(kept))


@cache
def _table() -> dict[str, Any]:  # Any: TOML's own types
    return tomllib.loads(files("cat.danger").joinpath("patterns.toml").read_text(encoding="utf-8"))


@cache
def _patterns(table: str, name: str) -> tuple[re.Pattern[str], ...]:
    return _compiled(_table()[table].get(name, ()))


@cache
def _idioms() -> tuple[re.Pattern[str], ...]:
    return _compiled(pattern for language in _table()["idiom"].values() for pattern in language)


def _compiled(patterns: Iterable[str]) -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(_plain(pattern)) for pattern in patterns)
