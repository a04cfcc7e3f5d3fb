"""The hand-written words of one language: what the poet hears and what it says.

`cat/lexicon/<language>.toml` holds them; `docs/explanation/cat.md` explains the sections.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final

#: The kinds of which a language has no lines of its own are answered as their parent is.
PARENTS: Final[Mapping[str, str]] = {
    "morning": "greeting", "afraid_not": "no", "back": "greeting", "night": "bye", "brb": "bye", "nothanks": "no", "please": "yes",
    "thirsty": "hungry", "hot": "cold", "stressed": "anxious", "lonely": "sad", "homesick": "sad", "useless": "sad", "ill": "tired",
    "drunk": "tired", "meh": "tired", "angry": "sad", "confused": "idk", "busy": "tired", "miss": "love", "praise": "love", "swear": "insult",
    "wow": "nice", "whatever": "idk", "hm": "idk", "same": "yes", "maybe": "idk", "what": "question_what", "wait": "ok", "leave_alone": "bye",
    "good_news": "happy", "birthday": "happy", "fired": "sad", "breakup": "sad", "lost_thing": "sad", "moved": "happy", "snow": "weather",
    "poem": "haiku", "trick": "joke", "secret": "joke", "fortune": "joke", "factoid": "secret", "lullaby": "song", "song": "joke", "hide": "guess_start",
    "compliment_me": "love", "insult_me": "joke", "truths": "secret", "advice": "fortune",
    "self_name": "self", "self_age": "self", "self_maker": "self", "self_where": "self", "self_doing": "self", "self_food": "self",
    "self_sex": "self", "self_sleep": "self", "self_feel": "self_how", "self_love": "love", "self_favorite": "self", "self_can": "self",
    "self_family": "self", "self_language": "self", "prove": "machine", "repeated": "nonsense", "explain": "nonsense", "privacy": "machine",
    "law": "medicine", "money": "medicine", "food_safety": "medicine", "flirt_child": "flirt",
    "question_which": "yesno", "question_who": "question_what", "question_howmany": "question_what", "question_when": "question_where",
    "topic_drink": "topic_food", "topic_sport": "statement", "topic_book": "statement", "topic_clothes": "statement",
    "topic_garden": "statement", "topic_date": "statement", "topic_money": "statement", "topic_home": "statement", "topic_body": "statement",
    "topic_food": "statement", "topic_weather": "statement", "topic_work": "statement", "topic_animal": "statement", "topic_travel": "statement",
    "topic_family": "statement", "topic_phone": "statement", "topic_music": "statement", "topic_dream": "statement", "topic_school": "topic_work",
    "emoji_cry": "emoji", "emoji_laugh": "emoji", "emoji_heart": "emoji", "emoji_food": "emoji", "emoji_weather": "emoji", "emoji_animal": "emoji",
    "emoji_party": "emoji", "emoji_wave": "emoji", "emoji_rage": "emoji", "emoji_sleep": "emoji", "emoji_sick": "emoji", "emoji_cool": "emoji",
    "nonsense_keys": "statement", "quoted": "statement", "statement": "bare",
    "fact_name": "fact", "fact_pet": "fact", "fact_home": "fact", "fact_work": "fact", "fact_age": "fact", "fact_birthday": "fact",
    "fact_like": "fact", "fact_hate": "fact", "fact_favorite": "fact", "fact_diet": "fact", "fact_relative": "fact", "fact_kids": "fact",
    "fact_number": "fact", "fact_word": "fact", "fact_event": "fact", "fact_thing": "fact",
    "told_name": "told", "told_pet": "told", "told_home": "told", "told_work": "told", "told_age": "told", "told_birthday": "told",
    "told_like": "told", "told_hate": "told", "told_favorite": "told", "told_diet": "told", "told_relative": "told", "told_kids": "told",
    "told_number": "told", "told_word": "told", "told_event": "told", "told_thing": "told", "told_child": "told_age",
    "memory_pet": "memory", "memory_name": "memory", "memory_like": "memory", "memory_hate": "memory", "memory_home": "memory",
    "memory_work": "memory",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Question:
    """A question of the cat, and its replies to the answers."""

    say: str
    #: The key of the fact that an answer states, such as `name`; empty: none.
    fact: str = ""
    yes: Sequence[str] = ()
    no: Sequence[str] = ()
    #: Replies to any other answer; `{x}` is the answer.
    other: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Pattern:
    """How a fact is told or asked for. Groups: `v` the value, `x` what is named in the key."""

    key: str
    heard: re.Pattern[str]
    #: The value must look like a name.
    name: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Lexicon:
    """The words of one language."""

    language: str
    #: Each thing's grammatical cases by slot name: `thing`, and others such as `thing_acc` in German.
    things: Sequence[Mapping[str, str]]
    deeds: Sequence[str]
    sounds: Sequence[str]
    questions: Sequence[Question]
    #: Lines by kind.
    say: Mapping[str, Sequence[str]]
    #: Lists that performances are made of, such as the lines of a haiku.
    parts: Mapping[str, Sequence[str]]
    #: Patterns by kind, in the order in which they are tried.
    hear: Mapping[str, re.Pattern[str]]
    #: Patterns that are no kinds, such as `negation`.
    marks: Mapping[str, re.Pattern[str]]
    tell: Sequence[Pattern]
    ask: Sequence[Pattern]
    #: What a fact is called in a question of the cat, by the first part of its key.
    labels: Mapping[str, str]

    def lines(self, kind: str) -> Sequence[str]:
        """Return the lines of a kind, or of the nearest parent that has some."""
        while kind and kind not in self.say:
            kind = PARENTS.get(kind, "bare" if kind != "bare" else "")
        return self.say[kind] if kind else ()


_CASES: Final = {"de": ("thing", "thing_acc", "thing_dat"), "fr": ("thing", "thing_of"), "es": ("thing", "thing_of")}


@cache
def lexicon(language: str) -> Lexicon:
    """Return the lexicon of a language; its file is read once."""
    given = tomllib.loads(files("cat").joinpath("lexicon", f"{language}.toml").read_text(encoding="utf-8"))
    cases = _CASES.get(language, ("thing",))
    return Lexicon(
        language=language,
        things=[_thing(cases, thing) for thing in given.get("things", ())],
        deeds=given.get("deeds", ()),
        sounds=given.get("sounds", ()),
        questions=[Question(**question) for question in given.get("question", ())],
        say=given["say"],
        parts=given.get("parts", {}),
        hear={kind: _compiled(pattern) for kind, pattern in given["hear"].items()},
        marks={name: _compiled(pattern) for name, pattern in given.get("marks", {}).items()},
        tell=[_pattern(entry) for entry in given.get("tell", ())],
        ask=[_pattern(entry) for entry in given.get("ask", ())],
        labels=given.get("labels", {}),
    )


def _thing(cases: Sequence[str], given: Any) -> Mapping[str, str]:  # Any: TOML's own types
    return dict(zip(cases, [given] if isinstance(given, str) else given, strict=True))


def _pattern(given: Mapping[str, Any]) -> Pattern:  # Any: TOML's own types
    return Pattern(given["key"], _compiled(given["re"]), name=given.get("name", False))


def _compiled(pattern: str) -> re.Pattern[str]:
    """Compile a pattern. After `= ` it stands for the whole text, after `^ ` for its beginning."""
    line = re.sub(r"\s*\n\s*", "", pattern)
    if line.startswith("= "):
        line = rf"^\W*(?:{line[2:]})(?:,? (?:cat|kitty|dada|dadacat|katze|le chat|gato|minou))?\W*$"
    elif line.startswith("^ "):
        line = rf"^\W*(?:{line[2:]})\b"
    return re.compile(line, re.IGNORECASE)
