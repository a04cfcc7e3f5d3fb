"""What a model is told besides who it is: what it remembers, what was said, and how much it may say.

Nothing that a person wrote, and nothing that was made of it, is ever anything but the user's message.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from cat import catalogue, fit, persona
from cat.catalogue import Model
from cat.ports import Heard

#: Enough for one segment of text and a model that counts badly; a longer reply is cut and was paid for nothing.
MAX_TOKENS: Final = 160
#: A model that thinks first spends these before its first word; with fewer it ends before it has said anything.
THINKING_TOKENS: Final = 1200
#: A picture counts as so many tokens in an estimate: most models cut it into 1,536 patches at most, and the smallest of OpenAI's count each
#: as 2.46 tokens (https://platform.openai.com/docs/guides/images-vision). One that takes more is charged for it afterwards.
PICTURE_TOKENS: Final = 4000


def conversation_of(heard: Heard) -> Sequence[tuple[str, str]]:
    """What was said, as role and words, oldest first, the two in turns; what nobody can see is not in it."""
    said = [
        *((line["role"], line["content"]) for line in heard.history),
        # a picture without a word is a picture, also to who cannot see it
        *(("user", text or ("(a picture)" if heard.pictures else "")) for text in heard.texts),
    ]
    lines: list[tuple[str, str]] = [("user", remembered)] if (remembered := _remembered(heard)) else []
    for role, words in said:
        who, seen = "assistant" if role == "assistant" else "user", fit.visible(words) or "(nothing)"
        # many a model's template wants the two to take turns: what one says in a row is one message
        if lines and lines[-1][0] == who:
            lines[-1] = (who, f"{lines[-1][1]}\n{seen}")
        else:
            lines.append((who, seen))
    return lines


def _remembered(heard: Heard) -> str:
    """What the cat knows from talk that is too old to be shown, in the person's mouth: it came from there."""
    told = "; ".join(fit.visible(words) for words in heard.told)
    summary = fit.visible(heard.summary)
    if not told and not summary:
        return ""
    pieces = [f"i told you about me: {told}." if told else "", f"what we talked about: {summary}" if summary else ""]
    return f"(from earlier. {' '.join(filter(None, pieces))})"


def most_tokens(model: Model) -> int:
    """How many tokens a reply may take."""
    return MAX_TOKENS + (THINKING_TOKENS if model.thinks else 0)


def most_cost(model: Model, heard: Heard) -> int:
    """What a reply may cost at most, in millionths of a dollar, as far as its tokens can be told beforehand."""
    shown = [persona.prompt(), *(words for _, words in conversation_of(heard))]
    return most_cost_of(model, shown, pictures=heard.pictures)


def most_cost_of(model: Model, shown: Iterable[str], *, pictures: int = 0) -> int:
    """What an answer to so much may cost at most, in millionths of a dollar."""
    looked_at = PICTURE_TOKENS * pictures if model.sees else 0
    return model.cost(catalogue.tokens(shown) + looked_at, most_tokens(model))
