"""Bake `cat/poet/words/given_names.txt`: first names that are no frequent word.

    python scripts/bake_names.py

It runs at build time only, in an environment with Faker 40.63 and stopwordsiso (both MIT); no program of DadaCat
imports Faker. The lists of names are Faker's, which names its sources in each locale's file.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Final

import stopwordsiso

WORDS: Final = Path(__file__).parent.parent / "cat" / "poet" / "words"
LOCALES: Final = (
    "en_GB", "en_IE", "en_IN", "en_KE", "en_NG", "en_NZ", "en_PK", "en_US", "de_AT", "de_CH", "de_DE", "fr_BE",
    "fr_CA", "fr_CH", "fr_DZ", "fr_FR", "es_AR", "es_CL", "es_CO", "es_ES", "es_MX", "it_IT", "pt_BR", "pt_PT",
    "nl_BE", "nl_NL", "pl_PL", "tr_TR", "da_DK", "sv_SE", "no_NO", "fi_FI", "cs_CZ", "sk_SK", "sl_SI", "hr_HR",
    "hu_HU", "ro_RO", "ga_IE", "is_IS", "et_EE", "lt_LT", "lv_LV", "az_AZ", "ha_NG", "ig_NG", "yo_NG", "sw", "tw_GH",
    "id_ID",
)  # fmt: skip
FULL: Final = ("en", "de", "fr", "es")
#: A name that is among so many most frequent words of a language, or a noun there, is left out.
FREQUENT: Final = 3000
_NAME: Final = re.compile(r"[^\W\d_]{3,14}")


def _lists_of(locale: str) -> Iterator[Iterable[str]]:
    provider = import_module(f"faker.providers.person.{locale}").Provider
    for kind in ("first_names", "first_names_male", "first_names_female"):
        names = getattr(provider, kind, ())
        yield () if isinstance(names, property) else names


def _words(language: str) -> Iterator[str]:
    """Yield the words of a language that are no names: frequent ones, nouns and small ones."""
    yield from stopwordsiso.stopwords(language)
    for place, line in enumerate((WORDS / f"{language}.txt").read_text(encoding="utf-8").splitlines()):
        word, _, tag = line.partition(" ")
        if tag or place < FREQUENT:
            yield word


def main() -> None:
    """Write the file."""
    known = {word for language in FULL for word in _words(language)}
    names = {
        name.lower()
        for locale in LOCALES
        for names in _lists_of(locale)
        for name in names
        if _NAME.fullmatch(name) and "LATIN" in unicodedata.name(name[0])
    }
    kept = sorted(name for name in names if name not in known)
    (WORDS / "given_names.txt").write_text(" ".join(kept) + "\n", encoding="utf-8")
    print(f"{len(kept)} names")


if __name__ == "__main__":
    main()
