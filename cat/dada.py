"""The offline dadaist: a cut-up poet that needs no network, no key and no model.

Tristan Tzara's recipe of 1920 was a newspaper, scissors and a hat. Here the newspaper is what this person said, now and earlier; the scissors cut at
syllables (pyphen); and what comes out of the hat is joined with the cat's own words by sound: a thing that begins as the word begins, or ends as
it ends, comes up sooner. What stands around it is written by hand, a line at a time, in `cat/lexicon/`, so that nothing is broken that was
not meant to be.

The same text with the same history and the same seed gets the same words, so that a replay says what was said.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

import pyphen

from cat import hearing
from cat.hearing import Lexicon
from cat.ports import Heard, Reply
from conversation.models import echo
from sms import segments

#: So often the hat is shaken until something comes out that was not said before and fits one segment.
DRAWS: Final = 40
#: And so often before a line may get something behind its end.
PURE_DRAWS: Final = 12
#: The beginning of a reply that should not come again soon, in characters, and within how many replies.
OPENING, RECENT = 14, 6
#: An earlier word comes up in so many of a hundred texts that leave room for one.
CALLBACKS_IN_100: Final = 35
#: Out of these the thing is taken whose sound is nearest to the word's.
THINGS_HEARD: Final = 5

_CODAS: Final = ("{sound}.", "{ask}", "{deed}.", "{sound}. {ask}", "{deed}. {ask}", "{sound}, {thing}.", "{thing}.")
_SLOT: Final = re.compile(r"\{(\w+)\}")
_NEEDS_MOUSE: Final = re.compile(r"\{(a_mouse|mouse|cut|head|tail)\}")
_NEEDS_SCISSORS: Final = re.compile(r"\{(cut|head|tail)\}")


@dataclass(frozen=True, slots=True)
class _Hat:
    """What is in the hat for one text."""

    words: Lexicon
    kind: str
    mice: Sequence[str]
    old: Sequence[str]
    name: str
    #: What there is to eat in the text.
    food: str
    said: frozenset[str]
    echoes: frozenset[str]
    openings: frozenset[str]


class Dada:
    """The engine `dada`: it always answers."""

    @property
    def name(self) -> str:
        """As `CAT_ENGINES` names it."""
        return "dada"

    def reply(self, heard: Heard, *, seconds: float) -> Reply:  # noqa: ARG002 - it takes a millisecond, whatever is left
        """Cut up the person's words. Never raises."""
        said = heard.said
        hat = _fill_hat(heard, said)
        if hat.kind == hearing.CRISIS:
            words = hat.words.serious.format(help=hearing.help_for(heard.person, hat.words))
            return Reply(words=words, engine=self.name, facts={"language": hat.words.language, "kind": hat.kind})
        dice = random.Random(f"{heard.seed}|{said}|{len(heard.history)}")  # noqa: S311 - a poet's dice, thrown again the same
        return Reply(words=_best(hat, dice), engine=self.name, facts={"language": hat.words.language, "kind": hat.kind})


def _fill_hat(heard: Heard, said: str) -> _Hat:
    theirs = [*heard.told, *heard.theirs]
    mine = [line["content"] for line in heard.history if line["role"] == "assistant"]
    words, kind = hearing.listen(said, theirs, pictures=heard.pictures)
    mice = hearing.mice(said, words.dull)
    name = next(filter(None, (hearing.name_in(text, words) for text in (said, *reversed(theirs)))), "")
    return _Hat(
        words=words,
        kind=kind,
        mice=mice,
        old=[word for text in theirs for word in hearing.mice(text, hearing.dull_anywhere()) if word not in mice],
        name=name,
        food=hearing.food_in(said, words),
        said=frozenset(mine),
        echoes=heard.echoes,
        openings=frozenset(reply[:OPENING] for reply in mine[-RECENT:]),
    )


def _best(hat: _Hat, dice: random.Random) -> str:
    """Draw until a reply is new, begins otherwise than the last ones, and fits one segment; else the newest and shortest that came."""
    drawn = []
    for number in range(DRAWS):
        words = _draw(hat, dice, coda=number >= PURE_DRAWS)
        known = words in hat.said or echo(words) in hat.echoes
        faults = (known, segments.count(words) > 1, words[:OPENING] in hat.openings and number < PURE_DRAWS)
        if not any(faults):
            return words
        drawn.append((faults, words))
    return min(drawn, key=lambda pair: pair[0])[1]


def _draw(hat: _Hat, dice: random.Random, *, coda: bool) -> str:
    mouse = _mouse(hat, dice)
    cut = syllables(mouse, hat.words.language)
    lines = [
        line
        for line in _lines(hat, dice)
        if (mouse or not _NEEDS_MOUSE.search(line)) and (len(cut) > 1 or not _NEEDS_SCISSORS.search(line))
    ]
    line = dice.choice(lines or hat.words.kinds["bare"])
    if coda and "\n" not in line:
        line = _with_coda(line, dice)
    fillings = {
        **_word(hat, mouse, cut, dice),
        **_thing(hat, mouse, dice),
        "deed": dice.choice(hat.words.deeds),
        "sound": dice.choice(hat.words.sounds),
        "ask": dice.choice(hat.words.asks),
        "name": hat.name,
        "a_name": _with_article(hat.name),
    }
    return _SLOT.sub(lambda slot: fillings[slot.group(1)], line)


def _with_coda(line: str, dice: random.Random) -> str:
    """A line with something more behind its end, where everything that came out of the hat was said before."""
    codas = [coda for coda in _CODAS if not set(_SLOT.findall(coda)) & set(_SLOT.findall(line))]
    return f"{line} {dice.choice(codas)}" if codas else line


def _lines(hat: _Hat, dice: random.Random) -> Sequence[str]:
    """The lines that suit the text; now and then an earlier word comes back."""
    kinds = hat.words.kinds
    if hat.kind == "greeting" and hat.name:
        return (*kinds["greeting"], *kinds["greeting_name"])
    if hat.kind == "name" and not hat.name:
        return kinds["greeting"]
    if hat.kind == "anything" and hat.old and hat.mice and dice.randrange(100) < CALLBACKS_IN_100:
        return kinds["callback"]
    return kinds[hat.kind]


def _mouse(hat: _Hat, dice: random.Random) -> str:
    """The word to chase: long ones run slower, and what a sentence ends on is what it is about."""
    weights = [len(word) + 5 * (word == hat.mice[-1]) for word in hat.mice]
    return dice.choices(hat.mice, weights)[0] if hat.mice else ""


def _word(hat: _Hat, mouse: str, cut: Sequence[str], dice: random.Random) -> Mapping[str, str]:
    others = [word for word in (*hat.mice, *hat.old) if word != mouse]
    return {
        "mouse": mouse,
        "a_mouse": _with_article(mouse),
        "other": dice.choice(others) if others else dice.choice(hat.words.sounds),
        "old": dice.choice(hat.old) if hat.old else mouse,
        "food": hat.food or mouse,
        "cut": ". ".join(cut),
        "head": cut[0],
        "tail": cut[-1],
    }


def _thing(hat: _Hat, mouse: str, dice: random.Random) -> Mapping[str, str]:
    """A thing whose sound is near the word's, out of a handful."""
    handful = dice.sample(hat.words.things, k=THINGS_HEARD)
    return max(handful, key=lambda thing: _nearness(mouse, thing["thing"]))


def _nearness(word: str, thing: str) -> int:
    """How alike two words sound at their beginnings and at their ends."""
    last = thing.rsplit(maxsplit=1)[-1]
    begins = any(part[0] == word[0] for part in thing.split() if len(part) > 2) if word else False  # noqa: PLR2004 - articles rhyme with everything
    return 2 * begins + sum(a == b for a, b in zip(reversed(word), reversed(last), strict=False))


def _with_article(word: str) -> str:
    return f"{'an' if word[:1] in 'aeiou' else 'a'} {word}"


def syllables(word: str, language: str) -> list[str]:
    """A word in the pieces that its language would break it into; a short one is one piece."""
    return [piece for piece in _scissors(language).inserted(word, "|").split("|") if piece] or [word]


@cache
def _scissors(language: str) -> pyphen.Pyphen:
    return pyphen.Pyphen(lang={"en": "en_US", "de": "de_DE", "fr": "fr_FR", "es": "es_ES"}[language])


def templates() -> Iterator[tuple[str, str, str]]:
    """Every line that is written by hand: language, kind, line. For whoever reads them all, and for tests."""
    for language in hearing.LANGUAGES:
        for kind, lines in hearing.lexicon(language).kinds.items():
            for line in lines:
                yield language, kind, line
