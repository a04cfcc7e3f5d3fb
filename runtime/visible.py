r"""Show what people said, with characters that hide or command written out, such as `\u001b`.

Bodies, names, addresses and file names are stored as they came. Whatever shows them to a reader shows them like this.
The form is JSON's, so a JSON document keeps its meaning.
"""

from __future__ import annotations

from typing import Final

import regex

#: Control, format (bidirectional, invisible, tags), lone surrogates, line and paragraph separators. The line break is
#: the caller's to place; the two joiners belong to emoji and to Persian.
_HIDDEN: Final = regex.compile(r"(?![\n\u200c\u200d])[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]")


def visible(text: str) -> str:
    """Return `text` with its hidden characters written out; line breaks stay."""
    return str(_HIDDEN.sub(_written_out, text))


def indented(text: str, margin: str = "    ") -> str:
    """Return `visible(text)` with its further lines indented: none looks like a line of ours."""
    return visible(text).replace("\n", f"\n{margin}")


def _written_out(match: regex.Match[str]) -> str:
    units = match.group().encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
