"""Remove from a model's words what belongs to the template of its prompt.

That is hidden reasoning, end tokens and what follows them, and the beginning of the other speaker's next turn.
"""

from __future__ import annotations

import re
from typing import Final

#: Names of the tags that models put around reasoning.
_REASON: Final = r"(?:\w+:)?(?:think(?:ing)?|thoughts?|reasoning|reflection|analysis|scratchpad|inner_monologue)"
_OPEN: Final = (
    rf"<{_REASON}>|\[think\]|\u25c1think\u25b7|<\|(?:start|begin)_?(?:of_)?think(?:ing)?\|>|<\|begin_of_thought\|>"
    r"|<unused94>"
)
_CLOSE: Final = (
    rf"</{_REASON}>|\[/think\]|\u25c1/think\u25b7|<\|end_?(?:of_)?think(?:ing)?\|>|<\|end_of_thought\|>|<unused95>"
)
_REASONING: Final = re.compile(rf"(?:{_OPEN})(?:(?!{_OPEN}).)*?(?:{_CLOSE})", re.IGNORECASE | re.DOTALL)
_OPENING: Final = re.compile(_OPEN, re.IGNORECASE)
_CLOSING: Final = re.compile(_CLOSE, re.IGNORECASE)
#: The channels of gpt-oss: `analysis` is reasoning, `final` the answer.
_FINAL: Final = re.compile(r"<\|channel\|>final(?:\s[^<]*)?<\|message\|>", re.IGNORECASE)
_CHANNEL: Final = re.compile(r"<\|channel\|>", re.IGNORECASE)
#: Tags around the answer itself.
_WRAPPER: Final = re.compile(
    r"</?(?:answer|final(?:_answer)?|response|output|reply)>"
    r"|<\|(?:begin|end)_of_solution\|>|<\|(?:start|end)_response\|>",
    re.IGNORECASE,
)
#: A token of a template at the beginning of an answer, with the name of the role.
_BEGINNING: Final = re.compile(
    r"\s{0,20}(?:<[|\uff5c](?:start_header_id|im_start|start|begin_of_text|assistant|message)[|\uff5c]>"
    r"|<start_of_turn>|<s>|\[/INST\]|<[|\uff5c](?:end_header_id|message|im_sep)[|\uff5c]>|<\uff5c[^<>\n]{1,30}\uff5c>"
    r"|(?<=[>])(?:assistant|model)\b\s{0,20})+",
    re.IGNORECASE,
)
#: The end of an answer in the templates of Llama, Qwen, Gemma, Phi, Mistral, DeepSeek, Command and others.
_END: Final = re.compile(
    r"<[|\uff5c][^<>|\uff5c\n]{1,40}[|\uff5c]>|</?s>|<(?:end|start)_of_turn>|<turn\|>|<\|turn>|\[/?INST\]|<</?SYS>>"
    r"|<(?:EOT|EOS|eos|pad|bos|unused\d+)>|\[(?:EOS|end of text)\]"
    r"|(?:^|\n)[ \t]{0,20}#{2,3} ?(?:instruction|human|user|person|assistant|response|input)\b",
    re.IGNORECASE,
)
#: Another speaker goes on.
_OTHER: Final = re.compile(
    r"\n[ \t]{0,20}[*_]{0,2}(?:person|user|human|assistant|customer)[*_]{0,2}\s*:", re.IGNORECASE
)
_RESTATED: Final = re.compile(
    r"\A\s*(?:person|user|human)\s*:[^\n]*\n\s*(?:(?:dada ?)?cat|assistant|model)\s*:\s*", re.IGNORECASE
)
_ONLY_OTHER: Final = re.compile(r"\A\s*(?:person|user|human)\s*:", re.IGNORECASE)
#: How reasoning begins that no tag marks.
_ALOUD: Final = re.compile(
    r"\A\W*(?:(?:okay|ok|alright|hmm+|so|well|first|now|let me (?:think|see)|let's (?:think|see))\b[,.:; ]*){0,3}"
    r"(?:the (?:user|person|human|text)\b|user (?:says|asks|wants)|(?:we|i) (?:need|have|should|must)\b"
    r"|my (?:task|role)\b|(?:analyze|thinking process)\b)",
    re.IGNORECASE,
)
_NUMBER: Final = re.compile(r"\d{3}|\d[\d ./-]{4,}\d")
_SENTENCE_END: Final = re.compile(r"[.!?\u2026\u3002\uff01\uff1f][\"')\u201d\u2019]*(?=\s|$)|[\u3002\uff01\uff1f]|\n")


def spoken(text: str, *, cut: bool = False) -> str:
    """Return what is meant for the person; empty if it is only reasoning. `cut`: the token limit ended it."""
    words = _without_reasoning(text, cut=cut)
    if begin := _BEGINNING.match(words):
        words = words[begin.end() :]
    words = _END.split(_WRAPPER.sub("", words), maxsplit=1)[0]
    words = _OTHER.split(_RESTATED.sub("", words), maxsplit=1)[0]
    if _ONLY_OTHER.match(words):
        return ""
    # the first line of a drawing may be indented
    return words.rstrip().lstrip("\r\n") if "\n" in words.strip() else words.strip()


def _without_reasoning(text: str, *, cut: bool) -> str:
    """Return what follows or surrounds the reasoning; reasoning that was cut off leaves nothing."""
    if final := list(_FINAL.finditer(text)):
        return text[final[-1].end() :]
    before_channel, *channels = _CHANNEL.split(text)
    if channels:
        return before_channel
    known = None
    while known != text:
        known, text = text, _REASONING.sub("", text)
    # without its opening tag, which some templates put into the prompt, reasoning is all before the closing one
    text = _CLOSING.split(text)[-1]
    text = _OPENING.split(text, maxsplit=1)[0]
    return "" if cut and _ALOUD.match(text) else text


def whole_sentences(words: str) -> str:
    """Return a cut answer up to its last sentence, if it has one. A tail with a telephone number stays."""
    ends = [match.end() for match in _SENTENCE_END.finditer(words)]
    if not ends or _NUMBER.search(words, ends[-1]):
        return words
    return words[: ends[-1]].strip()
