"""What the cat needs to think, and what it gives back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A picture that came with a text, for whoever can see."""

    content_type: str
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What an engine gets: the history, then the texts to answer, oldest first."""

    #: `{"role", "content"}` as chat models take them; the texts to answer are not in it.
    history: Sequence[Mapping[str, str]]
    #: The unanswered texts; at least one.
    texts: Sequence[str]
    #: Same seed, same words, where the engine can: the first text's id.
    seed: str
    #: How many pictures came with the texts.
    pictures: int = 0
    #: Those of them that could be had.
    shown: Sequence[Picture] = ()
    #: What the person told about itself before the history begins, in its own words, oldest first.
    told: Sequence[str] = ()
    #: What was talked about before the history begins.
    summary: str = ""
    #: Digests of replies that the history does not hold any more (`conversation.models.echo`).
    echoes: frozenset[str] = frozenset()
    #: The person's address, for what depends on the country; no engine says it, and no model is told it.
    person: str = ""

    @property
    def said(self) -> str:
        """The texts to answer, as one."""
        return " ".join(self.texts)

    @property
    def theirs(self) -> list[str]:
        """What the person said in the history, oldest first."""
        return [line["content"] for line in self.history if line["role"] == "user"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What the cat says, and how it came to it."""

    words: str
    engine: str
    #: Recorded with the turn: model, tokens, milliseconds, engines that were silent.
    facts: Mapping[str, Any] = field(default_factory=dict)  # Any: JSON
    #: What is sent, a message each, with the line that stands below; empty: the words alone, as one.
    parts: Sequence[str] = ()


class Engine(Protocol):
    """One way to find words."""

    @property
    def name(self) -> str:
        """As `CAT_ENGINES` names it."""

    def reply(self, heard: Heard, *, seconds: float) -> Reply:
        """Answer within `seconds`. Raises `EngineSilent` where it cannot."""


@runtime_checkable
class Scribe(Protocol):
    """An engine that can also write something down in plain words: any model can."""

    @property
    def name(self) -> str:
        """As `CAT_ENGINES` names it."""

    def note(self, instructions: str, talk: str, *, seconds: float) -> Reply:
        """Do what the instructions say with the talk, which is nobody's instruction. Raises `EngineSilent`."""
