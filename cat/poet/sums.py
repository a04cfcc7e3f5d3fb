"""Answers that can be looked up or computed: sums, the hour, the day, a few capitals."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from functools import cache
from importlib.resources import files
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

#: Longest sum, in characters: more is no question to a cat.
LONGEST: Final = 60

_NUMBER: Final = r"\d{1,6}(?:[.,]\d{1,3})?"
#: A percentage of a number.
_SHARE: Final = re.compile(r"(\d{1,3}) ?(?:%|percent|prozent|pour cent|por ciento) (?:of|von|de) (\d{1,6})\b")
_TOKEN: Final = re.compile(rf"{_NUMBER}|[^\s\d]+(?:\s(?:durch|by|par))?")
_APPLY: Final[Mapping[str, Callable[[Fraction, Fraction], Fraction]]] = {
    "+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b, "/": lambda a, b: a / b,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Tables:
    """The file `cat/lexicon/numbers.toml`."""

    signs: Mapping[str, str]
    digits: Mapping[str, Mapping[str, int]]
    days: Mapping[str, Sequence[str]]
    #: Time zones by country code, for countries that have one.
    zones: Mapping[str, str]
    #: A sum: numbers with signs between them.
    sums: re.Pattern[str]


@cache
def _tables() -> _Tables:
    given = tomllib.loads(files("cat").joinpath("lexicon", "numbers.toml").read_text(encoding="utf-8"))
    signs = "|".join(map(re.escape, ("+", "-", "*", "/", *given["signs"])))
    return _Tables(
        signs=given["signs"],
        digits={
            language: {word: number for number, word in enumerate(words.split())}
            for language, words in given["digits"].items()
        },
        days={language: words.split() for language, words in given["days"].items()},
        zones=given["zones"],
        sums=re.compile(rf"(?<![\w.,])-?{_NUMBER}(?:\s*(?:{signs})\s*{_NUMBER}){{1,6}}(?!\w)", re.IGNORECASE),
    )


def total(text: str, language: str) -> str:
    """Return the result of the sum in a text; empty if there is none."""
    spelt = re.sub(
        r"[^\W\d_]+(?:-[^\W\d_]+)?",
        lambda word: str(_tables().digits.get(language, {}).get(word.group(), word.group())),
        text[:LONGEST].lower(),
    )
    share = _SHARE.search(spelt)
    if share:
        return _written(Fraction(share.group(1)) * Fraction(share.group(2)) / 100)
    match = _tables().sums.search(spelt)
    if not match or re.fullmatch(r"\d{1,4}[-/:.]\d{1,4}(?:[-/:.]\d{1,4})?", match.group().strip()):
        return ""
    try:
        result = _evaluated(_TOKEN.findall(match.group()))
    except (ZeroDivisionError, KeyError, ValueError):
        return ""
    return _written(result)


def _written(result: Fraction) -> str:
    return str(result.numerator) if result.denominator == 1 else f"{float(result):.2f}".rstrip("0")


def _evaluated(tokens: list[str]) -> Fraction:
    """Evaluate numbers with signs between them: products before sums, left to right."""
    values = [Fraction(token.replace(",", ".")) for token in tokens[::2]]
    signs = [_tables().signs.get(token.strip(), token.strip()) for token in tokens[1::2]]
    sums, rest = [values[0]], list[str]()
    for sign, value in zip(signs, values[1:], strict=True):
        if sign in "*/":
            sums[-1] = _APPLY[sign](sums[-1], value)
        else:
            rest.append(sign)
            sums.append(value)
    result = sums[0]
    for sign, value in zip(rest, sums[1:], strict=True):
        result = _APPLY[sign](result, value)
    return result


def number_in(text: str, language: str) -> int | None:
    """Return the first number of a text, in digits or spelt; None if there is none."""
    for word in re.findall(r"\d{1,4}|[^\W\d_]+", text.lower()):
        if word.isdigit():
            return int(word)
        if word in _tables().digits.get(language, {}):
            return _tables().digits[language][word]
    return None


def local_time(now: datetime | None, person: str) -> datetime | None:
    """Return the time where the telephone's country is; None if it has several zones or is not known."""
    number = person.partition("/")[0].rpartition(":")[2]
    zone = max((code for code in _tables().zones if number.startswith(code)), key=len, default="")
    if now is None or not zone:
        return None
    try:
        return now.astimezone(ZoneInfo(_tables().zones[zone]))
    except ZoneInfoNotFoundError:
        return None


def hour(moment: datetime) -> str:
    """Return a time as a person reads it, such as `16:10`."""
    return f"{moment.hour}:{moment.minute:02d}"


def weekday(moment: datetime, language: str) -> str:
    """Return the day of the week."""
    return _tables().days[language][moment.weekday()]


@cache
def _capitals() -> Mapping[str, str]:
    lines = files("cat.poet").joinpath("words", "capitals.txt").read_text(encoding="utf-8").splitlines()
    return {name: capital for line in lines for *names, capital in [line.split(",")] for name in names}


def capital(text: str) -> str:
    """Return the capital that a text asks for; empty if it asks for none that is known."""
    match = re.search(
        r"(?:capital of|hauptstadt (?:von|der|des)|capitale (?:de la |de l'|du |des |de |d')|capital de(?: la)?)"
        r" ?([^?!.]+)",
        text.lower(),
    )
    return _capitals().get(match.group(1).strip(), "") if match else ""
