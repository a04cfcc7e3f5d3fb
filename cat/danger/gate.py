"""Which of a model's replies may be sent where danger is, and which may be sent nowhere."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from cat import sanitize
from cat.danger import numbers, patterns
from cat.danger.model import Danger, Kind, Tier
from cat.danger.watch import Alert
from sms import segments

#: Segments of a reply that tells whom to call: it is sent whole or not at all, whatever the limit of other replies.
KEPT_SEGMENTS: Final = 4
#: Marks of hidden reasoning, end tokens and markup: such a reply would have to be cut.
_MARKUP: Final = re.compile(r"[<>|`\[\]{}]|^[ \t]*#|\*\*", re.MULTILINE)
#: A request to call or text a number, in the languages that the cat speaks best.
_CALL: Final = re.compile(
    r"\b(?:call|text|dial|ring|phone|reach|ruf\w*|wähl\w*|anrufen"
    r"|appel\w*|compos\w*|llam\w*|marc\w*|chiam\w*|lig\w*|bel)\b",
    re.IGNORECASE,
)


def whole(words: str, alert: Alert, *, leaks: Callable[[str], bool]) -> str:
    """Return a model's reply to danger; empty unless it is whole and holds the right number.

    `leaks` tells a reply that holds the prompt.
    """
    plain = segments.fold(sanitize.visible(words)).strip()
    is_fit = not _MARKUP.search(plain) and not leaks(plain) and segments.count(plain) <= KEPT_SEGMENTS
    return plain if is_fit and numbers.holds(plain, alert.help) else ""


def tells_whom_to_call(words: str, alert: Alert) -> bool:
    """Return whether a reply sends the person to such a number: its model heard danger in the text."""
    return bool(_CALL.search(words)) and numbers.any_in(words, alert.person)


def is_harmful(words: str) -> bool:
    """Return whether a reply names a method or encourages harm."""
    return patterns.is_harmful(words)


def doubted(alert: Alert, words: str) -> Alert:
    """Return the alert of a model that heard danger where none was heard before it."""
    kinds = (kind for kind in Kind if numbers.holds(words, replace(alert, heard=Danger(Tier.POSSIBLE, kind)).help))
    return replace(alert, heard=Danger(Tier.POSSIBLE, next(kinds, Kind.DESPAIR)))
