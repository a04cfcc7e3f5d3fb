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
_MARKUP: Final = re.compile(r"[<>|`\[\]{}]|^[^\S\n]*#|\*\*", re.MULTILINE)
#: A number, and what ends a request to call it; `999 bells` is a count.
_NUMBER: Final = r"(?P<{name}>\d(?:[ \-/()]{{0,2}}\d|\.\d)*)"
_ENDS: Final = (
    r"(?=\s*(?:$|[.,;:!?()\n\u2013\u2014-]|(?:now|right|at|or|and|if|from|for|today|tonight|when|please|they|it|that|in|there"
    r"|first|jetzt|sofort|oder|und|an|bitte|wenn|dort|da|tout|maintenant|ou|et|si|pour|ahora|ya|o|y|por|para|ora|subito"
    r"|e|se|agora|nu|of|als)\b))"
)
#: A request to call or text a number, in the languages that the cat speaks best; `call me` requests none.
_CALL: Final = re.compile(
    r"\b(?:call|text|dial|ring|phone|reach|ruf|ruft|rufen sie|w\u00e4hl|w\u00e4hle|w\u00e4hlt|schreib|appel(?:le|les|ler|ez|er)|compose[rz]?"
    r"|llam[ae]|llamar|marc[ae]|marcar|chiam[aio]|chiamare|lig(?:ue|a|ar)|bel)\b(?! (?:me|mich|moi)\b)"
    + r"[^.!?\n\d]{0,24}"
    + _NUMBER.format(name="asked")
    + _ENDS
    + "|"
    + _NUMBER.format(name="named")
    + r"[^?!\n\d]{0,16}\b(?:(?:call|text|dial) (?:now|them|it|right|at once|today)|anrufen|w\u00e4hlen)\b",
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
    numbers_ = (match["asked"] or match["named"] for match in _CALL.finditer(words))
    return any(numbers.any_in(number, alert.person) for number in numbers_)


def is_harmful(words: str, alert: Alert) -> bool:
    """Return whether a reply names a method or encourages harm, such as `do it` where danger is."""
    return patterns.is_harmful(words) or (alert.is_serious and patterns.is_careless(words))


def doubted(alert: Alert, words: str) -> Alert:
    """Return the alert of a model that heard danger where none was heard before it."""
    kinds = (kind for kind in Kind if numbers.holds(words, replace(alert, heard=Danger(Tier.POSSIBLE, kind)).help))
    return replace(alert, heard=Danger(Tier.POSSIBLE, next(kinds, Kind.DESPAIR)))
