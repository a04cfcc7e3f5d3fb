"""The keywords STOP, START and HELP, which carriers require, and RESET, which is ours.

The words are data: `sms/keywords.toml`. A keyword is a whole text, in any case. Punctuation, spaces and hyphens do not
count: `Opt-Out` and `STOP ALL!` are keywords, and `stop it, silly` is none.

On its own words Twilio blocks the person and answers by itself, and still calls the webhook. DadaCat must then stay
silent and store the opt-out.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Iterable, Mapping
from enum import StrEnum
from importlib.resources import files
from typing import Any, Final

from sms.messages import InboundSms


class Keyword(StrEnum):
    """A request that a whole text can be."""

    STOP = "stop"
    START = "start"
    HELP = "help"
    RESET = "reset"


def normal(text: str) -> str:
    """Return the form in which a text is compared with a keyword, such as `optout` of `Opt-Out.`."""
    words = _LETTERS.findall(unicodedata.normalize("NFKC", text).casefold())
    # a word that is said again means the same: STOP STOP
    return words[0] if len(set(words)) == 1 else "".join(words)


def _words(languages: Mapping[str, Mapping[str, Any]]) -> dict[str, Keyword]:  # Any: TOML's own types
    return {
        normal(word): keyword for table in languages.values() for keyword in Keyword for word in table.get(keyword, ())
    }


_LETTERS: Final = re.compile(r"[^\W_]+")
#: A cry for help is none for information. Each part can match in one way only, so that a long text takes no longer.
_EXCLAIMED_HELP: Final = re.compile(r"^\W*(?:help|hilfe|aide|ayuda|ajuda|aiuto)[^\w!]*!\W*$", re.IGNORECASE)
_LANGUAGES: Final = tomllib.loads(files("sms").joinpath("keywords.toml").read_text())
#: All words of all languages, in their normal form.
WORDS: Final[Mapping[str, Keyword]] = _words(_LANGUAGES)
#: The words on which Twilio acts by itself.
TWILIOS: Final[Mapping[str, Keyword]] = _words({"en": _LANGUAGES["en"]})
#: Words that mean START from a person who sent STOP, and are ordinary text from any other person.
CONSENT: Final = frozenset(_LANGUAGES["en"]["consent"])


def opted_out_after(texts: Iterable[InboundSms], *, opted_out: bool) -> bool:
    """Return whether a person is opted out after these texts, in order."""
    for text in texts:
        keyword = read(text.body, text.opt_out_type, opted_out=opted_out)
        if keyword in (Keyword.STOP, Keyword.START):
            opted_out = keyword is Keyword.STOP
    return opted_out


def read(body: str, opt_out_type: str | None = None, *, opted_out: bool = False) -> Keyword | None:
    """Return the keyword that a whole text is, or None. Twilio's own verdict takes precedence.

    `opt_out_type` is that verdict, such as `STOP`. `opted_out` means that the person sent STOP before: then YES is a
    START, as it is for Twilio.
    """
    if opt_out_type is not None:
        try:
            return Keyword(opt_out_type.lower())
        except ValueError:
            pass
    word = "" if _EXCLAIMED_HELP.search(body) else normal(body)
    return Keyword.START if opted_out and word in CONSENT else WORDS.get(word)


def at_twilio(body: str, *, opted_out: bool = False) -> Keyword | None:
    """Return the keyword on which Twilio acts by itself, or None.

    It acts on a single word only, and nothing tells that it overlooks punctuation, as `read` does:
    https://help.twilio.com/articles/223134027 (read 2026-11).
    """
    word = body.strip().casefold()
    return Keyword.START if opted_out and word in CONSENT else TWILIOS.get(word)
