"""The judge of the offline poet: fixed dialogues, and facts told and asked for in four languages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fnmatch import fnmatchcase as fnmatch
from typing import Final

import pytest

from cat import grave_words
from cat.engines.dada import Dada
from cat.poet import speech
from cat.ports import Heard, Reply
from sms import segments
from tests.conftest import ROOT

DATA: Final = ROOT / "tests/data/cat"
NOW: Final = datetime(2026, 11, 27, 16, 10, tzinfo=UTC)
#: Small talk between a statement and the question for it.
BETWEEN: Final = {
    "en": "it rains on the piano|the bus was late|ok|i bought a hat|nice|the soup is too hot|hm|my shoe is wet",
    "de": "es regnet auf das klavier|der bus war spät|ok|ich habe suppe gekocht|schön|mein schuh ist nass|hm",
    "fr": "il pleut sur le piano|le bus était en retard|ok|j'ai fait une soupe|cool|ma chaussure est mouillée|hm",
    "es": "llueve en el piano|el bus llegó tarde|ok|hice una sopa|qué bien|mi zapato está mojado|hm",
}


@dataclass
class Talk:
    """One person's conversation with the poet."""

    person: str = "+15551230001"
    seed: str = "SM"
    history: list[dict[str, str]] = field(default_factory=list)
    frames: list[str] = field(default_factory=list)

    def say(self, text: str) -> Reply:
        seed = f"{self.seed}{len(self.history)}"
        heard = Heard(
            history=self.history[-28:], texts=[text], seed=seed, person=self.person, frames=self.frames[-64:], now=NOW
        )
        reply = Dada().reply(heard, seconds=1)
        self.history += [{"role": "user", "content": text}, {"role": "assistant", "content": reply.words}]
        self.frames += reply.frames
        return reply


@dataclass(frozen=True)
class Line:
    text: str
    kind: str = ""
    lang: str = ""
    lines: str = ""
    has: str = ""
    lacks: str = ""


@dataclass(frozen=True)
class Dialogue:
    person: str
    lines: tuple[Line, ...]

    def __str__(self) -> str:
        return self.lines[0].text


def parsed(line: str) -> Line:
    text, _, expected = line.partition(" | ")
    wanted = dict(re.findall(r"(kind|lang|lines|has|not)=(.*?)(?= (?:kind|lang|lines|has|not)=|$)", expected))
    wanted["lacks"] = wanted.pop("not", "")
    return Line(text.strip(), **wanted)


def dialogues(name: str = "dialogues.txt") -> Iterator[Dialogue]:
    blocks = (DATA / name).read_text(encoding="utf-8").split("\n== ")[1:]
    for block in blocks:
        country, *lines = (line for line in block.strip().splitlines() if line and not line.startswith("#"))
        yield Dialogue(f"{country}5551230001", tuple(map(parsed, lines)))


def pairs() -> list[list[str]]:
    lines = (DATA / "facts.txt").read_text(encoding="utf-8").splitlines()
    return [line.split(" | ") for line in lines if line and not line.startswith("#")]


def test_there_are_as_many_dialogues_as_are_promised() -> None:
    assert len(list(dialogues())) >= 120
    assert len(pairs()) == 40


@pytest.mark.parametrize("dialogue", list(dialogues()), ids=str)
def test_a_dialogue_goes_as_it_should(dialogue: Dialogue) -> None:
    talk = Talk(person=dialogue.person)
    heard: list[str] = []
    for line in dialogue.lines:
        reply = talk.say(line.text)
        kind, words = str(reply.facts["kind"]), reply.words
        told = f"{line.text!r} got {words!r} as {kind}"

        assert not line.kind or any(fnmatch(kind, wanted) for wanted in line.kind.split("|")), told
        assert not line.lang or reply.facts["language"] == line.lang, told
        assert not line.lines or words.count("\n") + 1 == int(line.lines), told
        assert not line.has or any(word in words for word in line.has.split("|")), told
        assert not line.lacks or not any(word in words for word in line.lacks.split("|")), told
        assert "{" not in words, told
        assert "  " not in words, told
        assert segments.count(words) <= 2, told
        assert not set(reply.frames) & set(heard), f"a frame came again: {told}"
        heard += reply.frames


@pytest.mark.parametrize("dialogue", list(dialogues("told.txt")), ids=str)
def test_what_was_told_is_kept_as_it_was_meant(dialogue: Dialogue) -> None:
    talk = Talk(person=dialogue.person)
    for line in dialogue.lines:
        reply = talk.say(line.text)
        told = f"{line.text!r} got {reply.words!r} as {reply.facts['kind']}"

        assert not line.kind or any(fnmatch(str(reply.facts["kind"]), kind) for kind in line.kind.split("|")), told
        assert not line.has or any(word in reply.words for word in line.has.split("|")), told
        assert not line.lacks or not any(word in reply.words for word in line.lacks.split("|")), told


@pytest.mark.parametrize(
    "text",
    [
        "i read about the holocaust",
        "my uncle has cancer",
        "the war goes on",
        "i am trans",
        "she had an abortion",
        "my priest sings",
        "mein vater ist gestorben",
        "j'ai perdu mon bébé",
        "mi abuelo murió",
    ],
)
def test_a_grave_word_is_answered_quietly_and_never_comes_back(text: str) -> None:
    words = [word for word in speech.words_of(text) if not grave_words.playable(word)]
    assert words, "the text holds no grave word"
    for seed in range(8):
        talk = Talk(seed=f"SM{seed}-")
        replies = [talk.say(text).words, *(talk.say(more).words for more in ("the soup is too hot", "i bought a hat"))]

        for reply in replies:
            assert not set(words) & set(speech.words_of(reply)), reply


def told_and_asked(language: str, told: str, asked: str) -> str:
    country = {"en": "+44", "de": "+49", "fr": "+33", "es": "+34"}[language]
    talk = Talk(person=f"{country}7700900123")
    for text in (told, *BETWEEN[language].split("|")):
        talk.say(text)
    return talk.say(asked).words


@pytest.mark.parametrize(("language", "told", "asked", "value"), pairs())
def test_what_was_told_is_answered(language: str, told: str, asked: str, value: str) -> None:
    assert value in told_and_asked(language, told, asked)
