"""What facts are about, in four languages: `dog`, `hund`, `chien` and `perro` are one subject.

The words are `cat/lexicon/subjects.toml`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from cat import data


@dataclass(frozen=True, slots=True)
class _Subjects:
    #: Each group: the words by language.
    groups: Sequence[Mapping[str, Sequence[str]]]
    #: Rows of verbs; the first one gives names.
    verbs: Sequence[Sequence[str]]


@cache
def _subjects() -> _Subjects:
    given = data.table("lexicon/subjects.toml")
    groups = [{language: _split(words) for language, words in group.items()} for group in given["same"]]
    return _Subjects(groups, [_split(row) for row in given["relatives"]["one"]])


def _split(row: str) -> Sequence[str]:
    return [word.replace("_", " ") for word in row.split()]


def _groups(subject: str) -> list[Mapping[str, Sequence[str]]]:
    return [group for group in _subjects().groups if any(subject in words for words in group.values())]


def near(subject: str) -> frozenset[str]:
    """Return the other words for a subject, such as `kitten` and `katze` for `cat`."""
    return frozenset(word for group in _groups(subject) for words in group.values() for word in words) - {subject}


def are_one(subject: str, other: str) -> bool:
    """Return whether two words name one thing: they are equal, or each is the first word of its language."""
    return subject == other or any(
        {subject, other} <= {words[0] for words in group.values()} for group in _groups(subject)
    )


def in_language(subject: str, language: str) -> str:
    """Return a subject in the words of a language; as it is if it is one of them, or if there are none."""
    groups = [group for group in _groups(subject) if language in group]
    if not groups or any(subject in group[language] for group in groups):
        return subject
    named = [group for group in groups if any(subject == words[0] for words in group.values())]
    return (named or groups)[0][language][0]


def claim(statement: str) -> str:
    """Return what two statements on a relative have in common if only one is true; else the statement."""
    if " " not in statement:
        statement = f"{_subjects().verbs[0][0]} {statement}"
    said = (row[0] for row in _subjects().verbs if any(statement.startswith(f"{verb} ") for verb in row))
    return next(said, statement)
