"""A model's input besides the persona, and its limits: memory, conversation, tokens and cost.

A person's words, and anything derived from them, are sent as user messages only.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from cat import persona, prices, sanitize
from cat.ports import Heard
from cat.prices import Model

#: Enough for one segment, even from a model that counts badly. A longer reply would be paid for and then cut.
MAX_TOKENS: Final = 160
#: Tokens in addition for a model that reasons first; with fewer it ends before its first word.
THINKING_TOKENS: Final = 1200
#: Tokens of a picture in an estimate. Most models cut a picture into 1,536 patches at most, and the smallest of
#: OpenAI's count each as 2.46 tokens (https://platform.openai.com/docs/guides/images-vision). If a model reports more,
#: its actual cost is charged afterwards.
PICTURE_TOKENS: Final = 4000


def conversation_of(heard: Heard) -> Sequence[tuple[str, str]]:
    """Return the conversation as pairs of role and words, oldest first, with alternating roles.

    Invisible characters are removed.
    """
    messages = [
        *((line["role"], line["content"]) for line in heard.history),
        # a picture without words is mentioned, also to a model that accepts no pictures
        *(("user", text or ("(a picture)" if heard.pictures else "")) for text in heard.texts),
    ]
    lines: list[tuple[str, str]] = [("user", remembered)] if (remembered := _remembered(heard)) else []
    for role, words in messages:
        speaker, content = "assistant" if role == "assistant" else "user", sanitize.visible(words) or "(nothing)"
        # the templates of many models require alternating roles, so consecutive messages of one role are joined
        if lines and lines[-1][0] == speaker:
            lines[-1] = (speaker, f"{lines[-1][1]}\n{content}")
        else:
            lines.append((speaker, content))
    return lines


def _remembered(heard: Heard) -> str:
    """Return the memory as a message of the person, since it was made from the person's words."""
    statements = "; ".join(sanitize.visible(words) for words in heard.told)
    summary = sanitize.visible(heard.summary)
    if not statements and not summary:
        return ""
    pieces = [
        f"i told you about me: {statements}." if statements else "",
        f"what we talked about: {summary}" if summary else "",
    ]
    return f"(from earlier. {' '.join(filter(None, pieces))})"


def most_tokens(model: Model) -> int:
    """Return the token limit of a reply."""
    return MAX_TOKENS + (THINKING_TOKENS if model.thinks else 0)


def max_cost(model: Model, heard: Heard) -> int:
    """Return the most that a reply may cost, in millionths of a dollar, by estimated tokens."""
    shown = [persona.prompt(), *(words for _, words in conversation_of(heard))]
    return most_cost_of(model, shown, pictures=heard.pictures)


def most_cost_of(model: Model, shown: Iterable[str], *, pictures: int = 0) -> int:
    """Return the most that an answer to this input may cost, in millionths of a dollar."""
    picture_tokens = PICTURE_TOKENS * pictures if model.sees else 0
    return model.cost(prices.tokens(shown) + picture_tokens, most_tokens(model))
