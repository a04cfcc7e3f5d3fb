"""Recognize the lines that the cat said: from a reply back to its lines and their kinds."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from functools import cache

from cat.poet.lexicon import Lexicon, lexicon

_SLOT = re.compile(r"\{\w+\}")


def frame_of(line: str) -> str:
    """Return the digest that stands for a line among the frames that a person heard."""
    return base64.b64encode(hashlib.blake2b(line.encode(), digest_size=3).digest()).decode()


def kinds_of(reply: str, words: Lexicon) -> frozenset[str]:
    """Return the kinds of the lines that a reply holds."""
    return frozenset(kind for piece, kind, _ in _pieces(words.language) if piece in reply)


def lines_in(replies: Sequence[str], words: Lexicon) -> frozenset[str]:
    """Return the frames of the lines that these replies hold."""
    together = "\n".join(replies)
    return frozenset(frame for piece, _, frame in _pieces(words.language) if piece in together)


@cache
def _pieces(language: str) -> Sequence[tuple[str, str, str]]:
    """Return for each line its longest piece without a slot, its kind and its frame."""
    known = lexicon(language)
    by_kind: Mapping[str, Sequence[str]] = {
        **known.say,
        "haiku": [line for part in ("haiku_5", "haiku_7", "haiku_last") for line in known.parts.get(part, ())],
        "story": known.parts.get("story_invite", ()),
        "story_turn": known.parts.get("story_turn", ()),
        "answer": [line for question in known.questions for line in (*question.yes, *question.no, *question.other)],
        "ask": [question.say for question in known.questions],
    }
    return [
        (max(_SLOT.split(line), key=len).strip(), kind, frame_of(line))
        for kind, lines in by_kind.items()
        for line in lines
        if len(max(_SLOT.split(line), key=len).strip()) > 7  # noqa: PLR2004 - a shorter piece is found by chance
    ]
