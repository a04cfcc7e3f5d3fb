"""Games that last over several texts: their state is read from the cat's own lines."""

from __future__ import annotations

import hashlib
import re
from typing import Final

from cat.poet import replies, sums
from cat.poet.scene import Act, Scene

#: The cat's number in the guessing game is one of so many.
NUMBERS: Final = 20
#: Guesses until the cat shows its number: halving needs five.
GUESSES: Final = 12
#: Replies to something else between two guesses, such as to "one moment".
BETWEEN: Final = 2
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
    names, match = scene.words.parts.get("rps_moves", ()), scene.words.mark("moves").search(scene.plain)
    if match is None or len(scene.plain.split()) > 4:  # noqa: PLR2004 - a move is short
        return None
    offered = any(all(name in reply for name in names) for reply in scene.replies[-2:]) or any(
        scene.words.hear["play"].search(text) for text in scene.theirs[-WISHED_AGO:]
    )
    if not offered:
        return None
    # the groups of the mark stand in the order of the moves
    theirs = (match.lastindex or 1) - 1
    mine = _digest(scene.seed, scene.plain) % 3
    result = "draw" if mine == theirs else "win" if _BEATS[mine] == theirs else "lose"
    return Act(f"rps_{result}", {"mine": names[mine], "yours": names[theirs]})


def _guess(scene: Scene) -> Act | None:
    """Return the reply to a guess: a number alone, or with a few words such as `is it`."""
    match = scene.words.mark("guess").match(sums.in_digits(scene.plain, scene.words.language))
    opening, before = _opening(scene)
    if match is None or not opening:
        return None
    number, secret = int(match["v"]), 1 + _digest(scene.person, opening) % NUMBERS
    if number == secret:
        return Act("guess_right", {"v": str(number)})
    if before >= GUESSES - 1:
        return Act("guess_over", {"v": str(secret)})
    return Act("guess_high" if number > secret else "guess_low")


def _opening(scene: Scene) -> tuple[str, int]:
    """Return the reply that began the guessing game, and the guesses since; empty if none goes on."""
    guesses = others = 0
    for reply in reversed(scene.replies):
        kinds = replies.kinds_of(reply, scene.words)
        if "guess_start" in kinds or ("play" in kinds and _names_the_most(reply, scene)):
            return reply, guesses
        if kinds & {"guess_right", "guess_over"}:
            return "", 0
        if kinds & {"guess_high", "guess_low"}:
            guesses, others = guesses + 1, 0
            continue
        others += 1
        if others > BETWEEN:
            return "", 0
    return "", 0


def _names_the_most(reply: str, scene: Scene) -> bool:
    return str(NUMBERS) in re.findall(r"\d+", sums.in_digits(reply, scene.words.language))


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
