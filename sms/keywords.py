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


def read(body: str, opt_out_type: str | None = None) -> Keyword | None:
    """The keyword that a whole text is, or None; Twilio's own verdict goes before ours."""
    if opt_out_type is not None:
        try:
            return Keyword(opt_out_type.lower())
        except ValueError:
            pass
    return WORDS.get(body.strip().lower())
