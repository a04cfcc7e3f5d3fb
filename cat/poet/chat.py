"""Words of chats (`cat/lexicon/chat.toml`): what they stand for, and which language they tell."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from cat import data


def _given() -> Mapping[str, Any]:  # Any: TOML's own types
    return data.table("lexicon/chat.toml")


@cache
def words_of(language: str) -> frozenset[str]:
    """Return the chat words that tell a language; `anywhere` gives those that tell none."""
    return frozenset(_given()["chat"].get(language, "").split())


def slang(language: str) -> Mapping[str, str]:
    """Return the chat words of a language and what they stand for."""
    known: Mapping[str, str] = _given()["slang"].get(language, {})
    return known


@cache
def empty_nouns() -> frozenset[str]:
    """Return the nouns that are in every text."""
    return frozenset(_given()["empty"]["words"].split())


def starts(language: str) -> frozenset[str]:
    """Return the words with which a phrase begins; none for a language whose sentences are not cut."""
    return frozenset(_given()["starts"].get(language, "").split())


def reflected() -> Mapping[str, str]:
    """Return the English words for the speaker and what they are when said back."""
    known: Mapping[str, str] = _given()["reflected"]
    return known


def turned() -> Mapping[str, str]:
    """Return the English words for persons in a question to the cat and what they are in its answer."""
    known: Mapping[str, str] = _given()["turned"]
    return known


def is_safe(verb: str, word: str) -> bool:
    """Return whether a question that begins so, such as `do you read`, may be turned into its answer."""
    return word in _given()["safe"].get(verb, _given()["safe"]["do"]).split()
