"""Make a model's output fit for a text message.

Control characters, Markdown and assistant phrases are removed, and the rest is shortened. A refusal, a leak of the
prompt, and output of which nothing is left become an empty reply. Then the next engine is asked.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

import regex

from cat import persona
from sms import segments

#: Longer output is discarded unread: no reply of the cat is that long.
MOST_CHARACTERS: Final = 20_000

_REFUSALS: Final = re.compile(
    r"\b(as an ai|as a language model|i'?m (just )?an ai|i am an ai|ai (language )?model"
    r"|i can(?:'|no)t (?:assist|help|comply|fulfil|provide)"
    r"|i'?m (?:sorry|unable)[^.!?]{0,40}\b(?:assist|help|comply|that request|cannot|can't)"
    r"|against my (?:guidelines|programming|policy)"
    r"|openai|anthropic|knowledge cutoff|i was trained)\b",
    re.IGNORECASE,
)
_ASSISTANT: Final = re.compile(
    r"\b(how (?:can|may) i (?:help|assist)|is there anything else|let me know if|feel free to|happy to help"
    r"|hope (?:this|that) helps|here to help"
    r"|what can i do for you)\b",
    re.IGNORECASE,
)
_PREAMBLE: Final = re.compile(
    r"^\s*(?:(?:sure|certainly|of course|absolutely|okay|here(?:'s| is) [^:\n]{0,60})[!,:.]+\s*)+(?=\S)", re.IGNORECASE
)
_SPEAKER: Final = re.compile(r"^\s*(?:dada ?cat|cat|assistant|reply)\s*:\s*", re.IGNORECASE)
_LINK: Final = re.compile(r"\[([^\[\]]+)\]\([^()]*\)")
_FENCE: Final = re.compile(r"```\w*\n?|`")
_HEADING: Final = re.compile(r"^\s{0,3}(?:#{1,6}\s+|>\s+|[-*+\u2022]\s+|\d{1,2}[.)]\s+|[-*_]{3,}\s*$)", re.MULTILINE)
_EMPHASIS: Final = re.compile(r"(\*\*|__|\*|~~)(?=\S)(.{1,500}?)(?<=\S)\1", re.DOTALL)
_SENTENCES: Final = re.compile(r"[^.!?\n]+(?:[.!?]+|\n|$)")
_EMOJI: Final = regex.compile(
    r"(?:\p{Extended_Pictographic}|\p{Regional_Indicator}|\u20e3|\ufe0f|\u200d|[\U0001f3fb-\U0001f3ff])+"
)
#: Invisible characters that are kept: the line break, and the joiner inside an emoji.
_KEPT: Final = "\n\u200d"


def for_a_phone(words: str, *, max_segments: int, emoji: bool = False) -> str:
    """Return `words` as the cat may send them; empty if nothing fit to send is left."""
    if len(words) > MOST_CHARACTERS or persona.leaks(words) or _REFUSALS.search(words):
        return ""
    plain = _unmarked(visible(words))
    plain = _SPEAKER.sub("", _PREAMBLE.sub("", plain))
    if _ASSISTANT.search(plain):
        sentences = [match.group() for match in _SENTENCES.finditer(plain)]
        plain = "".join(sentence for sentence in sentences if not _ASSISTANT.search(sentence))
    if not emoji:
        plain = _EMOJI.sub("", plain)
    plain = _unquoted(re.sub(r"[ \t]+", " ", re.sub(r"\n\s*\n+", "\n", plain)).strip())
    return segments.trim(segments.fold(plain), max_segments).strip()


def visible(text: str) -> str:
    """Return `text` without invisible characters: control, tag, bidirectional, lone surrogates.

    Use it for what a model or a log sees. The journal stores the text as it came.
    """
    composed = unicodedata.normalize("NFC", text.replace("\r\n", "\n"))
    return "".join(
        character
        for character in composed
        if character in _KEPT or unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Co", "Cn")
    )


def _unmarked(text: str) -> str:
    return _EMPHASIS.sub(r"\2", _HEADING.sub("", _FENCE.sub("", _LINK.sub(r"\1", text))))


def _unquoted(text: str) -> str:
    for opening, closing in ('""', "\u201c\u201d", "''"):
        if (
            len(text) > 2  # noqa: PLR2004 - two quotes and something between them
            and text[0] == opening
            and text[-1] == closing
            and opening not in text[1:-1]
        ):
            return text[1:-1].strip()
    return text
