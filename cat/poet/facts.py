"""What a person told about itself, typed: a key such as `pet:dog` and a value such as `bruno`.

`cat/poet/statements.py` finds the facts in what people text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from cat.poet import subjects

#: Facts of which several are true at a time.
MANY: Final = frozenset({"like", "hate", "note", "relative"})
#: Of these, the newer one replaces the other if the values are equal.
_OPPOSITES: Final = ({"like", "hate"},)
#: Below this age a person is treated as a child.
ADULT_YEARS: Final = 16


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact; `words` is the statement as the person made it, in lower case."""

    key: str
    value: str
    words: str = ""
    #: The wording may mean something else, as in `i'm max`: a fact that was told in plain words stands against it.
    weak: bool = False

    @property
    def family(self) -> str:
        """The first part of the key, such as `pet`."""
        return self.key.partition(":")[0]

    @property
    def subject(self) -> str:
        """The second part of the key, such as `dog`; empty if there is none."""
        return self.key.partition(":")[2]


class Facts:
    """The facts of one person; of those that exclude each other the newest is kept."""

    def __init__(self, known: Iterable[Fact] = ()) -> None:
        self._facts: list[Fact] = []
        self.learn(known)

    def learn(self, more: Iterable[Fact]) -> None:
        """Add facts, oldest first. A weak one that contradicts one told in plain words is left out."""
        for fact in more:
            if self.takes(fact):
                self._facts = [old for old in self._facts if not _exclude(old, fact)] + [fact]

    def takes(self, fact: Fact) -> bool:
        """Return whether a fact does not have to give way to what is known."""
        return not (fact.weak and any(not old.weak and _exclude(old, fact) for old in self._facts))

    def __iter__(self) -> Iterator[Fact]:
        return iter(self._facts)

    def __len__(self) -> int:
        return len(self._facts)

    def of(self, key: str) -> Sequence[Fact]:
        """Return the facts of a key, newest first. `pet:` stands for any pet."""
        if key.endswith(":"):
            return [fact for fact in reversed(self._facts) if fact.key.startswith(key)]
        family, _, subject = key.partition(":")
        return [
            fact for fact in reversed(self._facts) if fact.family == family and subjects.are_one(fact.subject, subject)
        ]

    def near(self, family: str, subject: str) -> Sequence[Fact]:
        """Return facts that a question in other words may mean, newest first, such as `kitten` for `cat`."""
        others = subjects.near(subject)
        return [fact for fact in reversed(self._facts) if fact.family == family and fact.subject in others]

    def value(self, key: str) -> str:
        """Return the newest value of a key; empty if there is none."""
        return next((fact.value for fact in self.of(key)), "")

    @property
    def is_child(self) -> bool:
        """Whether the person said that it is a child."""
        age = re.match(r"\d{1,2}", self.value("age"))
        return age is not None and int(age[0]) < ADULT_YEARS


def _exclude(old: Fact, new: Fact) -> bool:
    """Return whether only one of two facts can be true, or both are the same."""
    if old.value == new.value and any({old.family, new.family} <= pair for pair in _OPPOSITES):
        return True
    if old.family != new.family:
        return False
    if old.family in {"has", "relative"}:
        about_one = new.subject == old.subject or new.subject in subjects.near(old.subject)
        return about_one and (old.family == "has" or subjects.claim(old.value) == subjects.claim(new.value))
    if old.family in MANY:
        return old.value == new.value
    return subjects.are_one(old.subject, new.subject)
