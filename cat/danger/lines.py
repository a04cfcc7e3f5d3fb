"""What the cat says in danger instead of playing: `lines.toml`, with the person's numbers filled in."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from cat import data
from cat.danger.helplines import Help, Number

#: The language of a person whose own has no lines.
_DEFAULT: Final = "en"
#: The words of the language for each way to reach a number.
_WAYS: Final[Mapping[str, str]] = {"call": "call", "text": "text", "call or text": "both"}
#: What a language without a line of this name says instead; of any other name `two`.
_INSTEAD: Final[Mapping[str, str]] = {"emergency": "one", "medical": "one", "reset": "hurry"}
#: These are right where the emergency number is the only one, too.
_EITHER: Final = frozenset({"unanswered", "dose"})


def languages() -> Sequence[str]:
    """Return the languages that have lines."""
    return tuple(_table())


def line(name: str, help_: Help, language: str, said: Collection[str] = ()) -> str:
    """Return a line, such as `despair` or `calm`; if there are several, one that was not just said."""
    words = _table().get(language) or _table()[_DEFAULT]
    filled = [_fill(form, help_, words) for form in _forms(name, help_, words)]
    return next((form for form in filled if form not in said), filled[0])


def _forms(name: str, help_: Help, words: Mapping[str, Any]) -> Sequence[str]:  # Any: TOML's own types
    forms: Sequence[str] = words.get(name) or words[_INSTEAD.get(name, "two")]
    needs_two = name not in _EITHER and any("{emergency}" in form for form in forms)
    one: Sequence[str] = words["one"]
    return one if needs_two and help_.right.number == help_.emergency.number else forms


def _fill(form: str, help_: Help, words: Mapping[str, Any]) -> str:  # Any: the same
    return form.format(reach=_reach(help_.right, words), emergency=_reach(help_.emergency, words))


def _reach(number: Number, words: Mapping[str, Any]) -> str:  # Any: the same
    way: str = words[_WAYS[number.by]]
    return way.format(number=number.number)


def _table() -> Mapping[str, Any]:  # Any: the same
    return data.table("danger/lines.toml")
