"""Performances that a person can ask the cat for. Each returns the words; empty if it cannot be done."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from cat.poet import cutup, sounds
from cat.poet.scene import CUT_TEXTS, Scene, may_play
from cat.poet.slots import SLOT, Filling, forms, fresh

#: A text of fewer words is not cut up.
CUT_WORDS: Final = 4
#: Percentage of the haiku that begin with a noun of the person's, if there is one.
ABOUT_IN_100: Final = 70
#: A word in a cut-up that has fewer letters is an article or the like.
SMALL_LETTERS: Final = 3
_NAMED: Final = re.compile(
    r"\b(?:of|on|about|from|for|word|aus|von|über|mit|de|du|sur|avec|con|sobre) "
    r"(?:the |a |dem |der |la |le |el )?([^\W\d_]+)\W*$"
)


def sound_poem(scene: Scene, given: Filling, dice: random.Random) -> str:
    """Return a sound poem on a word of the text, or on the person's name."""
    word = given.values.get("n") or given.values.get("pl") or scene.name.partition(" ")[0]
    return sounds.poem(word, scene.words.language, dice, given.values["sound"]) if word and word.isalpha() else ""


def asked_sound_poem(scene: Scene, given: Filling, dice: random.Random) -> str:
    """Return a sound poem on the word that the person names, or on any of the talk."""
    named = _NAMED.search(scene.plain)
    chosen = [named.group(1)] if named and may_play(named.group(1)) else []
    chosen += [noun.word for noun in (*scene.nouns, *scene.old)]
    word = chosen[0] if chosen else scene.name.partition(" ")[0] or "karawane"
    return sounds.poem(word, scene.words.language, dice, given.values["sound"])


def cut_up(scene: Scene, _: Filling, dice: random.Random) -> str:
    """Return a cut-up of the person's latest statements, if the hat is full enough to surprise."""
    texts = [text for text in (*scene.theirs[-CUT_TEXTS:], scene.said) if _can_be_cut(text)]
    return cutup.cut_up(texts, scene.words.language, dice, _may_cut, least=2 * cutup.PIECES)


def asked_cut_up(scene: Scene, _: Filling, dice: random.Random) -> str:
    """Return a cut-up of the person's latest statements, from any hat that holds enough."""
    texts = [text for text in scene.theirs[-CUT_TEXTS:] if _can_be_cut(text)]
    return cutup.cut_up(texts, scene.words.language, dice, _may_cut, least=cutup.PIECES)


def _can_be_cut(text: str) -> bool:
    return "?" not in text and len(text.split()) >= CUT_WORDS


def _may_cut(word: str) -> bool:
    bare = re.sub(r"['\u2019-]", "", word)
    return len(bare) < SMALL_LETTERS or may_play(bare)


def haiku(scene: Scene, _: Filling, dice: random.Random) -> str:
    """Return a haiku in three lines, mostly on a noun of the person's."""
    parts = scene.words.parts
    if "haiku_5" not in parts:
        return ""
    lines = [dice.choice(fresh(scene, parts[name])) for name in ("haiku_5", "haiku_7", "haiku_last")]
    subject = next((noun for noun in (*scene.nouns, *scene.old) if not noun.plural), None)
    values = forms(scene.words.language, subject)
    about = [line for line in parts.get("haiku_about", ()) if all(values.get(name) for name in SLOT.findall(line))]
    if about and dice.randrange(100) < ABOUT_IN_100:
        lines[0] = dice.choice(about).format_map(values)
    return "\n".join(lines)


def story(scene: Scene, given: Filling, dice: random.Random) -> str:
    """Return the opening of a story, which ends by giving the turn to the person."""
    opening = _part(scene, "story_open", given, dice)
    return f"{opening} {_part(scene, 'story_invite', given, dice)}" if opening else ""


def story_turn(scene: Scene, given: Filling, dice: random.Random) -> str:
    """Return the cat's turn in a story."""
    return _part(scene, "story_turn", given, dice)


def story_end(scene: Scene, given: Filling, dice: random.Random) -> str:
    """Return the end of a story."""
    return _part(scene, "story_end", given, dice)


def _part(scene: Scene, name: str, given: Filling, dice: random.Random) -> str:
    lines: Sequence[str] = [line for line in scene.words.parts.get(name, ()) if given.can_fill(line)]
    return given.fill(dice.choice(fresh(scene, lines))) if lines else ""


#: The acts that are performed, and by which function.
PERFORMANCES: Final[Mapping[str, Callable[[Scene, Filling, random.Random], str]]] = {
    "haiku": haiku,
    "poem": haiku,
    "story": story,
    "story_turn": story_turn,
    "story_end": story_end,
    "soundpoem": asked_sound_poem,
    "cutup": asked_cut_up,
}
