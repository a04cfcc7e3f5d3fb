"""Choose one of the drafts, by a stated score.

A draft is dropped if it repeats a reply, or uses a frame of the last `FRAMES` replies. The others are scored:

| points | for |
|---|---|
| 4 | it answers the act |
| 9 | it takes up the subject that was heard |
| 5 | it takes up what the statement does: a plan, a duty, a mishap |
| 3 | it says back something of the person's |
| 2 | it has the shape that was drawn for this reply; 11 if that is not the ordinary one |
| 2 | a thing of the cat's, a deed or a question bends it, so that it is hardly said twice |
| -4 | it asks, and one of the last two replies asked |
| -2 | it has a sound, and one of the last four replies had one |
| -1 | it begins by saying the statement back, and so did the reply before |
| -1 | its length is near that of the reply before |
| -6 | it takes more than one segment |

One of the best three is taken.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Final

from cat.poet import compose, replies
from cat.poet.compose import Draft, Shape
from cat.poet.kinds import kinds
from cat.poet.scene import Act, Scene
from conversation.models import echo
from sms import segments

#: A frame is not used again within so many replies.
FRAMES: Final = 30
#: Percentages of replies of one to three words, and of three lines.
SHORT_IN_100, LINES_IN_100 = 4, 4
#: Replies that are looked back at for a question, and for a sound.
ASKED_AGO, SOUND_AGO = 2, 4
#: One of so many of the best drafts is taken.
BEST: Final = 3
#: Lengths that differ by fewer characters are alike.
ALIKE: Final = 8
#: Words at the beginning of a reply, in which a statement that is said back shows.
BEGINNING: Final = 5
#: A shorter sound, such as `mm`, is in many words.
SHORTEST_SOUND: Final = 2
#: A reply of at most this many words is short.
SHORT_WORDS: Final = 3


def reply(scene: Scene, act: Act, dice: random.Random, *, heard: Sequence[str], echoes: frozenset[str]) -> Draft:
    """Return the draft to send. `heard` are the frames of earlier replies, newest last."""
    shape = _shape(dice)
    ask = not any("?" in reply for reply in scene.replies[-ASKED_AGO:])
    avoid = replies.lines_in(scene.replies, scene.words) | frozenset(heard)
    said = frozenset(scene.replies)
    drafts = list(compose.drafts(scene, act, dice, shape=shape, ask=ask))
    unsaid = [draft for draft in drafts if draft.words not in said and echo(draft.words) not in echoes]
    new = [draft for draft in unsaid if not avoid & set(compose.frames_of(draft))]
    if not new and act.kind in kinds().exact:
        # a right answer in known words is better than a new line beside the point
        new = unsaid or drafts
    if not new:
        return compose.spare(scene, act, dice, avoid)
    scored = sorted(new, key=lambda draft: -score(draft, scene, shape))
    return dice.choice(scored[:BEST])


def score(draft: Draft, scene: Scene, shape: Shape) -> float:
    """Return how good a draft is; the table above states the points."""
    before = scene.replies[-1] if scene.replies else ""
    return (
        4 * draft.answers
        + 9 * draft.on_subject
        + 5 * draft.on_aspect
        + 3 * draft.owns
        + (2 if shape is Shape.LINE else 11) * (shape_of(draft.words) is shape)
        + 2 * draft.bent
        - 4 * (draft.asks and any(reply.rstrip().endswith("?") for reply in scene.replies[-ASKED_AGO:]))
        - 2 * (bool(draft.sound) and any(has_sound(reply, scene) for reply in scene.replies[-SOUND_AGO:]))
        - (draft.echoes and _echoed(scene))
        - (abs(len(before) - len(draft.words)) < ALIKE)
        - 6 * (segments.count(draft.words) > 1)
    )


def _echoed(scene: Scene) -> bool:
    """Return whether the reply before began with words of the text that it answered."""
    if not scene.replies or not scene.theirs:
        return False
    return len(set(scene.replies[-1].split()[:BEGINNING]) & set(scene.theirs[-1].lower().split())) > 1


def has_sound(reply: str, scene: Scene) -> bool:
    """Return whether a reply holds one of the cat's sounds."""
    return any(sound in reply for sound in scene.words.sounds if len(sound) > SHORTEST_SOUND)


def shape_of(words: str) -> Shape:
    """Return the shape that a text has."""
    if "\n" in words:
        return Shape.LINES
    return Shape.SHORT if len(words.split()) <= SHORT_WORDS else Shape.LINE


def _shape(dice: random.Random) -> Shape:
    chance = dice.randrange(100)
    if chance < SHORT_IN_100:
        return Shape.SHORT
    return Shape.LINES if chance < SHORT_IN_100 + LINES_IN_100 else Shape.LINE
