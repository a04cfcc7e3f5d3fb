"""Whom to call in danger, by country, language and kind: `helplines.toml`.

Numbers in North America depend on the area: 988 answers in the United States and Canada, and not in Jamaica.
A country without an entry gets the emergency number that libphonenumber knows, 112 first.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from cat import data
from cat.danger.model import Danger, Kind
from sms import countries

#: Tried in this order for a country without an entry: the world's two common numbers, then those of police.
_COMMON: Final = ("112", "911", "999", "110", "000", "111")
#: What models tell people of any country to call.
_KNOWN_BEST: Final = frozenset({"988", "911", "112", "999", "116123", "18002738255"})
#: The row for a minor who thinks of suicide.
_YOUNG: Final = "young"
#: Where a kind without a row looks next; the emergency number comes last.
_INSTEAD: Final[Mapping[str, str]] = {_YOUNG: Kind.CHILD, Kind.THREAT: Kind.DESPAIR}


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """A number to call, or to text."""

    number: str
    #: `call`, `text` or `call or text`.
    by: str = "call"
    #: Only for speakers of this language; empty: for all.
    language: str = ""


@dataclass(frozen=True, slots=True)
class Help:
    """The number for a danger, and the emergency number for when it gets worse."""

    right: Number
    emergency: Number


def help_for(address: str, danger: Danger, language: str) -> Help:
    """Return whom a person with this address, such as `+15551230001`, should call in this danger."""
    return help_for_country(country_of(address), danger, language)


def help_for_country(country: str, danger: Danger, language: str) -> Help:
    """Return whom a person in this country, such as `GB`, should call in this danger."""
    kind = _YOUNG if danger.young and danger.kind is Kind.DESPAIR else danger.kind
    return Help(_number(country, kind, language), _number(country, Kind.EMERGENCY, language))


def numbers_for(country: str, language: str) -> str:
    """Return a country's numbers as one line for a model's instructions.

    `country` is such as `GB`, and `language` such as `en`. An example: `emergency: call 999; despair: call 116 123`.
    """
    kinds = ("emergency", "fire", "medical", "despair", "violence", "child")
    found = {kind: _number(country, kind, language) for kind in kinds}
    return "; ".join(
        f"{kind}: {number.by} {number.number}"
        for kind, number in found.items()
        if kind == "emergency" or number != found["emergency"]
    )


def country_of(address: str) -> str:
    """Return the country of an address, such as `GB`; empty if it is unknown.

    A number in no range that is in use, such as `+15551230001`, counts for the largest country of its calling code.
    """
    return countries.of(address) or countries.of_calling_code(address)


def holds(words: str, help_: Help) -> bool:
    """Return whether a reply holds the right number for a danger."""
    return _plain(help_.right.number) in _plain_all(words)


def any_in(words: str, address: str) -> bool:
    """Return whether a reply holds a number of the person's country, or one such as 988."""
    own = {_plain(row.number) for rows in _rows(country_of(address)).values() for row in rows}
    return bool((own | _KNOWN_BEST) & _plain_all(words))


def _number(country: str, kind: str, language: str) -> Number:
    rows = _rows(country)
    while True:
        suitable = [row for row in rows.get(kind, ()) if row.language in ("", language)]
        if suitable:
            return max(suitable, key=lambda row: row.language)
        if kind == Kind.EMERGENCY:
            return Number(number=_emergency_of(country))
        kind = _INSTEAD.get(kind, Kind.EMERGENCY)


@cache
def _emergency_of(country: str) -> str:
    """Return the emergency number of a country without an entry."""
    import phonenumbers  # noqa: PLC0415 - its tables load slowly, and few texts need them

    known = (number for number in _COMMON if country and phonenumbers.is_emergency_number(number, country))
    return next(known, _COMMON[0])


def _table() -> Mapping[str, Any]:  # Any: TOML's own types
    return data.table("danger/helplines.toml")


@cache
def _rows(country: str) -> Mapping[str, Sequence[Number]]:
    rows: dict[str, list[Number]] = {}
    for line in _table().get(country, {}).get("lines", ()):
        number = Number(number=line["number"], by=line.get("by", "call"), language=line.get("language", ""))
        rows.setdefault(line["kind"], []).append(number)
    return rows


def _plain(number: str) -> str:
    return re.sub(r"\D", "", number)


def _plain_all(words: str) -> frozenset[str]:
    """Return the digits of every number in a text, such as `08001110111` of `0800 111 0 111`."""
    return frozenset(_plain(match.group()) for match in re.finditer(r"\d(?:[ .\-/()]{0,2}\d)*", words))
