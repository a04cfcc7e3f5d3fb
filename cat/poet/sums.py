"""Answers that can be looked up or computed: sums, the hour, the day, a few capitals."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from fractions import Fraction
from functools import cache
from importlib.resources import files
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

#: Longest sum, in characters: more is no question to a cat.
LONGEST: Final = 60

_NUMBER: Final = r"\d{1,6}(?:[.,]\d{1,3})?"
_SIGN: Final = (
    r"\s*(?:[-+*/x×÷^:]|plus|minus|times|mal|geteilt durch|divided by|moins|fois|divisé par|más|mas|menos|por|entre)\s*"
)
_SUM: Final = re.compile(rf"(?<![\w.,])-?{_NUMBER}(?:{_SIGN}{_NUMBER}){{1,6}}(?![\w])", re.IGNORECASE)
_TOKEN: Final = re.compile(rf"{_NUMBER}|[^\s\d]+(?:\s(?:durch|by|par))?")
_SIGNS: Final[Mapping[str, str]] = {
    "plus": "+", "más": "+", "mas": "+", "minus": "-", "moins": "-", "menos": "-", "times": "*", "x": "*", "×": "*", "mal": "*", "fois": "*",
    "por": "*", "÷": "/", ":": "/", "geteilt durch": "/", "divided by": "/", "divisé par": "/", "entre": "/",
}  # fmt: skip
_DIGITS: Final[Mapping[str, Mapping[str, int]]] = {
    language: {word: number for number, word in enumerate(words.split())}
    for language, words in {
        "en": "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen "
              "nineteen twenty",
        "de": "null eins zwei drei vier fünf sechs sieben acht neun zehn elf zwölf dreizehn vierzehn fünfzehn sechzehn siebzehn achtzehn "
              "neunzehn zwanzig",
        "fr": "zéro un deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze quinze seize dix-sept dix-huit dix-neuf vingt",
        "es": "cero uno dos tres cuatro cinco seis siete ocho nueve diez once doce trece catorce quince dieciséis diecisiete dieciocho "
              "diecinueve veinte",
    }.items()
}  # fmt: skip
_APPLY: Final[Mapping[str, Callable[[Fraction, Fraction], Fraction]]] = {
    "+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b, "/": lambda a, b: a / b,
}  # fmt: skip
_DAYS: Final[Mapping[str, tuple[str, ...]]] = {
    "en": ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"),
    "de": ("montag", "dienstag", "mittwoch", "donnerstag", "freitag", "samstag", "sonntag"),
    "fr": ("lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi", "dimanche"),
    "es": ("lunes", "martes", "miércoles", "jueves", "viernes", "sábado", "domingo"),
}
#: Country codes whose countries have one time zone.
_ZONES: Final[Mapping[str, str]] = {
    "+44": "Europe/London", "+353": "Europe/Dublin", "+49": "Europe/Berlin", "+43": "Europe/Vienna", "+41": "Europe/Zurich", "+33": "Europe/Paris",
    "+34": "Europe/Madrid", "+39": "Europe/Rome", "+31": "Europe/Amsterdam", "+32": "Europe/Brussels", "+48": "Europe/Warsaw", "+90": "Europe/Istanbul",
    "+351": "Europe/Lisbon", "+45": "Europe/Copenhagen", "+46": "Europe/Stockholm", "+47": "Europe/Oslo", "+358": "Europe/Helsinki", "+81": "Asia/Tokyo",
    "+82": "Asia/Seoul", "+91": "Asia/Kolkata", "+64": "Pacific/Auckland", "+27": "Africa/Johannesburg", "+54": "America/Argentina/Buenos_Aires",
    "+57": "America/Bogota", "+51": "America/Lima", "+420": "Europe/Prague", "+36": "Europe/Budapest", "+30": "Europe/Athens", "+234": "Africa/Lagos",
}  # fmt: skip


def total(text: str, language: str) -> str:
    """Return the result of the sum in a text; empty if there is none."""
    spelt = re.sub(
        r"[^\W\d_]+(?:-[^\W\d_]+)?",
        lambda word: str(_DIGITS.get(language, {}).get(word.group(), word.group())),
        text[:LONGEST].lower(),
    )
    match = _SUM.search(spelt)
    if not match or re.fullmatch(r"\d{1,4}[-/:.]\d{1,2}(?:[-/:.]\d{1,4})?", match.group()):
        return ""
    try:
        result = _evaluated(_TOKEN.findall(match.group()))
    except (ZeroDivisionError, KeyError, ValueError):
        return ""
    return str(result.numerator) if result.denominator == 1 else f"{float(result):.2f}".rstrip("0")


def _evaluated(tokens: list[str]) -> Fraction:
    """Evaluate numbers with signs between them: products before sums, left to right."""
    values = [Fraction(token.replace(",", ".")) for token in tokens[::2]]
    signs = [_SIGNS.get(token.strip(), token.strip()) for token in tokens[1::2]]
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
        if word in _DIGITS.get(language, {}):
            return _DIGITS[language][word]
    return None


def local_time(now: datetime | None, person: str) -> datetime | None:
    """Return the time where the telephone's country is; None if the country has several zones or is not known."""
    number = person.partition("/")[0].rpartition(":")[2]
    zone = max((code for code in _ZONES if number.startswith(code)), key=len, default="")
    if now is None or not zone:
        return None
    try:
        return now.astimezone(ZoneInfo(_ZONES[zone]))
    except ZoneInfoNotFoundError:
        return None


def hour(moment: datetime) -> str:
    """Return a time as a person reads it, such as `16:10`."""
    return f"{moment.hour}:{moment.minute:02d}"


def weekday(moment: datetime, language: str) -> str:
    """Return the day of the week."""
    return _DAYS[language][moment.weekday()]


@cache
def _capitals() -> Mapping[str, str]:
    lines = files("cat.poet").joinpath("words", "capitals.txt").read_text(encoding="utf-8").splitlines()
    return {name: capital for line in lines for *names, capital in [line.split(",")] for name in names}


def capital(text: str) -> str:
    """Return the capital that a text asks for; empty if it asks for none that is known."""
    match = re.search(
        r"(?:capital of|hauptstadt (?:von|der|des)|capitale (?:de la |de l'|du |des |de |d')|capital de(?: la)?) ?([^?!.]+)",
        text.lower(),
    )
    return _capitals().get(match.group(1).strip(), "") if match else ""
