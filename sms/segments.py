"""Segments of a text: count them, save some by plain punctuation, and trim a text to a number.

GSM 03.38's default alphabet and its extension table (3GPP TS 23.038, section 6.2.1): 160 septets alone, 153 when a
message is joined from several; extension characters cost two septets and are never split. Anything else makes the whole
text UCS-2: 70 UTF-16 code units alone, 67 joined; a surrogate pair is never split.
https://www.twilio.com/docs/glossary/what-is-gsm-7-character-encoding
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

import regex

GSM_BASIC: Final = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
GSM_EXTENSION: Final = frozenset("\f^{}\\[~]|€")

_BEYOND_BMP: Final = 0x10000
#: Typographic characters and their plain equivalents; the meaning stays the same.
PLAIN: Final[Mapping[str, str]] = {
    **dict.fromkeys("\u2018\u2019\u201a\u201b\u2032\u02bc\u00b4", "'"),
    **dict.fromkeys("\u201c\u201d\u201e\u201f\u2033\u00ab\u00bb", '"'),
    **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212", "-"),
    **dict.fromkeys("\u00a0\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000", " "),
    "\u2039": "<", "\u203a": ">", "\u2026": "...", "\u2022": "*", "\u00b7": "*", "\u2044": "/", "\u2043": "-",
}  # fmt: skip
_PLAIN: Final = str.maketrans(dict(PLAIN))
_SENTENCE_END: Final = regex.compile(r"[.!?\u2026][\"')\u201d\u2019]*(?=\s|$)|\n")


@dataclass(frozen=True, slots=True)
class Alphabet:
    """One of the two encodings, with the size of its segments in its own units."""

    name: Literal["GSM-7", "UCS-2"]
    alone: int
    joined: int

    def cost(self, character: str) -> int:
        """Return how many units a character takes."""
        if self.name == "GSM-7":
            return 2 if character in GSM_EXTENSION else 1
        return 2 if ord(character) >= _BEYOND_BMP else 1


GSM_7: Final = Alphabet("GSM-7", alone=160, joined=153)
UCS_2: Final = Alphabet("UCS-2", alone=70, joined=67)


def alphabet(text: str) -> Alphabet:
    """Return the encoding that a carrier needs for `text`."""
    return GSM_7 if all(c in GSM_BASIC or c in GSM_EXTENSION for c in text) else UCS_2


def count(text: str) -> int:
    """Return how many segments `text` takes; an empty text takes one, as Twilio charges it."""
    coding = alphabet(text)
    costs = [coding.cost(character) for character in text]
    if sum(costs) <= coding.alone:
        return 1
    return _joined(costs, coding.joined)


def _joined(costs: Iterable[int], room: int) -> int:
    segments, used = 1, 0
    for cost in costs:
        if used + cost > room:
            segments, used = segments + 1, 0
        used += cost
    return segments


def fold(text: str) -> str:
    """Replace typographic punctuation by plain characters if that saves a segment.

    One curly quote makes a whole text UCS-2 and more than doubles its price. Letters are never replaced, because that
    would change the meaning.
    """
    plain = text.translate(_PLAIN)
    return plain if count(plain) < count(text) else text


def trim(text: str, segments: int, *, ending: str = "") -> str:
    """Return the longest beginning of `text` that takes at most `segments`.

    `ending` is text that the caller will append; its length counts.

    The cut is after a sentence if that keeps at least half of what fits, else after a word, else between two grapheme
    clusters: a letter with its marks, or an emoji family, is never split. Raises `ValueError` if `segments` is not
    positive.
    """
    if segments < 1:
        raise ValueError("a text takes at least one segment")
    if count(text + ending) <= segments:
        return text
    # no more characters fit than this, and finding clusters is quadratic in a row of flags
    clusters: list[str] = regex.findall(r"\X", text[: segments * GSM_7.alone + 1])
    lengths = range(1, len(clusters) + 1)
    fit = bisect_right(lengths, segments, key=lambda length: count("".join(clusters[:length]) + ending))
    cut = "".join(clusters[:fit])
    sentence = max((match.end() for match in _SENTENCE_END.finditer(cut)), default=0)
    if sentence >= len(cut) / 2:
        return cut[:sentence].rstrip()
    at_word = cut.rstrip() if text[len(cut) : len(cut) + 1].isspace() else cut.rpartition(" ")[0].rstrip()
    return at_word or cut
