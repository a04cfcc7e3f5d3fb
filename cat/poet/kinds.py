"""The kinds of texts, their parents and their groups: `cat/lexicon/kinds.toml`."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True, slots=True, kw_only=True)
class Kinds:
    """What holds of kinds in every language; the file explains each group."""

    parents: Mapping[str, str]
    first: Sequence[str]
    no_answer: frozenset[str]
    may_answer: frozenset[str]
    news: frozenset[str]
    plain: frozenset[str]
    open: frozenset[str]
    quiet_after: frozenset[str]
    performed: frozenset[str]
    felt: Sequence[str]
    toyed: frozenset[str]
    wide: frozenset[str]
    faint: frozenset[str]
    doubted: frozenset[str]


@cache
def kinds() -> Kinds:
    """Return the kinds; the file is read once."""
    given = tomllib.loads(files("cat").joinpath("lexicon", "kinds.toml").read_text(encoding="utf-8"))
    groups = {name: words.split() for name, words in given["groups"].items()}
    first, felt = groups.pop("first"), groups.pop("felt")
    sets = {name: frozenset(group) for name, group in groups.items()}
    return Kinds(parents=given["parents"], first=first, felt=felt, **sets)


def is_open(kind: str) -> bool:
    """Return whether an act of this kind needs no answer in particular, so that any writer may reply."""
    return kind in kinds().open or kind.startswith("topic_")


def is_plain(kind: str) -> bool:
    """Return whether nothing is added to the reply to an act of this kind."""
    return kind in kinds().plain or kind.startswith(("fact_", "told_"))
