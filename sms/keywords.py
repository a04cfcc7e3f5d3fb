"""STOP, START and HELP: law and manners, not taste. RESET is ours. The words are data: `sms/keywords.toml`.

They are matched as the whole text, trimmed, in any case. Twilio blocks and answers by itself on its own words and still calls the webhook; what
we owe is silence and a memory of it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from importlib.resources import files
from typing import Any, Final

from sms.messages import InboundSms


class Keyword(StrEnum):
    """What a whole text can ask for, apart from conversation."""

    STOP = "stop"
    START = "start"
    HELP = "help"
    RESET = "reset"


def _words(languages: Mapping[str, Mapping[str, Any]]) -> dict[str, Keyword]:  # Any: TOML's own types
    return {word: keyword for table in languages.values() for keyword in Keyword for word in table.get(keyword, ())}


_LANGUAGES: Final = tomllib.loads(files("sms").joinpath("keywords.toml").read_text())
#: Every word that we know, in lower case.
WORDS: Final[Mapping[str, Keyword]] = _words(_LANGUAGES)
#: Those that Twilio acts upon by itself.
TWILIOS: Final[Mapping[str, Keyword]] = _words({"en": _LANGUAGES["en"]})
#: Opens the way again after STOP, and is an ordinary word to everybody else.
CONSENT: Final = frozenset(_LANGUAGES["en"]["consent"])


def opted_out_after(
    texts: Iterable[InboundSms], *, opted_out: bool, counts: Callable[[InboundSms], bool] = lambda _: True
) -> bool:
    """Whether somebody is opted out once all of these texts are heeded, in order; a STOP or START that does not count is passed over."""
    for text in texts:
        keyword = read(text.body, text.opt_out_type, opted_out=opted_out)
        if keyword in (Keyword.STOP, Keyword.START) and counts(text):
            opted_out = keyword is Keyword.STOP
    return opted_out


def read(
    body: str, opt_out_type: str | None = None, *, opted_out: bool = False, words: Mapping[str, Keyword] = WORDS
) -> Keyword | None:
    """The keyword that a whole text is, or None; Twilio's own verdict goes before ours.

    `opted_out`: the person sent STOP before; then YES is a START, as it is to Twilio.
    """
    if opt_out_type is not None:
        try:
            return Keyword(opt_out_type.lower())
        except ValueError:
            pass
    word = body.strip().casefold()
    return Keyword.START if opted_out and word in CONSENT else words.get(word)
