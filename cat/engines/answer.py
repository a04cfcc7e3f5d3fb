"""Make a server's answer fit: find the words that are meant for the person.

Content comes as a string or as a list of parts, and the reason for the end decides as well. What servers leave in the
text itself, `cat.template_tokens` removes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from cat import template_tokens
from cat.engines.errors import NoWords

#: A longer text is no reply, with or without reasoning.
MOST_CHARACTERS: Final = 200_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A server's answer, in one form for all protocols."""

    #: A string, a list of parts, or None.
    content: object
    #: Why the model stopped, in the protocol's word, such as `stop`, `max_tokens` or `SAFETY`.
    finish: str = ""
    #: The model declined, by the protocol's own field for that.
    refusal: bool = False
    model: str = ""
    tokens_in: object = None
    tokens_out: object = None


#: The token limit ended the answer.
_CUT: Final = frozenset({"length", "max_tokens", "max_output_tokens", "model_context_window_exceeded"})
#: A filter withheld the answer or the rest of it; what came is not the model's reply.
_WITHHELD: Final = frozenset({
    "content_filter", "content_filtered", "refusal", "guardrail_intervened", "safety", "recitation", "blocklist",
    "prohibited_content", "spii", "model_armor", "malformed_response", "error", "abort",
})  # fmt: skip


def words_in(answer: Answer) -> str:
    """Return the words for the person. Raises `NoWords` if there are none."""
    finish = answer.finish.lower()
    if answer.refusal or finish in _WITHHELD or finish.startswith("image_"):
        raise NoWords("a refusal", refused=True)
    cut = finish in _CUT
    text = _text(answer.content)
    if len(text) > MOST_CHARACTERS:
        raise NoWords("an endless reply")
    words = template_tokens.spoken(text.encode("utf-8", "replace").decode(), cut=cut)
    if not words:
        raise NoWords("an empty reply", cut=cut)
    return template_tokens.whole_sentences(words) if cut else words


def _text(content: object) -> str:
    """Return the text of a string, a part or a list of parts; reasoning and tools are no text."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(map(_text, content))
    if not isinstance(content, Mapping) or content.get("thought"):
        return ""
    if content.get("type", "text") not in ("text", "output_text"):
        return ""
    text: Any = content.get("text")
    return text if isinstance(text, str) else ""
