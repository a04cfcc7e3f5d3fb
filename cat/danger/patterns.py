"""Hear danger by its wording (`patterns.toml`), which needs no model."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, Final

from cat import data
from cat.danger.model import CALM, Danger, Kind, Tier

_QUOTES: Final = str.maketrans("\u2018\u2019\u02bc\u00b4`", "'" * 5)
#: The place of a list of words in a pattern, such as `<games>`.
_WORDS: Final = re.compile(r"<([a-z]+)>")
#: Kinds in the order in which they are tried: who must leave a house leaves it first, then comes the ambulance.
_ORDER: Final = (Kind.FIRE, Kind.CHILD, Kind.MEDICAL, Kind.DESPAIR, Kind.EMERGENCY, Kind.VIOLENCE, Kind.THREAT)


def hear(text: str) -> Danger:
    """Return the danger in a text, in its normal form and without idioms."""
    for tier, table in ((Tier.CERTAIN, "certain"), (Tier.POSSIBLE, "possible")):
        for kind in _ORDER:
            if any(pattern.search(text) for pattern in _compiled(table, kind)):
                return Danger(tier, kind, is_young(text))
    return CALM


def without_idioms(text: str) -> str:
    """Return a text, in its normal form, without idioms that only sound like danger, and noise."""
    return _without(without_noise(text), _compiled("idiom"))


def without_noise(text: str) -> str:
    """Return a text, in its normal form, without insults and set phrases."""
    return _without(text, _compiled("noise"))


def is_answer(name: str, text: str) -> bool:
    """Return whether a text, in its normal form, is such an answer as `unanswered` or `joke`."""
    return any(pattern.search(text) for pattern in _compiled("answer", name))


def is_harmful(reply: str) -> bool:
    """Return whether a reply names a method or encourages harm, whatever it answers."""
    return any(pattern.search(normal(reply)) for pattern in _compiled("harmful", "always"))


def is_careless(reply: str) -> bool:
    """Return whether a reply encourages harm if it answers danger, such as `do it`."""
    return any(pattern.search(normal(reply)) for pattern in _compiled("harmful", "in_danger"))


def is_young(text: str) -> bool:
    """Return whether a person says to be a minor, in a text in its normal form."""
    return any(pattern.search(text) for pattern in _compiled("age", "young"))


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


def entries(table: str, name: str = "") -> list[Mapping[str, str]]:
    """Return the patterns of a list, or of all lists of a table, with their samples."""
    lists: Mapping[str, list[Mapping[str, str]]] = _table()[table]
    return lists.get(name, []) if name else [entry for entries_ in lists.values() for entry in entries_]


def compiled(pattern: str) -> re.Pattern[str]:
    """Return a pattern as it is searched: without accents, its `<words>` filled in."""
    words = _table()["words"]
    filled = _WORDS.sub(lambda match: f"(?:{words[match[1]]})", pattern)
    return re.compile(_plain(filled))


def _table() -> Mapping[str, Any]:  # Any: TOML's own types
    return data.table("danger/patterns.toml")


@cache
def _compiled(table: str, name: str = "") -> tuple[re.Pattern[str], ...]:
    return tuple(compiled(entry["re"]) for entry in entries(table, name))


def _without(text: str, parts: Iterable[re.Pattern[str]]) -> str:
    for part in parts:
        text = part.sub(" ", text)
    return " ".join(text.split())
