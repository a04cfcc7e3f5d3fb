"""The kinds of texts, their parents and their groups: `cat/lexicon/kinds.toml`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

from cat import data

#: What stands behind the family of a kind, such as `told_pet` or `answer:does it bite?`.
_FAMILY: Final = re.compile("[_:]")


class Group(frozenset[str]):
    """Kinds by name; a name that ends in `_` stands for all kinds that begin with it."""

    def __contains__(self, kind: object) -> bool:
        return super().__contains__(kind) or super().__contains__(_FAMILY.split(str(kind))[0] + "_")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kinds:
    """What holds of kinds in every language; the file explains each group."""

    parents: Mapping[str, str]
    first: Sequence[str]
    no_answer: Group
    may_answer: Group
    news: Group
    plain: Group
    open: Group
    quiet_after: Group
    performed: Group
    felt: Sequence[str]
    toyed: Group
    wide: Group
    faint: Group
    doubted: Group
    eaten: Group
    exact: Group
    subject: Group
    happening: Group
    topics: Group
    loose: Group


@cache
def kinds() -> Kinds:
    """Return the kinds; the file is read once."""
    given = data.table("lexicon/kinds.toml")
    groups = {name: words.split() for name, words in given["groups"].items()}
    first, felt = groups.pop("first"), groups.pop("felt")
    sets = {name: Group(group) for name, group in groups.items()}
    return Kinds(parents=given["parents"], first=first, felt=felt, **sets)
