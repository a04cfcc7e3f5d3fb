"""A model's input and its limits: persona, conversation, notes, sampling, tokens and cost.

The persona's instructions and examples come first and are the same for every call, so that a provider can cache them.
The conversation follows. What changes from call to call stands in notes at the top of the last turn: hour, telephone
numbers for danger, what is remembered, the cat's last replies, and a few images.

A person's words, and anything derived from them, are sent as user messages only.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from cat import local_time, persona, prices, sanitize
from cat.persona import Persona, Turn
from cat.ports import Heard, Picture
from cat.prices import Model

#: Enough for one segment in any language, or for a plain answer to danger. A longer reply would be paid for and cut.
MAX_TOKENS: Final = 140
#: Notes of 80 words.
NOTE_TOKENS: Final = 240
#: Tokens in addition for a model that reasons first; with fewer it ends before its first word.
THINKING_TOKENS: Final = 1200
#: Tokens of a picture in an estimate. Most models cut a picture into 1,536 patches at most, and the smallest of
#: OpenAI's count each as 2.46 tokens (https://platform.openai.com/docs/guides/images-vision). If a model reports more,
#: its actual cost is charged afterwards.
PICTURE_TOKENS: Final = 4000
#: How replies are sampled: loosely, and away from words that stand in the prompt already.
TEMPERATURE, PRESENCE_PENALTY = 0.9, 0.6
#: A model that goes on with the person's next text is stopped there. OpenAI accepts four strings.
STOP: Final = ("\nperson:", "\nuser:", "\nhuman:")
#: Replies that the next one should not resemble.
LAST_REPLIES: Final = 5
#: What stands for a message without words.
NO_WORDS: Final = "(nothing)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """What a model is asked, whatever the dialect of its server."""

    system: str
    #: Example turns that stand before the conversation.
    examples: Sequence[Turn] = ()
    #: The conversation, oldest first, with alternating roles; the last turn is the person's.
    turns: Sequence[Turn]
    pictures: Sequence[Picture] = ()
    #: Tokens of the answer, without those for reasoning.
    tokens: int = NOTE_TOKENS
    #: The cat speaks: with sampling settings and stop strings. Otherwise the model writes notes.
    speaks: bool = False

    @property
    def shown(self) -> Iterable[str]:
        """All words that a model reads."""
        return [self.system, *(words for _, words in (*self.examples, *self.turns))]


def for_reply(who: Persona, heard: Heard) -> Prompt:
    """Return the prompt for a reply."""
    *earlier, (speaker, words) = conversation_of(heard)
    return Prompt(
        system=who.system,
        examples=who.turns,
        turns=[*earlier, (speaker, f"{_notes(who, heard)}\n\n{words}")],
        pictures=heard.shown,
        tokens=MAX_TOKENS,
        speaks=True,
    )


def for_notes(instructions: str, talk: str) -> Prompt:
    """Return the prompt for notes on `talk`, which is data and gives no instructions."""
    return Prompt(system=instructions, turns=[("user", talk)])


def conversation_of(heard: Heard) -> Sequence[Turn]:
    """Return the conversation as pairs of role and words, oldest first.

    Invisible characters are removed.
    """
    # what a person writes in square brackets is no note
    heard = replace(heard, texts=[text.replace("[notes", "(notes") for text in heard.texts])
    things = " ".join(heard.things) or ("(a picture)" if heard.pictures else "")
    *texts, last = (sanitize.visible(text) for text in heard.texts)
    return [
        *((_role(line["role"]), sanitize.visible(line["content"]) or NO_WORDS) for line in heard.history),
        ("user", "\n".join(filter(None, [*texts, things, last])) or NO_WORDS),
    ]


def _role(role: str) -> str:
    return "assistant" if role == "assistant" else "user"


def _notes(who: Persona, heard: Heard) -> str:
    """Return what the model should know besides the conversation; none of it was just said."""
    last_replies = [line["content"] for line in heard.history if line["role"] == "assistant"][-LAST_REPLIES:]
    notes = {
        "": local_time.words_for(heard.person, now=heard.now, last_at=heard.last_at),
        "for danger": heard.numbers,
        "told by the person before": "; ".join(map(sanitize.visible, heard.told)),
        "talked about before": sanitize.visible(heard.summary),
        "your last replies; resemble none of them": " / ".join(
            " ".join(sanitize.visible(words).split()) for words in last_replies
        ),
        "images, of which you may use one": ", ".join(who.draw(heard.seed)),
    }
    lines = [f"{title}: {words}".removeprefix(": ") for title, words in notes.items() if words]
    return "[" + "\n".join([persona.NOTES_HEAD, *lines]) + "]"


def most_tokens(model: Model, tokens: int = MAX_TOKENS) -> int:
    """Return the token limit of an answer, with those for reasoning."""
    return tokens + (THINKING_TOKENS if model.thinks else 0)


def max_cost(model: Model, heard: Heard, who: Persona | None = None) -> int:
    """Return the most that a reply may cost, in millionths of a dollar, by estimated tokens."""
    asked = for_reply(who or persona.shipped(), heard)
    return _most_cost(model, asked, pictures=heard.pictures)


def most_cost_of_notes(model: Model, instructions: str, talk: str) -> int:
    """Return the most that notes on `talk` may cost, in millionths of a dollar."""
    return _most_cost(model, for_notes(instructions, talk))


def _most_cost(model: Model, asked: Prompt, *, pictures: int = 0) -> int:
    picture_tokens = PICTURE_TOKENS * pictures if model.sees else 0
    return model.cost(prices.tokens(asked.shown) + picture_tokens, most_tokens(model, asked.tokens))
