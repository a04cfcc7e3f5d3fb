"""Cut-ups after Tristan Tzara's recipe of 1920: pieces of the person's own sentences, out of a hat.

A piece is two to four words that hang together: it begins where a phrase begins, and ends on a word that carries a
subject. So the seams are random, and the pieces stay whole.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from cat.poet import chat, words

SHORTEST, LONGEST = 2, 4
#: Words of at most so many letters, such as articles, may stand in several pieces.
ARTICLE: Final = 3
#: Pieces in a cut-up.
PIECES: Final = 3
_CLAUSE: Final = re.compile(r"[.,;:!?\n()\"]+|\s[-\u2013]\s")
_WORD: Final = re.compile(r"[^\W\d_]+(?:['\u2019-][^\W\d_]+)*")


def pieces(texts: Sequence[str], language: str, allowed: Callable[[str], bool]) -> Iterator[tuple[int, str]]:
    """Yield the pieces of these texts, of allowed words only, each with the number of its text."""
    starts, dull = chat.starts(language), words.stop_words(language)
    for number, text in enumerate(texts):
        for clause in _CLAUSE.split(text.lower()):
            # "stuck on level 40" without its number is broken
            found = _WORD.findall(clause) if not any(map(str.isdigit, clause)) else []
            subjects = [word not in dull and words.noun(word, language) is not None for word in found]
            for begin in range(len(found)):
                if begin and found[begin] not in starts:
                    continue
                for end in range(begin + SHORTEST, min(begin + LONGEST, len(found)) + 1):
                    # what begins with a person or a verb goes on to the end: "i screamed the house down"
                    halved = not begin and end < len(found) and found[0] not in starts
                    # what begins in the middle ends on its subject: not "of the neighbour scratched me"
                    runs_on = begin > 0 and not subjects[end - 1] and any(subjects[begin : end - 1])
                    whole = subjects[end - 1] or (end == len(found) and found[end - 1] not in starts)
                    if whole and not halved and not runs_on and all(map(allowed, found[begin:end])):
                        yield number, " ".join(found[begin:end])


def cut_up(
    texts: Sequence[str], language: str, dice: random.Random, allowed: Callable[[str], bool], *, least: int
) -> str:
    """Return a cut-up of three pieces from at least two texts, a line each.

    Empty if the hat holds fewer than `least` pieces.
    """
    hat = list(dict.fromkeys(pieces(texts, language, allowed))) if chat.starts(language) else []
    if len(hat) < least:
        return ""
    dice.shuffle(hat)
    hat.sort(key=lambda pair: -len(pair[1].split()) + dice.randrange(3))
    chosen: list[tuple[int, str]] = []
    for number, piece in hat:
        words_taken = {word for _, other in chosen for word in other.split() if len(word) > ARTICLE}
        if not words_taken & set(piece.split()):
            chosen.append((number, piece))
        if len(chosen) == PIECES:
            break
    if len(chosen) < PIECES or len({number for number, _ in chosen}) < 2:  # noqa: PLR2004 - one text is no mixture
        return ""
    return "\n".join(piece for _, piece in chosen)
