"""The hand-written words of one language: what the poet hears and what it says.

`cat/lexicon/<language>.toml` holds them; `docs/explanation/cat.md` explains the sections.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from cat import data
from cat.poet import words
from cat.poet.kinds import kinds

#: Stands for a mark that a language has no pattern for.
_NOTHING: Final = re.compile(r"(?!)")
#: The languages with a lexicon.
LANGUAGES: Final = (*words.FULL, *words.SMALL, "ja")


@dataclass(frozen=True, slots=True)
class Question:
    """A question of the cat, and its replies to the answers."""

    say: str
    #: The kinds of texts after which it is asked; empty: after any.
    about: Sequence[str] = ()
    #: The key of the fact that an answer states, such as `name`; empty: none.
    fact: str = ""
    #: What an answer other than yes and no looks like; empty: a noun.
    takes: str = ""
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
    #: A word that is no name may stand in its place, too, as in `it's friday`.
    weak: bool = False


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
    #: Patterns of what a statement does, such as `plan`, in the order in which they are tried. The lines stand in
    #: `say` under `as_plan`.
    aspects: Mapping[str, re.Pattern[str]]
    #: Patterns that are no kinds, such as `question`; `mark` looks one up.
    marks: Mapping[str, re.Pattern[str]]
    tell: Sequence[Pattern]
    ask: Sequence[Pattern]
    #: How one of the person's is named, by the person (`mine`) and by the cat (`my`), and how it is `called`.
    labels: Mapping[str, str]

    def lines(self, kind: str) -> Sequence[str]:
        """Return the lines of a kind, or of the nearest parent that has some."""
        while kind and kind not in self.say:
            kind = kinds().parents.get(kind, "bare" if kind != "bare" else "")
        return self.say[kind] if kind else ()

    def mark(self, name: str) -> re.Pattern[str]:
        """Return a mark; a pattern that matches nothing if the language has none of this name."""
        return self.marks.get(name, _NOTHING)


_CASES: Final = {"de": ("thing", "thing_acc", "thing_dat"), "fr": ("thing", "thing_of"), "es": ("thing", "thing_of")}


@cache
def lexicon(language: str) -> Lexicon:
    """Return the lexicon of a language, and the English one if it has none; its file is read once."""
    if language not in LANGUAGES:
        return lexicon("en")
    given = data.table(f"lexicon/{language}.toml")
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
        aspects={name: _compiled(pattern) for name, pattern in given.get("aspects", {}).items()},
        marks={name: _compiled(pattern) for name, pattern in given.get("marks", {}).items()},
        tell=[_pattern(entry) for entry in given.get("tell", ())],
        ask=[_pattern(entry) for entry in given.get("ask", ())],
        labels=given.get("labels", {}),
    )


def _thing(cases: Sequence[str], given: Any) -> Mapping[str, str]:  # Any: TOML's own types
    return dict(zip(cases, [given] if isinstance(given, str) else given, strict=True))


def _pattern(given: Mapping[str, Any]) -> Pattern:  # Any: TOML's own types
    return Pattern(given["key"], _compiled(given["re"]), name=given.get("name", False), weak=given.get("weak", False))


def _compiled(pattern: str) -> re.Pattern[str]:
    """Compile a pattern. After `= ` it stands for the whole text, after `^ ` for its beginning."""
    line = re.sub(r"\s*\n\s*", "", pattern)
    if line.startswith("= "):
        line = rf"^\W*(?:{line[2:]})(?:,? (?:cat|kitty|dada|dadacat|katze|le chat|gato|minou))?\W*$"
    elif line.startswith("^ "):
        line = rf"^\W*(?:{line[2:]})\b"
    return re.compile(line, re.IGNORECASE)
