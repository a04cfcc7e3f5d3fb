"""Hear danger in a person's texts: idioms are cut out, then patterns and the meaning decide.

A pattern that is certain makes the text certain. The meaning alone makes it certain only with a high score, and
possible with a middling one. A long text is heard in pieces, because the meaning of a whole hides one sentence of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from cat.danger import patterns
from cat.danger.model import ACUTE, CALM, Danger, Ear, Meaning, Tier, deaf

#: Scores from which a text is possible or certain by its meaning alone; chosen by cross-validation.
POSSIBLE_SCORE, CERTAIN_SCORE = 0.0, 0.55
#: The same for a possible danger if the labelled text that is most like it shows none.
DOUBTED_POSSIBLE_SCORE: Final = 0.2
#: A laugh, or a time long ago, makes a text possible that would be certain, and calm that would be possible.
AMBIGUOUS_CERTAIN_SCORE: Final = 1.0
#: The same after danger was heard in the person's latest texts: what sounds dark then is dark.
WARY_POSSIBLE_SCORE, WARY_CERTAIN_SCORE = 0.0, 0.3
#: The same for a text with its idioms, if nothing was heard without them.
IDIOM_POSSIBLE_SCORE, IDIOM_DOUBTED_SCORE = 0.2, 0.4
#: With fewer words left behind an idiom, a text has no meaning to hear.
SCRAP_WORDS: Final = 3
#: A longer text is heard in pieces of its sentences.
WHOLE_BYTES: Final = 160
#: The meaning of so much is heard for one reply, newest first: a fifth of a second at most. Patterns read everything.
MEANING_BYTES: Final = 800

_ENDS: Final = re.compile(r"(?<=[.!?;\n\u3002\uff01\uff1f])\s*|\n+")


def hear(texts: Sequence[str], ear: Ear, *, wary: bool = False) -> Danger:
    """Return the gravest danger in these texts. `wary`: danger was heard before them."""
    # a cut between two pieces may go through what shows danger
    heard = [_hear_piece(text, deaf, wary=wary) for text in texts if _bytes(text) > WHOLE_BYTES]
    left = MEANING_BYTES
    for piece in reversed([piece for text in texts for piece in _pieces(text)]):
        heard.append(_hear_piece(piece, ear if left > 0 else deaf, wary=wary))
        left -= _bytes(piece)
    gravest = max(heard, key=lambda danger: danger.tier, default=CALM)
    young = any(danger.young for danger in heard)
    return Danger(gravest.tier, gravest.kind, young) if gravest.tier else CALM


def _hear_piece(text: str, ear: Ear, *, wary: bool) -> Danger:
    whole = patterns.normal(text)
    plain = patterns.without_idioms(whole)
    by_wording = patterns.hear(plain)
    if by_wording.tier is Tier.CERTAIN and patterns.is_answer("laughs", whole):
        by_wording = replace(by_wording, tier=Tier.POSSIBLE)
    # a pattern that is only possible, such as a bare cry for help, is never certain by its meaning
    if by_wording.tier or not any(character.isalpha() for character in plain):
        return by_wording
    is_scrap = plain != whole and len(plain.split()) < SCRAP_WORDS
    by_meaning = CALM if is_scrap else _by_meaning(plain, whole, ear, wary=wary)
    return by_meaning if by_meaning.tier else _despite_idioms(plain, whole, ear)


def _by_meaning(plain: str, whole: str, ear: Ear, *, wary: bool) -> Danger:
    meaning = ear(plain)
    if meaning is None:
        return CALM
    calm_possible = POSSIBLE_SCORE if meaning.agreed else DOUBTED_POSSIBLE_SCORE
    possible, certain = (WARY_POSSIBLE_SCORE, WARY_CERTAIN_SCORE) if wary else (calm_possible, CERTAIN_SCORE)
    if _is_ambiguous(meaning, whole):
        possible, certain = certain, AMBIGUOUS_CERTAIN_SCORE
    tier = Tier.CERTAIN if meaning.score >= certain else Tier.POSSIBLE if meaning.score >= possible else Tier.CALM
    return Danger(tier, meaning.kind, patterns.is_young(plain)) if tier else CALM


def _despite_idioms(plain: str, whole: str, ear: Ear) -> Danger:
    """Return the possible danger in a text with its idioms.

    One may have taken the verb of a real danger.
    """
    said = patterns.without_noise(whole)
    meaning = None if said == plain else ear(said)
    if meaning is None:
        return CALM
    possible = IDIOM_POSSIBLE_SCORE if meaning.agreed else IDIOM_DOUBTED_SCORE
    if meaning.score < (CERTAIN_SCORE if _is_ambiguous(meaning, whole) else possible):
        return CALM
    return Danger(Tier.POSSIBLE, meaning.kind, patterns.is_young(whole))


def _is_ambiguous(meaning: Meaning, whole: str) -> bool:
    is_long_ago = meaning.kind in ACUTE and patterns.is_answer("past", whole)
    return is_long_ago or patterns.is_answer("laughs", whole)


def _pieces(text: str) -> Iterator[str]:
    """Yield a short text whole, and a long one in stretches of sentences."""
    if _bytes(text) <= WHOLE_BYTES:
        yield text
        return
    most = WHOLE_BYTES * len(text) // _bytes(text)
    pieces = [""]
    for sentence in _ENDS.split(text):
        if pieces[-1] and len(pieces[-1]) + len(sentence) > most:
            pieces.append("")
        pieces[-1] = f"{pieces[-1]} {sentence}".strip()
    for piece in pieces:
        yield from (piece[at : at + most] for at in range(0, len(piece), most))


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "replace"))
