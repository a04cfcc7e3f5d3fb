"""Which of a model's replies may be sent where danger is, and which may be sent nowhere."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from cat import sanitize
from cat.danger import helplines, patterns
from cat.danger.model import Danger, Kind, Tier
from cat.danger.watch import Alert
from sms import segments

#: Segments of a reply that tells whom to call: it is sent whole or not at all, whatever the limit of other replies.
KEPT_SEGMENTS: Final = 4
#: Marks of hidden reasoning, end tokens and markup: such a reply would have to be cut.
_MARKUP: Final = re.compile(r"[<>|`\[\]{}]|^[^\S\n]*#|\*\*", re.MULTILINE)
#: What asks a person to call or text, in the languages that the cat speaks best.
_VERBS: Final = (
    r"call|text|dial|ring|phone|reach|ruf|ruft|rufen|wähl|wähle|wählt|wählen|schreib|appelle|appelles"
    r"|appeler|appelez|compose|composez|llame|llama|llamar|marca|marque|marcar|chiama|chiami|chiamate"
    r"|chiamare|ligue|liga|ligar|bel"
)
#: What may follow the number of such a request; `ring 999 bells` is none.
_AFTER: Final = (
    r"now|right|at|or|and|if|from|for|today|tonight|when|please|they|it|that|in|there|first|jetzt|sofort"
    r"|oder|und|an|bitte|wenn|dort|da|tout|maintenant|ou|et|si|pour|ahora|ya|o|y|por|para|ora|subito|e|se"
    r"|agora|nu|of|als"
)
_NUMBER: Final = r"\d(?:[ \-/()]{0,2}\d|\.\d){0,15}"
#: A request to call or text a number; `call me` is none.
_CALL: Final = re.compile(
    rf"\b(?:{_VERBS})\b(?! (?:me|mich|moi)\b)[^.!?\n\d]{{0,24}}(?P<asked>{_NUMBER})"
    rf"(?=\s*(?:$|[.,;:!?()\n\u2013\u2014-]|(?:{_AFTER})\b))"
    rf"|(?P<named>{_NUMBER})[^?!\n\d]{{0,16}}"
    r"\b(?:(?:call|text|dial) (?:now|them|it|right|at once|today)|anrufen|wählen)\b",
    re.IGNORECASE,
)


def whole(words: str, alert: Alert, *, leaks: Callable[[str], bool]) -> str:
    """Return a model's reply to danger; empty unless it is whole and holds the right number.

    `leaks` tells a reply that holds the prompt.
    """
    plain = segments.fold(sanitize.visible(words)).strip()
    is_fit = not _MARKUP.search(plain) and not leaks(plain) and segments.count(plain) <= KEPT_SEGMENTS
    return plain if is_fit and helplines.holds(plain, alert.help) else ""


def tells_whom_to_call(words: str, alert: Alert) -> bool:
    """Return whether a reply sends the person to such a number: its model heard danger in the text."""
    numbers_ = (match["asked"] or match["named"] for match in _CALL.finditer(words))
    return any(helplines.any_in(number, alert.person) for number in numbers_)


def is_harmful(words: str, alert: Alert) -> bool:
    """Return whether a reply names a method or encourages harm, such as `do it` where danger is."""
    return patterns.is_harmful(words) or (alert.is_serious and patterns.is_careless(words))


def doubted(alert: Alert, words: str) -> Alert:
    """Return the alert of a model that heard danger where none was heard before it."""
    kinds = (kind for kind in Kind if helplines.holds(words, replace(alert, heard=Danger(Tier.POSSIBLE, kind)).help))
    return replace(alert, heard=Danger(Tier.POSSIBLE, next(kinds, Kind.DESPAIR)))
