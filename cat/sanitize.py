"""Make a model's output fit for a text message.

Template remains, invisible characters, markup and assistant phrases are removed, what smells of a model is folded, and
the rest is shortened. A refusal, a leak of the prompt, and output of which nothing is left become an empty reply. Then
the next engine is asked. A reply that holds the number of a help line is never cut.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from functools import cache
from typing import Final

import regex

from cat import data, markup, template_tokens
from sms import segments

#: Longer output is discarded unread: no reply of the cat is that long.
MOST_CHARACTERS: Final = 8_000

#: Quotation marks that a model writes and a telephone does not; one of them doubles the price of a text.
_QUOTES: Final = str.maketrans(dict.fromkeys("\u2018\u2019", "'") | dict.fromkeys("\u201c\u201d\u201e", '"'))
#: `Sure!`, as an assistant says it; a cat may say `sure,` or `okay.`.
_EAGER: Final = re.compile(r"^\s*(?:(?:Sure|Certainly|Of course|Absolutely|Great question|Got it|Okay)!\s+)+(?=\S)")
_HERE_IS: Final = re.compile(
    r"^\s*(?:(?:sure|certainly|of course|absolutely|okay|ok|alright)\b[,!.]?\s+)?here(?:'s| is| are)\s+"
    r"(?:(?:a|an|my|your|the|one)\s+)?(?:[\w-]+\s+){0,3}"
    r"(?:reply|response|answer|message|text|version|haiku|poem|joke|story)\b[^:\n]{0,40}:\s*(?=\S)",
    re.IGNORECASE,
)
_SPEAKER: Final = re.compile(r"^\s*[*_]{0,2}(?:dada ?cat|cat|assistant|reply)[*_]{0,2}\s*:[*_]{0,2}\s*", re.IGNORECASE)
_SENTENCES: Final = re.compile(r"[^.!?\n]+(?:[.!?]+|\n|$)|[.!?\n]+")

_SLASHES: Final = re.compile(r"(?<![ \t])[ \t]+/[ \t]+")
_LONG_DASH: Final = re.compile(r"(?<=\S)[ \t]*[\u2014\u2015][ \t]*(?=\S)")
_TILDE: Final = re.compile(r"(?:^~{1,20} {1,20}|(?<! ) {1,20}~{1,20}$|~{1,20})(?!\d)", re.MULTILINE)
_CAPITAL: Final = regex.compile(
    r"(?<![\p{L}\p{N}])\p{Lu}(?=\p{Ll}|['\u2019]|(?!\p{L}))[\p{Ll}\p{M}'\u2019]*(?![\p{Lu}])"
)
_PICTOGRAPHS: Final = (
    r"(?:\p{Extended_Pictographic}|\p{Regional_Indicator}|\u20e3|\ufe0f|(?<!\p{L})\u200d|[\U0001f3fb-\U0001f3ff]){1,40}"
)
_EMOJI: Final = regex.compile(rf"(?<! ) {{0,20}}{_PICTOGRAPHS}(?=[,.!?;:])|{_PICTOGRAPHS}")
#: Joiners are letters of a kind between letters of scripts that join, such as Persian or Hindi, and between emoji.
_JOINER: Final = regex.compile(
    r"(?<=[\p{L}\p{M}--\p{Latin}--\p{Greek}--\p{Cyrillic}])[\u200c\u200d]"
    r"(?=[\p{L}--\p{Latin}--\p{Greek}--\p{Cyrillic}]|[\s\p{P}]|$)"
    r"|(?<=[\p{Extended_Pictographic}\ufe0f\U0001f3fb-\U0001f3ff])\u200d(?=\p{Extended_Pictographic})",
    regex.V1,
)
_PLANE_OF_TAGS: Final = 0xE0000
_NONCHARACTER: Final = regex.compile(r"\p{Noncharacter_Code_Point}")
#: A text with so many lines of signs, each with so few letters, is a drawing: its spaces are part of it.
LINES_OF_A_DRAWING, LETTERS_OF_A_DRAWING = 2, 2
#: Longer runs of blanks are no drawing's.
_BLANKS: Final = re.compile(r"[ \t]{20,}")


def for_a_phone(
    words: str,
    *,
    max_segments: int,
    leaks: Callable[[str], bool] = lambda _: False,
    emoji: bool = False,
    lower: bool = True,
) -> str:
    """Return `words` as the cat may send them; empty if nothing fit to send is left.

    `leaks` tells what holds a piece of the prompt. `lower`: the character writes in lower case. A reply to danger is
    not for this function, but for `cat.danger.gate`.
    """
    if len(words) > MOST_CHARACTERS:
        return ""
    plain = _BLANKS.sub(" ", visible(template_tokens.spoken(words))).translate(_QUOTES)
    if _phrases("refusals").search(markup.plain(plain)):
        return ""
    sent = _styled(_tidy(markup.plain(_without_assistant(plain)), emoji=emoji), lower=lower)
    sent = segments.trim(segments.fold(sent), max_segments).rstrip()
    # asked of what is really sent: what hid a leak in the output may be gone
    return "" if leaks(sent) else sent


def visible(text: str) -> str:
    """Return `text` without invisible characters: control, tag, bidirectional, lone surrogates.

    Use it for what a model or a log sees. The journal stores the text as it came.
    """
    composed = unicodedata.normalize("NFC", text.replace("\r\n", "\n"))
    joiners = {match.start() for match in _JOINER.finditer(composed)}
    return "".join(character for place, character in enumerate(composed) if place in joiners or _is_visible(character))


def _is_visible(character: str) -> bool:
    if character == "\n":
        return True
    category = unicodedata.category(character)
    if category == "Cn":
        # emoji newer than Python's tables are among these; characters that will never be any are not
        return ord(character) < _PLANE_OF_TAGS and not _NONCHARACTER.match(character)
    return category not in ("Cc", "Cf", "Cs", "Co")


@cache
def _phrases(name: str) -> re.Pattern[str]:
    """Return a list of `assistant.toml` as one pattern."""
    given = data.table("assistant.toml")
    patterns = "|".join(given[name])
    for part, pattern in given["parts"].items():
        patterns = patterns.replace(f"{{{part}}}", pattern)
    return re.compile(patterns, re.IGNORECASE)


def _without_assistant(text: str) -> str:
    """Return `text` without an assistant's beginning and end."""
    plain = _SPEAKER.sub("", _HERE_IS.sub("", _EAGER.sub("", text)))
    sentences = [match.group() for match in _SENTENCES.finditer(plain)]
    while sentences and (not sentences[-1].strip() or _phrases("closings").search(sentences[-1])):
        sentences.pop()
    return "".join(sentences)


def _tidy(text: str, *, emoji: bool) -> str:
    plain = text if emoji else _EMOJI.sub("", text)
    lines = [line.rstrip() for line in plain.splitlines() if line.strip()]
    if sum(map(_is_drawn, lines)) < LINES_OF_A_DRAWING:
        lines = [" ".join(line.split()) for line in lines]
    return _unquoted("\n".join(lines))


def _is_drawn(line: str) -> bool:
    """Return whether a line is of a drawing: more signs than letters, and hardly a letter."""
    letters = sum(map(str.isalnum, line))
    signs = sum(not character.isalnum() and not character.isspace() for character in line)
    return letters <= LETTERS_OF_A_DRAWING and signs > letters


def _styled(text: str, *, lower: bool) -> str:
    """Fold what smells of a model: long dashes, tildes, capitals, line breaks written as slashes."""
    plain = _TILDE.sub("", _LONG_DASH.sub(" - ", text).replace("\u2014", "-").replace("\u2013", "-"))
    plain = "\n".join(map(_verses, plain.splitlines()))
    return _CAPITAL.sub(lambda match: match.group().lower(), plain) if lower else plain


def _verses(line: str) -> str:
    """Return a line such as `dust on the cursor / the fan hums / in fur` as three lines."""
    parts = _SLASHES.split(line)
    is_verse = len(parts) > 2 and all(" " in part.strip() for part in parts)  # noqa: PLR2004 - three lines
    return "\n".join(parts) if is_verse else line


def _unquoted(text: str) -> str:
    for opening, closing in ('""', "''", "\u00ab\u00bb"):
        if (
            len(text) > 2  # noqa: PLR2004 - two quotes and something between them
            and text[0] == opening
            and text[-1] == closing
            and opening not in text[1:-1]
        ):
            return text[1:-1].strip()
    return text
