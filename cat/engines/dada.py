"""The offline engine `dada`: a cut-up poet that needs no network, no key and no model.

The method follows Tristan Tzara's recipe of 1920: a newspaper, scissors and a hat.

- The newspaper is what this person wrote, now and earlier. A word taken from it is called a mouse.
- The scissors cut a mouse at its syllables (pyphen).
- The hat is a random choice. It puts the mouse into a line of `cat/lexicon/`, together with one of the cat's things.
  A thing with the same first letter or the same ending as the mouse is preferred.

The lines are written by hand, so that their grammar stays intact.

The same text with the same history and the same seed gets the same words, so a replay repeats the reply.
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

#: Draws at most until one is new and fits one segment.
DRAWS: Final = 40
#: Draws before a coda may be added to a line.
PURE_DRAWS: Final = 12
#: A reply should differ in its first `OPENING` characters from the last `RECENT` replies.
OPENING, RECENT = 14, 6
#: Of the texts that leave room for an earlier word, the percentage whose reply uses one.
CALLBACKS_IN_100: Final = 35
#: Things drawn at random, of which the one closest in sound to the mouse is used.
THINGS_HEARD: Final = 5

_CODAS: Final = ("{sound}.", "{ask}", "{deed}.", "{sound}. {ask}", "{deed}. {ask}", "{sound}, {thing}.", "{thing}.")
_SLOT: Final = re.compile(r"\{(\w+)\}")
_NEEDS_MOUSE: Final = re.compile(r"\{(a_mouse|mouse|cut|head|tail)\}")
_NEEDS_SCISSORS: Final = re.compile(r"\{(cut|head|tail)\}")


@dataclass(frozen=True, slots=True)
class _Hat:
    """The material of the reply to one text."""

    words: Lexicon
    kind: str
    mice: Sequence[str]
    old: Sequence[str]
    name: str
    #: The food that the text mentions; empty if there is none.
    food: str
    said: frozenset[str]
    echoes: frozenset[str]
    openings: frozenset[str]


class Dada:
    """The engine `dada`: it always answers."""

    @property
    def name(self) -> str:
        """The engine's name as in `CAT_ENGINES`."""
        return "dada"

    def reply(self, heard: Heard, *, seconds: float) -> Reply:  # noqa: ARG002 - a reply takes about a millisecond
        """Compose a reply from the person's words. Never raises."""
        text = heard.said
        hat = _fill_hat(heard, text)
        if hat.kind == hearing.CRISIS:
            words = hat.words.serious.format(help=hearing.help_for(heard.person, hat.words))
            return Reply(words=words, engine=self.name, facts={"language": hat.words.language, "kind": hat.kind})
        # a replay must repeat the reply, so the generator is seeded
        dice = random.Random(f"{heard.seed}|{text}|{len(heard.history)}")  # noqa: S311 - guards no secret
        return Reply(words=_best(hat, dice), engine=self.name, facts={"language": hat.words.language, "kind": hat.kind})


def _fill_hat(heard: Heard, text: str) -> _Hat:
    earlier = [*heard.told, *heard.theirs]
    replies = [line["content"] for line in heard.history if line["role"] == "assistant"]
    words, kind = hearing.listen(text, earlier, pictures=heard.pictures)
    mice = hearing.mice(text, words.dull)
    name = next(filter(None, (hearing.name_in(source, words) for source in (text, *reversed(earlier)))), "")
    return _Hat(
        words=words,
        kind=kind,
        mice=mice,
        old=[word for source in earlier for word in hearing.mice(source, hearing.dull_anywhere()) if word not in mice],
        name=name,
        food=hearing.food_in(text, words),
        said=frozenset(replies),
        echoes=heard.echoes,
        openings=frozenset(reply[:OPENING] for reply in replies[-RECENT:]),
    )


def _best(hat: _Hat, dice: random.Random) -> str:
    """Return the first draw that is new, fits one segment and opens unlike the recent replies.

    If no draw does, return the one with the least serious fault; a repeated reply is the most serious.
    """
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
    """Append a coda to a line. The coda uses none of the line's slots, so that it adds something."""
    codas = [coda for coda in _CODAS if not set(_SLOT.findall(coda)) & set(_SLOT.findall(line))]
    return f"{line} {dice.choice(codas)}" if codas else line


def _lines(hat: _Hat, dice: random.Random) -> Sequence[str]:
    """Return the lines that suit the text; for some texts, lines that bring an earlier word back."""
    kinds = hat.words.kinds
    if hat.kind == "greeting" and hat.name:
        return (*kinds["greeting"], *kinds["greeting_name"])
    if hat.kind == "name" and not hat.name:
        return kinds["greeting"]
    if hat.kind == "anything" and hat.old and hat.mice and dice.randrange(100) < CALLBACKS_IN_100:
        return kinds["callback"]
    return kinds[hat.kind]


def _mouse(hat: _Hat, dice: random.Random) -> str:
    """Choose the mouse; empty if there is none.

    Long words are likelier. So is the last word: a sentence often ends on its subject.
    """
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
    """Choose, from a few random things, the one closest in sound to the mouse."""
    handful = dice.sample(hat.words.things, k=THINGS_HEARD)
    return max(handful, key=lambda thing: _nearness(mouse, thing["thing"]))


def _nearness(word: str, thing: str) -> int:
    """Return how alike two words sound at their beginnings and at their ends."""
    last = thing.rsplit(maxsplit=1)[-1]
    nouns = [part for part in thing.split() if len(part) > 2]  # noqa: PLR2004 - leaves the articles out
    begins = any(part[0] == word[0] for part in nouns) if word else False
    return 2 * begins + sum(a == b for a, b in zip(reversed(word), reversed(last), strict=False))


def _with_article(word: str) -> str:
    return f"{'an' if word[:1] in 'aeiou' else 'a'} {word}"


def syllables(word: str, language: str) -> list[str]:
    """Split a word where its language allows a hyphen; a short word stays whole."""
    return [piece for piece in _scissors(language).inserted(word, "|").split("|") if piece] or [word]


@cache
def _scissors(language: str) -> pyphen.Pyphen:
    return pyphen.Pyphen(lang={"en": "en_US", "de": "de_DE", "fr": "fr_FR", "es": "es_ES"}[language])


def templates() -> Iterator[tuple[str, str, str]]:
    """Yield every hand-written line with its language and its kind, for tests and proofreading."""
    for language in hearing.LANGUAGES:
        for kind, lines in hearing.lexicon(language).kinds.items():
            for line in lines:
                yield language, kind, line
