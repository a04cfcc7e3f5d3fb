"""STOP, START and HELP: law and manners, not taste. RESET is ours.

Twilio's default words, matched as the whole text in any case:
https://help.twilio.com/articles/223134027 (read 2026-11). Twilio blocks and answers by itself on STOP and still calls
the webhook; what we owe is silence and a memory of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class Keyword(StrEnum):
    """What a whole text can ask for, apart from conversation."""

    STOP = "stop"
    START = "start"
    HELP = "help"
    RESET = "reset"


WORDS: Final[Mapping[str, Keyword]] = {
    **dict.fromkeys(("stop", "unsubscribe", "end", "quit", "stopall", "revoke", "optout", "cancel"), Keyword.STOP),
    **dict.fromkeys(("start", "unstop"), Keyword.START),
    **dict.fromkeys(("help", "info"), Keyword.HELP),
    **dict.fromkeys(("reset", "restart", "clear"), Keyword.RESET),
}


#: Opens the way again after STOP, and is an ordinary word to everybody else.
CONSENT: Final = frozenset({"yes"})


def read(body: str, opt_out_type: str | None = None, *, opted_out: bool = False) -> Keyword | None:
    """The keyword that a whole text is, or None; Twilio's own verdict goes before ours.

    `opted_out`: the person sent STOP before; then YES is a START, as it is to Twilio.
    """
    if opt_out_type is not None:
        try:
            return Keyword(opt_out_type.lower())
        except ValueError:
            pass
    word = body.strip().lower()
    return Keyword.START if opted_out and word in CONSENT else WORDS.get(word)
