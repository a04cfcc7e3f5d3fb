"""Games that last over several texts: their state is read from the cat's own lines."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from typing import Final

from cat.poet import replies, sums
from cat.poet.scene import Act, Scene

#: The cat's number in the guessing game is one of so many.
NUMBERS: Final = 20
#: A move is heard as one if the person wished to play within so many texts.
WISHED_AGO: Final = 3
#: Turns of a story before the cat ends it.
STORY_TURNS: Final = 3
#: What each move of rock, paper, scissors beats, by its place in the list of moves.
_BEATS: Final = {0: 2, 1: 0, 2: 1}


def move(scene: Scene) -> Act | None:
    """Return the cat's move in the game that is going on; None if there is none, or the text leaves it."""
    if not scene.replies:
        return None
    return _rock_paper_scissors(scene) or _guess(scene) or _truths(scene) or _story(scene)


def _rock_paper_scissors(scene: Scene) -> Act | None:
    moves = scene.words.parts.get("rps_moves", ())
    theirs = next((place for place, name in enumerate(moves) if re.search(rf"\b{name}s?\b", scene.plain)), None)
    offered = any(all(name in reply for name in moves) for reply in scene.replies[-2:]) or any(
        scene.words.hear["play"].search(text) for text in scene.theirs[-WISHED_AGO:]
    )
    if theirs is None or len(scene.plain.split()) > 4 or not offered:  # noqa: PLR2004 - a move is short
        return None
    mine = _digest(scene.seed, scene.plain) % 3
    result = "draw" if mine == theirs else "win" if _BEATS[mine] == theirs else "lose"
    return Act(f"rps_{result}", {"mine": moves[mine], "yours": moves[theirs]})


def _guess(scene: Scene) -> Act | None:
    number = sums.number_in(scene.plain, scene.words.language)
    opening = next(_openings(scene), "")
    if number is None or not opening:
        return None
    secret = 1 + _digest(scene.person, opening) % NUMBERS
    if number == secret:
        return Act("guess_right", {"v": str(number)})
    return Act("guess_high" if number > secret else "guess_low")


def _openings(scene: Scene) -> Iterator[str]:
    """Yield the reply that began the guessing game, if nothing but guesses came since."""
    for reply in reversed(scene.replies):
        kinds = replies.kinds_of(reply, scene.words)
        if "guess_start" in kinds or ("play" in kinds and str(NUMBERS) in _spelt(reply, scene)):
            yield reply
            return
        if not kinds & {"guess_high", "guess_low"}:
            return


def _spelt(reply: str, scene: Scene) -> str:
    numbers = (sums.number_in(word, scene.words.language) for word in reply.split())
    return " ".join(str(number) for number in numbers if number is not None)


def _truths(scene: Scene) -> Act | None:
    if "truths" in replies.kinds_of(scene.replies[-1], scene.words) and "?" not in scene.plain:
        return Act("truths_answer")
    return None


def _story(scene: Scene) -> Act | None:
    if "?" in scene.plain or len(scene.plain.split()) < 2:  # noqa: PLR2004 - a turn has two words
        return None
    for turns, reply in enumerate(reversed(scene.replies), start=1):
        kinds = replies.kinds_of(reply, scene.words)
        if "story" in kinds:
            return Act("story_end") if turns >= STORY_TURNS else Act("story_turn")
        if "story_turn" not in kinds:
            return None
    return None


def _digest(*parts: str) -> int:
    return int.from_bytes(hashlib.blake2b("|".join(parts).encode(), digest_size=4).digest(), "big")
