"""Write drafts of a reply.

Three writers share the work:

- the answer: a line of the act's kind, bent by a thing of the cat's;
- memory: something the person told, or a joke that runs on;
- form and sound: a notice, a list, a sound poem, a cut-up, a haiku.

The acts that a person expects an answer to get the first writer alone.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from cat.poet import perform, replies, slots, words
from cat.poet.kinds import kinds
from cat.poet.scene import Act, Scene, answer_phrases, may_play
from cat.poet.slots import SLOT, Filling, fresh

_SENTENCE: Final = re.compile(r"(?<=[.!?]) ")
_ECHO: Final = ("{clause", "{quote")
_WHOLE: Final = re.compile(r"\{(?:clause|quote)\w*\}")
#: Drafts for one reply.
DRAFTS: Final = 30
#: Of the replies to statements, the percentage by the writer of memory and by the writer of form and sound.
MEMORY_IN_100, FORM_IN_100 = 8, 6
#: Of the forms, the percentage of sound poems and of cut-ups.
SOUND_IN_100, CUT_IN_100 = 30, 30
#: The percentage of lines that get a second sentence: a sound, a deed, a thing, a question or a memory.
CODA_IN_100: Final = 80
#: Of the second sentences, the percentage of questions, if one is allowed, and of memories, if there are any.
ASK_IN_100, TOLD_IN_100 = 40, 25
#: The second sentences; a deed stands only behind a line about the word that was said (`toyed`).
CODAS: Final = ("{sound}.", "{sound}.", "{deed}.")
#: The percentage of lines on the subject that have the statement in front.
ECHO_IN_100: Final = 90
#: Of the second sentences behind a line on what was heard, the percentage that bring back an earlier noun.
OLD_IN_100: Final = 12
#: The percentage of short replies that react to a statement; the others bat a noun of it.
REACT_IN_100: Final = 40
#: How much likelier a line is that takes up the subject, and one that takes up what a statement does.
SUBJECT, ASPECT = 6, 4
#: The percentage of running jokes in the writer of memory, and the replies before the first one.
GAG_IN_100, COMPANY = 30, 4


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
    #: Whether it takes up the subject of the text, or what the statement does.
    on_subject: bool = False
    on_aspect: bool = False
    #: Whether it begins by saying the statement back.
    echoes: bool = False
    sound: str = ""
    #: Whether a thing of the cat's, a deed or a question bends it, so that it is hardly said twice.
    bent: bool = False
    #: Whether it stands by itself, as a notice or a single word does.
    whole: bool = False

    @property
    def asks(self) -> bool:
        """Whether it ends in a question."""
        return self.words.rstrip().endswith("?")

    def then(self, more: str, frames: Sequence[str] = (), *, owns: bool = False, sound: str = "") -> Draft:
        """Return the draft with another sentence behind it."""
        return replace(
            self,
            bent=self.bent or more not in {sound, f"{sound}."},
            words=f"{self.words} {more}",
            frames=[*self.frames, *frames],
            owns=self.owns or owns,
            sound=sound or self.sound,
        )


def drafts(scene: Scene, act: Act, dice: random.Random, *, shape: Shape, ask: bool) -> Iterator[Draft]:
    """Yield drafts; `ask` allows a question of the cat at the end."""
    own = slots.stock(scene)
    for number in range(DRAFTS):
        given = slots.filling(scene, act, own, dice)
        draft = _draft(scene, act, given, dice, shape if number % 3 else Shape.LINE)
        if draft is not None:
            yield _with_coda(scene, act.kind, draft, given, dice, ask=ask) if _takes_coda(scene, act, shape) else draft


def frames_of(draft: Draft) -> list[str]:
    """Return the digests of a draft's lines."""
    return [replies.frame_of(line) for line in draft.frames]


def spare(scene: Scene, act: Act, dice: random.Random, avoid: frozenset[str]) -> Draft:
    """Return a line that always can be said, if possible none of `avoid`."""
    given = slots.filling(scene, act, slots.stock(scene), dice)
    lines = [line for line in scene.words.lines("bare") if given.can_fill(line)]
    line = dice.choice([line for line in lines if replies.frame_of(line) not in avoid] or lines)
    return Draft(words=given.fill(line), frames=[line], answers=False, owns=False)


def _draft(scene: Scene, act: Act, given: Filling, dice: random.Random, shape: Shape) -> Draft | None:
    if act.kind.startswith("answer"):
        return _adjacent(scene, act, given, dice)
    performance = perform.PERFORMANCES.get(act.kind)
    made = performance(scene, given, dice) if performance else ""
    if made:
        return Draft(words=made, frames=[made], answers=True, owns=True)
    if (
        act.kind in kinds().open or (shape is Shape.SHORT and act.kind in kinds().happening)
    ) and scene.words.language in words.FULL:
        other = _other_writer(scene, act.kind, given, dice, shape)
        if other is not None:
            return other
    return _laid_out(scene, _line(scene, act.kind, given, dice), given, dice, shape)


def _other_writer(scene: Scene, kind: str, given: Filling, dice: random.Random, shape: Shape) -> Draft | None:
    """Return a draft by the writer of memory or of form; None if the turn falls to the answer."""
    chance = dice.randrange(100)
    if shape is Shape.SHORT and (kind in kinds().happening or (scene.clause and chance < REACT_IN_100)):
        return _line(scene, "react", given, dice)
    if shape is Shape.SHORT and scene.nouns:
        return _line(scene, "short", given, dice)
    if shape is Shape.LINES or chance < FORM_IN_100:
        return _form(scene, given, dice, lines=shape is Shape.LINES)
    return _memory(scene, given, dice) if chance < FORM_IN_100 + MEMORY_IN_100 else None


def _line(
    scene: Scene, kind: str, given: Filling, dice: random.Random, *, lines: Sequence[str] | None = None
) -> Draft | None:
    """Return a line of a kind that can be filled; None if there is none."""
    pool = [line for line in (_pool(scene, kind) if lines is None else lines) if given.can_fill(line)]
    if not pool:
        return None
    line = dice.choice(pool)
    names = SLOT.findall(line)
    return Draft(
        words=given.fill(line),
        frames=[line],
        answers=kind != "bare",
        owns=any(name in given.own for name in names),
        on_subject=line in _subject_lines(scene, kind),
        on_aspect=line in _aspect_lines(scene),
        echoes=line.startswith(_ECHO),
        sound=given.values["sound"] if "sound" in names else "",
        whole=kind in {"form", "short", "react"},
        bent=any(name.startswith(("thing", "deed", "clause", "quote")) for name in names),
    )


def _laid_out(scene: Scene, draft: Draft | None, given: Filling, dice: random.Random, shape: Shape) -> Draft | None:
    """Put the statement in front of a line on its subject, now and then; in lines if that is the shape."""
    if draft is None or not draft.on_subject or not given.values["clause"] or draft.echoes or "\n" in draft.words:
        return draft
    if shape is Shape.LINES:
        sentences = [scene.clause, *_SENTENCE.split(draft.words)]
        return replace(draft, words="\n".join(sentences), owns=True, echoes=True, whole=True)
    if scene.clause in draft.words or dice.randrange(100) >= ECHO_IN_100:
        return draft
    return replace(draft, words=f"{scene.clause}. {draft.words}", owns=True, echoes=True)


def _pool(scene: Scene, kind: str) -> Sequence[str]:
    """Return the lines that suit a kind; for a statement on a subject, those for any statement as well."""
    if kind == "greeting" and scene.name:
        return scene.words.lines("greeting_name")
    if kind in kinds().topics or kind in kinds().happening:
        return [*list(scene.words.lines(kind)) * SUBJECT, *_whole_lines(scene)]
    if kind == "statement" and (scene.clause or scene.aspect):
        return _whole_lines(scene)
    if kind in {"do_you", "should_i"} and not answer_phrases(scene.plain):
        return scene.words.lines("yesno" if kind == "do_you" else "advice")
    if kind == "statement" and not scene.nouns and not scene.clause:
        return scene.words.lines("oneword" if scene.fragment else "bare")
    return scene.words.lines(kind)


def _whole_lines(scene: Scene) -> Sequence[str]:
    """Return the lines that say the statement back. Those that take up what it does are likelier."""
    whole = [line for line in scene.words.lines("statement") if _WHOLE.search(line)]
    return [*whole, *list(_aspect_lines(scene)) * ASPECT]


def _aspect_lines(scene: Scene) -> Sequence[str]:
    return scene.words.lines(scene.aspect) if scene.aspect else ()


def _subject_lines(scene: Scene, kind: str) -> Sequence[str]:
    return scene.words.lines(kind) if kind in kinds().subject else ()


def _takes_coda(scene: Scene, act: Act, shape: Shape) -> bool:
    return scene.words.language in words.FULL and act.kind not in kinds().plain and shape is not Shape.SHORT


def _with_coda(scene: Scene, kind: str, draft: Draft, given: Filling, dice: random.Random, *, ask: bool) -> Draft:
    """Append a second sentence, now and then; it uses none of the line's slots, so it adds something."""
    if "\n" in draft.words or draft.asks or draft.whole or dice.randrange(100) >= CODA_IN_100:
        return draft
    if ask and dice.randrange(100) < ASK_IN_100:
        question = dice.choice(fresh(scene, _questions(scene, kind)))
        return draft.then(question, [question])
    told = _told(scene, given, dice) if len(scene.facts) and dice.randrange(100) < TOLD_IN_100 else None
    if told is not None:
        return draft.then(told[1], [told[0]], owns=True)
    if draft.on_subject or draft.on_aspect:
        return _with_earlier(scene, draft, given, dice)
    codas = [line for line in CODAS if kind in kinds().toyed or line != "{deed}."]
    unused = [line for line in codas if not set(given.used) & set(SLOT.findall(line))]
    if not unused:
        return draft
    line = dice.choice(unused)
    return draft.then(given.fill(line), sound=given.values["sound"] if "{sound}" in line else "")


def _with_earlier(scene: Scene, draft: Draft, given: Filling, dice: random.Random) -> Draft:
    """Append a noun of an earlier text, or a sound: a deed of the cat's would lead away."""
    if scene.old and dice.randrange(100) < OLD_IN_100:
        second = _line(scene, "memory", given, dice)
        return draft.then(second.words, second.frames) if second else draft
    return draft if "{sound}" in draft.frames[0] else draft.then(given.fill("{sound}."), sound=given.values["sound"])


def _questions(scene: Scene, kind: str) -> Sequence[str]:
    """Return the cat's questions on the subject that was heard; without one, those that suit any text.

    What the person told already is not asked.
    """
    asked = [each for each in scene.words.questions if not (each.fact and scene.facts.of(each.fact))]
    on_subject = [question.say for question in asked if kind in question.about]
    return on_subject or [question.say for question in asked if not question.about]


def _adjacent(scene: Scene, act: Act, given: Filling, dice: random.Random) -> Draft | None:
    """Return a reply to the answer to the cat's own question."""
    kind, _, say = act.kind.partition(":")
    question = next(each for each in scene.words.questions if each.say == say)
    lines = {"answer_yes": question.yes, "answer_no": question.no, "answer": question.other}[kind]
    return _line(scene, kind, given, dice, lines=lines)


def _told(scene: Scene, given: Filling, dice: random.Random) -> tuple[str, str] | None:
    """Return a line that brings back a fact unasked, and its words; None if there is none that suits."""
    fact = dice.choice(list(scene.facts))
    family = "like" if fact.family == "favorite" else fact.family
    lines = scene.words.say.get(f"memory_{family}", ())
    playable = all(may_play(word) or len(word) < perform.SMALL_LETTERS for word in fact.value.split())
    just_told = any(fact.value in text.lower() for text in (*scene.theirs[-2:], scene.said))
    if not lines or just_told or not playable:
        return None
    line = dice.choice(lines)
    values = {**given.values, "v": fact.value, "x": fact.subject}
    return line, SLOT.sub(lambda slot: values.get(slot.group(1), ""), line)


def _memory(scene: Scene, given: Filling, dice: random.Random) -> Draft | None:
    """Return a line on what the person says now, with something from earlier behind it; or a running joke."""
    if len(scene.replies) > COMPANY and dice.randrange(100) < GAG_IN_100:
        return _line(scene, "gag", given, dice)
    first = _line(scene, "statement", given, dice)
    if first is None or "\n" in first.words:
        return first
    told = _told(scene, given, dice) if len(scene.facts) and dice.randrange(2) else None
    if told is not None:
        return replace(first.then(told[1], [told[0]], owns=True), whole=True)
    second = _line(scene, "memory", given, dice) if scene.old else None
    return replace(first.then(second.words, second.frames, owns=True), whole=True) if second else first


def _form(scene: Scene, given: Filling, dice: random.Random, *, lines: bool) -> Draft | None:
    """Return a form, a sound poem or a cut-up."""
    chance = dice.randrange(100)
    if chance < SOUND_IN_100:
        made = perform.sound_poem(scene, given, dice)
    else:
        made = perform.cut_up(scene, given, dice) if chance < SOUND_IN_100 + CUT_IN_100 else ""
    if made:
        return Draft(words=made, frames=[], answers=True, owns=True, whole=True)
    pool = [line for line in scene.words.lines("form") if not lines or "\n" in line]
    return _line(scene, "form", given, dice, lines=pool) if scene.nouns else None
