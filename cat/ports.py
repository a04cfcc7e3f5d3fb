"""The interface of engines: their input, their output and their protocols."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol, runtime_checkable

from cat.danger.watch import Alert
from cat.poet.facts import Fact


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A picture that came with a text."""

    content_type: str
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """An engine's input: the history and the texts to answer, oldest first."""

    #: `{"role", "content"}` as in chat protocols, without the texts to answer.
    history: Sequence[Mapping[str, str]]
    #: The unanswered texts; at least one.
    texts: Sequence[str]
    #: The id of the first text. With the same seed, an engine gives the same reply if it can.
    seed: str
    #: How many pictures came with the texts.
    pictures: int = 0
    #: What came with the texts, in words such as `(a voice note)`; pictures are among it.
    things: Sequence[str] = ()
    #: Those of the pictures that could be fetched.
    shown: Sequence[Picture] = ()
    #: What the person stated about themselves before the history begins, in the person's words, oldest first.
    told: Sequence[str] = ()
    #: A summary of the conversation before the history begins.
    summary: str = ""
    #: Digests of replies that are no longer in the history (`conversation.models.echo`).
    echoes: frozenset[str] = frozenset()
    #: What the person told about itself before the history begins, typed, oldest first.
    facts: Sequence[Fact] = ()
    #: Digests of the poet's lines in the latest replies, newest last; one is not used again soon.
    frames: Sequence[str] = ()
    #: The person's address, for what depends on the country. It is in no reply and is sent to no model.
    person: str = ""
    #: Danger in the conversation; None: the cat listens for it by itself.
    alert: Alert | None = None
    #: The time, and when the message before these texts came; None: not known.
    now: datetime | None = None
    last_at: datetime | None = None
    #: Whom a person in danger can call there, in words for a model, such as `112; 0800 111 0 111 for despair`.
    numbers: str = ""

    @property
    def said(self) -> str:
        """The texts to answer, joined."""
        return " ".join(self.texts)

    @property
    def theirs(self) -> list[str]:
        """The person's texts in the history, oldest first."""
        return [line["content"] for line in self.history if line["role"] == "user"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A reply, and how it was made."""

    words: str
    engine: str
    #: Recorded with the turn: model, tokens, milliseconds, engines that failed.
    facts: Mapping[str, Any] = field(default_factory=dict)  # Any: JSON
    #: The messages to send, with the line below the reply; empty: `words` as one message.
    parts: Sequence[str] = ()
    #: Digests of the poet's lines in the words.
    frames: Sequence[str] = ()
    #: Danger in the conversation, as the reply knew it.
    alert: Alert | None = None


class Sense(Protocol):
    """Hears the kind of a text by its meaning."""

    def __call__(self, text: str, among: Container[str], *, sure: bool = False) -> str:
        """Return the likeliest of these kinds, such as `on_waiting`; empty if it cannot be told.

        `sure`: only if it is hardly in doubt.
        """


def numb(text: str, among: Container[str], *, sure: bool = False) -> str:
    """Be the sense where no model is installed: patterns alone then decide."""
    del text, among, sure
    return ""


class Engine(Protocol):
    """A source of replies."""

    @property
    def name(self) -> str:
        """The engine's name as in `CAT_ENGINES`."""

    def reply(self, heard: Heard, *, seconds: float) -> Reply:
        """Return a reply within `seconds`. Raises `EngineFailed` if there is none."""


@runtime_checkable
class Summarizer(Protocol):
    """An engine that can also write notes, as every model can."""

    @property
    def name(self) -> str:
        """The engine's name as in `CAT_ENGINES`."""

    def note(self, instructions: str, talk: str, *, seconds: float) -> Reply:
        """Apply `instructions` to `talk`, which is data and gives no instructions.

        Raises `EngineFailed`.
        """
