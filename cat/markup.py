"""Remove Markdown, HTML, hashtags and addresses from a model's words.

Nothing goes that only resembles them: a product such as 5*6*7, a poem with dashes, a drawing, and what the
cat does between asterisks stay.
"""

from __future__ import annotations

import html
import re
from typing import Final

_LINK: Final = re.compile(r"!?\[([^\[\]\n]*)\]\([^()\n]*\)")
_ADDRESS: Final = re.compile(
    r"<?\b(?:https?://|www\.)[^\s<>]+[^\s<>.,!?;:)]>?|\b[\w-]+\.(?:com|org|net|io|app|ai)/\S*", re.IGNORECASE
)
_FENCE: Final = re.compile(r"```\w*\n?|`")
_HEADING: Final = re.compile(
    r"^\s{0,3}(?:#{1,6}\s+|>\s+(?=.*[^\W\d_])|[*\u2022]\s+(?=\S)|(?:[-*_]\s?){3,}\s*$)", re.MULTILINE
)
_LIST_MARK: Final = re.compile(r"^\s{0,3}(?:[-+]\s+|\d{1,2}[.)]\s+)", re.MULTILINE)
_BOLD: Final = re.compile(r"(?<![\w*])(\*{2,3}|_{2}|~~)(?=\S)([^\n]{1,500}?)(?<=\S)\1(?![\w*])")
#: One pair of asterisks or underscores. At the beginning of a line or a sentence asterisks hold what the cat does.
_EMPHASIS: Final = re.compile(r"(?<![\w*\\/])([*_])(?=[^\s*_])([^*_\n]+?)(?<=\S)\1(?![\w*\\/])")
_TAG: Final = re.compile(
    r"</?(?:b|i|u|s|em|strong|small|big|span|div|p|a|code|pre|h[1-6]|ul|ol|li|center|font|mark|sub|sup|blockquote)"
    r"(?:\s[^<>]*)?>",
    re.IGNORECASE,
)
_BREAK: Final = re.compile(r"<br\s*/?>", re.IGNORECASE)
_ENTITY: Final = re.compile(r"&(?:amp|lt|gt|quot|apos|nbsp|#39|#x27);")
_HASHTAGS: Final = re.compile(r"(?<=\S)(?:\s+#[^\W\d_]\w*)+\s*$")
_HASH: Final = re.compile(r"(?<![\w#])#(?=[^\W\d_])")


def plain(text: str) -> str:
    """Return `text` without Markdown, HTML, hashtags and addresses."""
    bare = _TAG.sub("", _BREAK.sub("\n", _FENCE.sub("", _ADDRESS.sub("", _LINK.sub(r"\1", text)))))
    bare = _BOLD.sub(r"\2", _HEADING.sub("", bare))
    if bare != text:
        # a poem or a list of the cat's has dashes and numbers, too; beside other markup they are markup
        bare = _LIST_MARK.sub("", bare)
    bare = _EMPHASIS.sub(_emphasised, bare)
    bare = _HASH.sub("", _HASHTAGS.sub("", bare))
    return _ENTITY.sub(lambda match: html.unescape(match.group()), bare)


def _emphasised(match: re.Match[str]) -> str:
    before = match.string[: match.start()].rstrip(" ")
    is_deed = match[1] == "*" and (not before or before[-1] in ".!?\u2026\n")
    return match.group() if is_deed else match[2]
