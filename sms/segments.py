"""How many segments a text costs, and how to shorten one at a word.

GSM 03.38's default alphabet and its extension table (3GPP TS 23.038, section 6.2.1): 160 septets alone, 153 when a
message is joined from several; extension characters cost two septets and are never split. Anything else makes the whole
text UCS-2: 70 UTF-16 code units alone, 67 joined; a surrogate pair is never split. https://www.twilio.com/docs/glossary/what-is-gsm-7-character-encoding
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

GSM_BASIC: Final = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
GSM_EXTENSION: Final = frozenset("\f^{}\\[~]|€")

_BEYOND_BMP: Final = 0x10000


@dataclass(frozen=True, slots=True)
class Alphabet:
    """One of the two encodings and what fits into its segments, in its own units."""

    name: Literal["GSM-7", "UCS-2"]
    alone: int
    joined: int

    def cost(self, character: str) -> int:
        """How many units one character takes."""
        if self.name == "GSM-7":
            return 2 if character in GSM_EXTENSION else 1
        return 2 if ord(character) >= _BEYOND_BMP else 1


GSM_7: Final = Alphabet("GSM-7", alone=160, joined=153)
UCS_2: Final = Alphabet("UCS-2", alone=70, joined=67)


def alphabet(text: str) -> Alphabet:
    """The encoding that a carrier needs for `text`."""
    return GSM_7 if all(c in GSM_BASIC or c in GSM_EXTENSION for c in text) else UCS_2


def count(text: str) -> int:
    """How many segments `text` costs; an empty text costs one, as Twilio charges it."""
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


def trim(text: str, segments: int) -> str:
    """The longest beginning of `text` that costs at most `segments`, cut at a word where there is one.

    Raises `ValueError` when `segments` is not positive.
    """
    if segments < 1:
        raise ValueError("a text costs at least one segment")
    if count(text) <= segments:
        return text
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if count(text[:middle]) <= segments else (low, middle - 1)
    cut = text[:low]
    at_word = cut.rstrip() if text[low : low + 1].isspace() else cut.rpartition(" ")[0].rstrip()
    return at_word or cut
