"""Write drafts of a reply. Three writers share the work:

- the answer: a line of the act's kind, bent by a thing of the cat's;
- memory: something the person told, or a joke that runs on;
- form and sound: a notice, a list, a sound poem, a cut-up, a haiku.

The acts that a person expects an answer to get the first writer alone.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import Final

from cat.poet import cutup, replies, slots, sounds, words
from cat.poet.scene import CUT_TEXTS, Act, Scene, may_play
from cat.poet.slots import SLOT, Filling

#: Drafts for one reply.
DRAFTS: Final = 30
#: Of the replies to statements, the percentage by the writer of memory and by the writer of form and sound.
MEMORY_IN_100, FORM_IN_100 = 14, 14
#: The percentage of lines that get a second sentence: a sound, a deed, a thing, a question or a memory.
CODA_IN_100: Final = 36
#: A text of fewer words is not cut up.
CUT_WORDS: Final = 4
#: Acts that are answered plainly: nothing is added, and no noun is played with.
PLAIN: Final = frozenset(
    ["quiet", "machine", "privacy", "medicine", "food_safety", "law", "money", "flirt", "flirt_child", "sad", "lonely", "useless", "anxious", "ill", "reset", "rps_win", "rps_lose", "rps_draw", "guess_start", "guess_high", "guess_low", "guess_right", "truths", "rps_start", "joke", "song", "lullaby", "fact_unknown", "fact_nothing", "story", "story_turn", "story_end"]
)
#: Acts that need no answer in particular, so that all three writers may reply.
OPEN: Final = frozenset({"statement", "wall", "shout"})


class Shape(Enum):
    """How long a reply should be."""

    SHORT = "one to three words"
    LINE = "a sentence or two"
    LINES = "three lines"


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A possible reply."""

    words: str
    #: The lines it is made of, as written in the lexicon.
    frames: Sequence[str]
    #: Whether it answers the act, or says back something of the person's.
    answers: bool
    owns: bool
    thing: str = ""
    sound: str = ""

    @property
    def asks(self) -> bool:
        """Whether it ends in a question."""
        return self.words.rstrip().endswith("?")


def drafts(scene: Scene, act: Act, dice: random.Random, *, shape: Shape, ask: bool) -> Iterator[Draft]:
    """Yield drafts; `ask` allows a question of the cat at the end."""
    recent = "\n".join(scene.replies)
    fresh = partial(_fresh, recent)
    for number in range(DRAFTS):
        given = slots.filling(scene, act, dice, fresh)
        draft = _draft(scene, act, given, dice, shape if number % 3 else Shape.LINE, ask=ask)
        if draft is not None:
            yield draft


def _fresh(recent: str, choices: Sequence[str]) -> Sequence[str]:
    """Return the choices that the recent replies do not hold; all of them if none is left."""
    return [choice for choice in choices if choice not in recent] or choices


def _draft(scene: Scene, act: Act, given: Filling, dice: random.Random, shape: Shape, *, ask: bool) -> Draft | None:
    kind = act.kind
    if kind.startswith("answer"):
        return _adjacent(scene, act, given, dice)
    performance = PERFORMANCES.get(kind)
    if performance is not None:
        made = performance(scene, given, dice)
        if made:
            return Draft(words=made, frames=[made], answers=True, owns=True)
    if is_open(kind) and scene.words.language in words.FULL:
        chance = dice.randrange(100)
        if shape is Shape.SHORT and scene.nouns:
            return _line(scene, "short", given, dice)
        if shape is Shape.LINES or chance < FORM_IN_100:
            made = _form(scene, given, dice, lines=shape is Shape.LINES)
            if made is not None:
                return made
        elif chance < FORM_IN_100 + MEMORY_IN_100:
            remembered = _remembering(scene, given, dice)
            if remembered is not None:
                return remembered
    coda = (
        scene.words.language in words.FULL
        and kind not in PLAIN
        and not kind.startswith(("fact_", "told_"))
        and shape is not Shape.SHORT
    )
    draft = _line(scene, kind, given, dice)
    return (
        _with_coda(scene, kind, draft, given, dice, ask=ask)
        if draft and coda and dice.randrange(100) < CODA_IN_100
        else draft
    )


def is_open(kind: str) -> bool:
    """Return whether any writer may reply to this act."""
    return kind in OPEN or kind.startswith("topic_")


def _line(scene: Scene, kind: str, given: Filling, dice: random.Random, *, lines: Sequence[str] = ()) -> Draft | None:
    """Return a line of a kind, or of its parents if none can be filled."""
    pool = [line for line in lines or pool_of(scene, kind) if given.can_fill(line)]
    if not pool:
        return None
    line = dice.choice(pool)
    names = SLOT.findall(line)
    return Draft(
        words=given.fill(line),
        frames=[line],
        answers=kind not in {"statement", "bare"},
        owns=any(name in given.own for name in names),
        thing=given.values.get("thing", "")
        if any(name.startswith("thing") or name == "a_thing" for name in names)
        else "",
        sound=given.values.get("sound", "") if "sound" in names else "",
    )


def pool_of(scene: Scene, kind: str) -> Sequence[str]:
    """Return the lines that suit a kind; for a statement on a subject, those for any statement as well."""
    lines = scene.words.lines(kind)
    if kind == "greeting" and scene.name:
        return scene.words.lines("greeting_name")
    if kind.startswith("topic_"):
        clauses = [line for line in scene.words.lines("statement") if "{clause}" in line or "{quote}" in line]
        return (*lines, *lines, *lines, *clauses)
    if kind == "statement":
        return lines if scene.nouns or scene.clause else scene.words.lines("bare")
    if kind == "play":
        return lines
    return lines


def _with_coda(scene: Scene, kind: str, draft: Draft, given: Filling, dice: random.Random, *, ask: bool) -> Draft:
    """Append a second sentence. It uses none of the line's own slots, so that it adds something."""
    if "\n" in draft.words or draft.asks:
        return draft
    used = set(given.used)
    codas = (
        ("{sound}.", "{deed}.", "{thing}.") if draft.frames and is_open(kind) else ("{sound}.", "{sound}.", "{deed}.")
    )
    choices = [line for line in codas if not used & set(SLOT.findall(line))]
    # every thing, deed and sound is in the third person of the animal; questions come more rarely
    if ask and dice.randrange(100) < 45:  # noqa: PLR2004 - with the other limits about one reply in four asks
        question = dice.choice(
            _fresh("\n".join(scene.replies), [question.say for question in scene.words.questions]) or [""]
        )
        return _joined(draft, question, [question]) if question else draft
    if scene.facts and dice.randrange(100) < 20:  # noqa: PLR2004 - now and then something told comes back
        memory = _memory_line(scene, given, dice)
        if memory:
            return _joined(draft, memory[1], [memory[0]], owns=True)
    if not choices:
        return draft
    line = dice.choice(choices)
    words = given.fill(line)
    added = _joined(draft, words, [])
    if "{sound}" in line:
        return Draft(
            words=added.words,
            frames=added.frames,
            answers=added.answers,
            owns=added.owns,
            thing=added.thing,
            sound=given.values["sound"],
        )
    return added


def _joined(draft: Draft, more: str, frames: Sequence[str], *, owns: bool = False) -> Draft:
    return Draft(
        words=f"{draft.words} {more}",
        frames=[*draft.frames, *frames],
        answers=draft.answers,
        owns=draft.owns or owns,
        thing=draft.thing,
        sound=draft.sound,
    )


def _adjacent(scene: Scene, act: Act, given: Filling, dice: random.Random) -> Draft | None:
    """Return a reply to the answer to the cat's own question."""
    kind, _, say = act.kind.partition(":")
    question = next(each for each in scene.words.questions if each.say == say)
    lines = {"answer_yes": question.yes, "answer_no": question.no, "answer": question.other}[kind]
    return _line(scene, kind, given, dice, lines=lines)


def _memory_line(scene: Scene, given: Filling, dice: random.Random) -> tuple[str, str] | None:
    """Return a line that brings back a fact, with its frame."""
    fact = dice.choice(list(scene.facts))
    family = "like" if fact.family == "favorite" else fact.family
    lines = scene.words.say.get(f"memory_{family}", ())
    if not lines or fact.value in scene.plain or not all(map(may_play_or_name, fact.value.split())):
        return None
    line = dice.choice(lines)
    return line, line.replace("{v}", fact.value).replace("{x}", fact.subject).replace(
        "{thing}", given.values.get("thing", "")
    )


def may_play_or_name(word: str) -> bool:
    """Return whether a word of a fact may be brought back unasked."""
    return may_play(word) or (len(word) < 3 and word.isalnum())  # noqa: PLR2004 - a short name or article


def _remembering(scene: Scene, given: Filling, dice: random.Random) -> Draft | None:
    """Return a line on what the person says now, with something from earlier behind it; or a running gag."""
    if not scene.old and not scene.facts and len(scene.replies) < 3:  # noqa: PLR2004 - a stranger shares no jokes yet
        return None
    first = _line(scene, "statement", given, dice) if scene.nouns or scene.clause else None
    if len(scene.replies) > 4 and dice.randrange(100) < 30:  # noqa: PLR2004 - a joke runs on once there is company
        return _line(scene, "gag", given, dice)
    memory = _memory_line(scene, given, dice) if list(scene.facts) and dice.randrange(2) else None
    if memory is not None and first is not None:
        return _joined(first, memory[1], [memory[0]], owns=True)
    second = _line(scene, "memory", given, dice) if scene.old else None
    if first is None or second is None or "\n" in first.words:
        return first or second
    return _joined(first, second.words, second.frames, owns=True)


def _form(scene: Scene, given: Filling, dice: random.Random, *, lines: bool) -> Draft | None:
    """Return a form, a sound poem, a cut-up or a haiku."""
    chance = dice.randrange(100)
    if chance < 30:  # noqa: PLR2004 - the shares of the forms
        made = sound_poem(scene, given, dice)
        return Draft(words=made, frames=[], answers=True, owns=True) if made else None
    if chance < 60:  # noqa: PLR2004
        made = cut_up(scene, given, dice)
        if made:
            return Draft(words=made, frames=[], answers=True, owns=True)
    pool = [line for line in scene.words.lines("form") if not lines or "\n" in line]
    return _line(scene, "form", given, dice, lines=pool) if scene.nouns else None


def sound_poem(scene: Scene, given: Filling, dice: random.Random) -> str:
    """Return a sound poem on a word of the text, or on the person's name; empty if there is none."""
    word = given.values.get("n") or given.values.get("pl") or scene.name.partition(" ")[0]
    return sounds.poem(word, scene.words.language, dice, given.values["sound"]) if word and word.isalpha() else ""


def cut_up(scene: Scene, given: Filling, dice: random.Random) -> str:
    """Return a cut-up of the person's latest texts; empty if they are too few."""
    del given
    texts = [
        text for text in (*scene.theirs[-CUT_TEXTS:], scene.said) if "?" not in text and len(text.split()) >= CUT_WORDS
    ]
    return cutup.cut_up(texts, scene.words.language, dice, may_cut)


def may_cut(word: str) -> bool:
    """Return whether a word may stand in a cut-up: small words as well."""
    bare = word.replace("'", "").replace("\u2019", "").replace("-", "")
    return len(bare) < 3 or may_play(bare)  # noqa: PLR2004 - articles and the like


def haiku(scene: Scene, given: Filling, dice: random.Random) -> str:
    """Return a haiku in three lines, on a noun of the talk if there is one that is no name of the form."""
    parts = scene.words.parts
    if not parts.get("haiku_5"):
        return ""
    recent = "\n".join(scene.replies)
    lines = [dice.choice(_fresh(recent, parts[name])) for name in ("haiku_5", "haiku_7", "haiku_last")]
    asked = {"haiku", "haikus", "poem", "gedicht", "poème", "poema", "joke", "song"}
    subject = next((noun for noun in (*scene.nouns, *scene.old) if noun.word not in asked and not noun.plural), None)
    values = slots.forms(scene.words.language, subject)
    about = [line for line in parts.get("haiku_about", ()) if all(values.get(name) for name in SLOT.findall(line))]
    if about and dice.randrange(100) < 70:  # noqa: PLR2004 - most are on something of the person's
        lines[0] = dice.choice(about).format_map(values)
    return "\n".join(lines)


def story(scene: Scene, given: Filling, dice: random.Random) -> str:
    """Return the opening of a story, which ends by giving the turn to the person."""
    parts = scene.words.parts
    if not parts.get("story_open"):
        return ""
    return f"{given.fill(dice.choice(parts['story_open']))} {dice.choice(parts['story_invite'])}"


def story_turn(scene: Scene, given: Filling, dice: random.Random) -> str:
    """Return the cat's turn in a story."""
    lines = [line for line in scene.words.parts.get("story_turn", ()) if given.can_fill(line)]
    return given.fill(dice.choice(_fresh("\n".join(scene.replies), lines))) if lines else ""


def story_end(scene: Scene, given: Filling, dice: random.Random) -> str:
    """Return the end of a story."""
    lines = [line for line in scene.words.parts.get("story_end", ()) if given.can_fill(line)]
    return given.fill(dice.choice(lines)) if lines else ""


def asked_sound_poem(scene: Scene, given: Filling, dice: random.Random) -> str:
    """Return a sound poem on the word that the person names, or on any of the talk."""
    asked = {"poem", "sound", "noise", "noises", "gedicht", "laut", "poème", "poema", "son", "sonido", "cat", "dada"}
    named = re.search(
        r"\b(?:of|on|about|from|for|word|aus|von|über|mit|de|du|sur|avec|con|sobre) (?:the |a |dem |der |la |le |el )?([^\W\d_]+)\W*$",
        scene.plain,
    )
    chosen = [named.group(1)] if named and may_play(named.group(1)) else []
    chosen += [noun.word for noun in (*scene.nouns, *scene.old) if noun.word not in asked]
    word = chosen[0] if chosen else scene.name.partition(" ")[0] or "karawane"
    return sounds.poem(word, scene.words.language, dice, given.values["sound"])


#: The acts that are performed, and by which function.
PERFORMANCES: Final[dict[str, Callable[[Scene, Filling, random.Random], str]]] = {
    "haiku": haiku,
    "poem": haiku,
    "story": story,
    "story_turn": story_turn,
    "story_end": story_end,
    "soundpoem": asked_sound_poem,
    "cutup": cut_up,
}


def frames_of(draft: Draft) -> list[str]:
    """Return the digests of a draft's lines."""
    return [replies.frame_of(line) for line in draft.frames]


def spare(scene: Scene, act: Act, dice: random.Random, avoid: frozenset[str]) -> Draft:
    """Return a line that always can be said, if possible none of `avoid`."""
    given = slots.filling(scene, act, dice, partial(_fresh, "\n".join(scene.replies)))
    lines = [line for line in scene.words.lines("bare") if given.can_fill(line)]
    unused = [line for line in lines if replies.frame_of(line) not in avoid] or lines
    line = dice.choice(unused)
    return Draft(words=given.fill(line), frames=[line], answers=False, owns=False)
