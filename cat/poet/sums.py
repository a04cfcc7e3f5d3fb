"""Answers that can be computed or looked up: sums, numbers in words, a few capitals.

A sum is answered only if it is asked for: the text is the sum, asks what it is, or ends in `=` or `?`.
A score, opening hours or a range, such as `we won 5 - 3`, are none.
"""

from __future__ import annotations

import ast
import operator
import re
import tomllib
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import cache
from typing import Final

from cat import data

#: Longest text that may hold a sum, in characters: more is no question to a cat.
LONGEST: Final = 160
#: Largest result that is said, in digits, and smallest one, in digits after the point: a line has one segment.
MOST_DIGITS, MOST_PLACES = 24, 12
#: Digits after the point; of a result below one so many digits that are not zero.
PLACES, SIGNIFICANT = 2, 3
#: Largest exponent, and largest power in bits: a larger one would take time and memory.
MOST_EXPONENT, MOST_BITS = 64, 256

_COMMAS: Final = r"\d{1,3}(?:,\d{2,3})*,\d{3}(?:\.\d{1,12})?"
_POINTS: Final = r"\d{1,3}(?:\.\d{3})+(?:,\d{1,12})?"
_SPACES: Final = r"\d{1,3}(?:[ ']\d{3})+(?:[.,]\d{1,12})?"
_DIGITS: Final = r"\d{1,12}(?:[.,]\d{1,12})?|[.,]\d{1,12}"
#: How thousands are separated, by language; in Spanish both ways, because Mexico does as English does.
_GROUPED: Final[Mapping[str, Sequence[str]]] = {
    "en": (_COMMAS, _SPACES), "de": (_POINTS, _SPACES), "fr": (_POINTS, _SPACES), "es": (_POINTS, _COMMAS, _SPACES),
}  # fmt: skip
_BEFORE: Final = (
    r"(?:(?:hey|hi|hello|hallo|salut|hola|ok|okay|so|also|alors|and|und|et|y|then|dann|now|quick|cat|dada|dadacat)\b"
    r"[\s,:!.]*)*"
)
_AFTER: Final = (
    r"\s*(?:(?:=|is|equals?|makes|ist|macht|gleich|font|fait|es|son|da)\s*(?:{number})?)?[\s=?!.]*"
    r"(?:(?:please|pls|bitte|s'il te plait|stp|por favor|cat|kitty|dada|dadacat)[\s=?!.]*)?"
)
#: Signs with which dates, scores and hours are written, too.
_MISTAKABLE: Final = frozenset("-/:")
_NO_SUMS: Final = frozenset({"24/7", "9/11", "50/50"})
_APPLY: Final[Mapping[type[ast.operator], Callable[[Fraction, Fraction], Fraction]]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Grammar:
    """How sums are written in one language."""

    #: Each sign with the operator that it stands for.
    signs: Mapping[str, str]
    #: Numbers in words.
    words: Mapping[str, int]
    word: re.Pattern[str]
    #: A whole text with a sum or with a percentage, and what asks for it.
    text: re.Pattern[str]
    share: re.Pattern[str]
    asks: re.Pattern[str]
    #: A number, a sign or a bracket of a sum.
    piece: re.Pattern[str]


@cache
def _grammar(language: str) -> _Grammar:
    given = tomllib.loads(_plain(data.text("lexicon/numbers.toml")))
    language = language if language in _GROUPED else "en"
    signs = {sign: sign for sign in ("+", "-", "*", "/", "**")} | given["signs"]["any"] | given["signs"][language]
    words = {word: number for number, word in enumerate(given["words"][language].split())}
    number = rf"(?:{'|'.join((*_GROUPED[language], _DIGITS))})"
    # a colon between two-digit numbers is an hour
    sign = "|".join(r"\s:\s|:(?=\d(?!\d))" if each == ":" else re.escape(each) for each in _longest_first(signs))
    after = _AFTER.format(number=number)
    return _Grammar(
        signs=signs,
        words=words,
        word=re.compile(rf"\b(?:{'|'.join(word.replace('-', '[- ]') for word in _longest_first(words))})\b"),
        text=re.compile(
            rf"(?P<before>.*?)(?<![\w.,%:/-])"
            rf"(?P<sum>[(\s]*-?{number}(?:[\s)]*(?:{sign})[\s(]*(?:-[\s(]*)?{number})+[\s)]*)"
            rf"(?!\w)(?P<after>{after})"
        ),
        share=re.compile(
            rf"(?P<before>.*?)(?<![\w.,])(?P<part>{number})\s*{given['shares'][language]}\s+(?P<whole>{number})"
            rf"(?!\w)(?P<after>{after})"
        ),
        asks=re.compile(rf"(?:^|.*\W)(?:{given['asks'][language]})\W*"),
        piece=re.compile(rf"{number}|{sign}|[()]"),
    )


def total(text: str, language: str) -> str:
    """Return the result of the sum that a text asks for; empty if it asks for none."""
    if len(text) > LONGEST:
        return ""
    grammar = _grammar(language)
    spelt = re.sub(r"[$\u20ac\u00a3]", "", in_digits(text, language)).strip()
    share = grammar.share.fullmatch(spelt)
    match = share or grammar.text.fullmatch(spelt)
    if match is None or not _is_asked(match, grammar):
        return ""
    try:
        if share is not None:
            result = _number(share["part"], language) * _number(share["whole"], language) / 100
        else:
            result = _result(match["sum"], grammar, language)
    except (ZeroDivisionError, ValueError, SyntaxError):
        return ""
    return _written(result, language)


def in_digits(text: str, language: str) -> str:
    """Return a text in lower case and without accents, its numbers in digits: `vingt et un` is `21`."""
    grammar = _grammar(language)
    return grammar.word.sub(lambda word: str(grammar.words[word.group().replace(" ", "-")]), _plain(text))


def _plain(text: str) -> str:
    """Return a text in lower case, without accents, and with one kind of space and apostrophe."""
    letters = unicodedata.normalize("NFD", text.casefold().replace("\u2019", "'"))
    plain = "".join(letter for letter in letters if not unicodedata.combining(letter))
    return re.sub(r"[^\S\n]", " ", plain)


def _longest_first(words: Mapping[str, object]) -> Sequence[str]:
    return sorted(words, key=len, reverse=True)


def _is_asked(match: re.Match[str], grammar: _Grammar) -> bool:
    """Return whether a text asks for its sum, and does not state a score, a date or a range."""
    before, after = match["before"].strip(), match["after"]
    asks = bool(grammar.asks.fullmatch(before))
    alone = bool(re.fullmatch(_BEFORE, before))
    written = match.groupdict().get("sum", "").strip()
    if written in _NO_SUMS:
        return False
    signs = set(re.findall(r"[^\w\s.,]", written))
    if written and signs <= _MISTAKABLE and not re.search(r"[^\W\d_]", written):
        return asks or (alone and ("=" in after or " " in written))
    return asks or alone or "=" in after or "?" in after


def _result(written: str, grammar: _Grammar, language: str) -> Fraction:
    """Evaluate a sum. Raises `SyntaxError`, `ValueError` and `ZeroDivisionError`."""
    numbers: list[Fraction] = []
    source = ""
    for piece in grammar.piece.findall(written):
        if piece in "()":
            source += piece
        elif piece.strip() in grammar.signs:
            source += f" {grammar.signs[piece.strip()]} "
        else:
            source += f"n{len(numbers)}"
            numbers.append(_number(piece, language))
    return _value(ast.parse(source.strip(), mode="eval").body, numbers)


def _value(node: ast.expr, numbers: Sequence[Fraction]) -> Fraction:
    match node:
        case ast.Name(id=name):
            return numbers[int(name[1:])]
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand, numbers)
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            return _power(_value(left, numbers), _value(right, numbers))
        case ast.BinOp(left=left, op=sign, right=right):
            return _APPLY[type(sign)](_value(left, numbers), _value(right, numbers))
    raise ValueError("no sum")


def _power(base: Fraction, exponent: Fraction) -> Fraction:
    bits = max(base.numerator.bit_length(), base.denominator.bit_length())
    if exponent.denominator != 1 or abs(exponent) > MOST_EXPONENT or bits * abs(exponent) > MOST_BITS:
        raise ValueError("no power that a cat counts")
    return Fraction(base ** int(exponent))


def _number(written: str, language: str) -> Fraction:
    """Return the number that is written so in a language: `1,200` in English is `1.200` in German."""
    bare = re.sub(r"[ ']", "", written)
    for grouped, separator in ((_COMMAS, ","), (_POINTS, ".")):
        if grouped in _GROUPED[language if language in _GROUPED else "en"] and re.fullmatch(grouped, bare):
            is_small = bare.startswith("0")
            bare = bare if is_small else bare.replace(separator, "")
    return Fraction(bare.replace(",", "."))


def _written(result: Fraction, language: str) -> str:
    """Return a result as it is read; empty if it is too large or too small to be said."""
    if abs(result) >= 10**MOST_DIGITS:
        return ""
    if result.denominator == 1:
        return str(result.numerator)
    places = PLACES
    if abs(result) < 1:
        places = next((n for n in range(MOST_PLACES + 1) if abs(result) * 10**n >= 1), MOST_PLACES) + SIGNIFICANT - 1
    rounded = format(Decimal(round(result * 10**places)).scaleb(-places), "f").rstrip("0").rstrip(".")
    if rounded in {"0", "-0"}:
        return ""
    return rounded if language == "en" or language not in _GROUPED else rounded.replace(".", ",")


@cache
def _capitals() -> Mapping[str, str]:
    lines = data.text("poet/words/capitals.txt").splitlines()
    return {name: capital for line in lines for *names, capital in [line.split(",")] for name in names}


def capital(text: str) -> str:
    """Return the capital that a text asks for; empty if it asks for none that is known."""
    match = re.search(
        r"(?:capital of|hauptstadt (?:von|der|des)|capitale (?:de la |de l'|du |des |de |d')|capital de(?: la)?)"
        r" ?([^?!.]+)",
        text.lower(),
    )
    return _capitals().get(match.group(1).strip(), "") if match else ""
