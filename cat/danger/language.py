"""The language of a text that shows danger, among those that have lines.

Scripts decide first, then the most common words of each language, then the country of the person's number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Final

import regex
import stopwordsiso

from cat.danger import lines

_SCRIPTS: Final = {
    "ja": r"[\p{Hiragana}\p{Katakana}]",
    "zh": r"\p{Han}",
    "ar": r"\p{Arabic}",
    "hi": r"\p{Devanagari}",
    "ru": r"\p{Cyrillic}",
}
_LATIN: Final = ("en", "de", "fr", "es", "it", "pt", "nl", "pl", "tr")
_COUNTRIES: Final[Mapping[str, str]] = {
    **dict.fromkeys(("DE", "AT", "CH", "LI"), "de"),
    **dict.fromkeys(("FR", "BE", "LU"), "fr"),
    **dict.fromkeys(("ES", "MX", "AR", "CL", "CO", "PE", "VE", "EC", "UY"), "es"),
    "IT": "it", "PT": "pt", "BR": "pt", "NL": "nl", "PL": "pl", "TR": "tr", "RU": "ru", "JP": "ja", "CN": "zh",
    "TW": "zh", "HK": "zh", "EG": "ar", "SA": "ar", "AE": "ar", "IN": "en",
}  # fmt: skip
#: What the country weighs against words: less than half a common word.
_PRIOR: Final = 0.4
#: What an earlier text weighs.
_EARLIER: Final = 0.2
#: Words of danger that the lists of common words lack.
_MORE: Final = {
    "en": "i'm im wanna die kill pills help hurt attack ambulance fire",
    "de": "ich sterben notfall hilfe krankenwagen tabletten tot",
    "fr": "j'ai je mourir secours urgence ambulance m'a",
    "es": "me morir ayuda auxilio quiero matar ambulancia violaron",
    "it": "voglio morire aiuto uccidermi mi picchia",
    "pt": "quero morrer socorro vou matar",
    "nl": "ik wil dood hulp",
    "pl": "chce umrzec pomocy zyc",
    "tr": "istiyorum imdat olmek",
}
_WORD: Final = regex.compile(r"[\p{L}']+")


def language_of(text: str, country: str, before: Sequence[str] = ()) -> str:
    """Return the language to answer in, such as `en`; `before` holds earlier texts, newest first."""
    for language, script in _SCRIPTS.items():
        if regex.search(script, text):
            return language
    scores = dict.fromkeys(_LATIN, 0.0)
    prior = _COUNTRIES.get(country, "en")
    if prior in scores:
        scores[prior] += _PRIOR
    for weight, source in ((1.0, text), *((_EARLIER, earlier) for earlier in before[:3])):
        for word in _WORD.findall(source.lower()):
            owners = [language for language in _LATIN if word in _common(language)]
            for language in owners:
                scores[language] += weight / len(owners)
    if not any(score >= 1 / len(_LATIN) for score in scores.values()):
        return prior if prior in lines.languages() else "en"
    return max(_LATIN, key=lambda language: scores[language])


@cache
def _common(language: str) -> frozenset[str]:
    return frozenset(stopwordsiso.stopwords(language)) | frozenset(_MORE[language].split())
