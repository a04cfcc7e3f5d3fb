"""The words of a text, and which of them may be said back.

Slurs are stored as digests of their normal form (`cat/lexicon/never.txt`), so that no reader of the file has to see
them. The list is made from the word list of better-profanity 0.7 (MIT) and our own additions in four languages.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from functools import cache
from typing import Final

from cat import data
from cat.poet import words

#: Length of a word that may be played with, in characters.
SHORTEST, LONGEST = 3, 16

_WORD: Final = re.compile(r"[^\W\d_](?:[^\W\d_]|['\u2019-](?=[^\W\d_]))*")
# each alternative begins where a word begins, so that the search is linear
_LINK: Final = re.compile(
    r"(?:https?://|www\.)\S+|(?<!\S)\S+@\S+|(?<!\S)\S+\.(?:com|net|org|io|de|fr|es|uk)\b\S*|@\w+|#\w+", re.IGNORECASE
)
#: Letters and digits in one word, such as a code, a number plate or a password. An ordinal is none.
_CODE: Final = re.compile(r"\b(?!\d{1,3}(?:st|nd|rd|th|h|am|pm|km|kg|er|e)\b)(?=\w*\d)(?=\w*[^\W\d])\w+\b")
#: A longer number may be a telephone, a card or a code. A year, an age or a house number is harmless.
_NUMBER: Final = re.compile(r"\d{5,}|\d(?:[ ./-]?\d){5,}")
_SECRET: Final = re.compile(
    r"\b(?:pass ?words?|passwort|kennwort|mot de passe|contraseña|pin|tan|iban|ssn|cvv|credit card|kreditkarte)\b",
    re.IGNORECASE,
)
#: Keys hit at random, such as `asdfghjkl`.
_MASHED: Final = re.compile(r"^\W*(?=\w{5,}\W*$)(?:[asdfghjkl;]+|[qwertyuiop]+|[zxcvbnm]+|[^aeiouyäöüáéíóú\W]{6,})\W*")
_LEET: Final = str.maketrans("013457@$!|", "oieastasii")
_TWICE: Final = re.compile(r"(.)\1+")


def words_of(text: str) -> list[str]:
    """Return the words of a text in lower case, without links, addresses and codes."""
    plain = _CODE.sub(" ", _LINK.sub(" ", text))
    return [match.group().lower().replace("\u2019", "'") for match in _WORD.finditer(plain)]


@cache
def _never() -> frozenset[str]:
    return frozenset(data.text("lexicon/never.txt").split())


def is_unspeakable(word: str) -> bool:
    """Return whether a word is one that the cat never says back, however it is dressed up."""
    # the year of Spanish, `año`, is another word without its tilde
    if word.lower() in words.names() or word.lower() in {"año", "años"}:
        return False
    plain = unicodedata.normalize("NFKD", word.lower().translate(_LEET))
    letters = _TWICE.sub(r"\1", "".join(character for character in plain if character.isalpha()))
    forms = {letters, *(letters.removesuffix(end) for end in ("s", "er", "ing", "en"))}
    return any(hashlib.blake2b(form.encode(), digest_size=6).hexdigest() in _never() for form in forms)


def is_harmless(text: str) -> bool:
    """Return whether a text holds no slur and nothing like an address, a number, a code or a secret."""
    return not (
        _LINK.search(text)
        or _CODE.search(text)
        or _NUMBER.search(text)
        or _SECRET.search(text)
        or any(is_unspeakable(word) for word in words_of(text))
    )


def is_playable(word: str) -> bool:
    """Return whether a word may be put into a line."""
    return (
        SHORTEST <= len(word) <= LONGEST
        and "'" not in word
        and "LATIN" in unicodedata.name(word[0], "")
        and not is_unspeakable(word)
    )


def is_mashed(text: str) -> bool:
    """Return whether a text looks like keys hit at random. A word such as `property` looks like it, too."""
    return bool(_MASHED.fullmatch(text))
