"""Tell the language of a text by script, frequent words, the texts before and the country.

The poet and the lines for a person in danger are both told by it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import regex

from cat.poet import chat, speech, words

#: Weights of the text and of the earlier texts, newest first.
_WEIGHTS: Final = (1.0, 0.4, 0.3, 0.2, 0.1)
#: How much the country of the telephone counts: a little less than one very common word.
_PRIOR: Final = 1.6
#: By how much a language that is only greeted in must lead.
_MARGIN: Final = 0.8
#: How much English counts without any other evidence.
_DEFAULT: Final = 0.3
#: The place by frequency of a word that the list of a language does not hold.
_UNKNOWN: Final = 90_000
#: Added to each place, so that the very first words of a list do not outweigh a whole sentence.
_SMOOTH: Final = 60
#: Languages by country code. Countries of several languages are left out.
COUNTRIES: Final = {
    "de": ("+49", "+43", "+423"),
    "fr": ("+33", "+377", "+221", "+225"),
    "es": ("+34", "+52", "+54", "+57", "+56", "+51", "+58", "+53", "+591", "+593", "+595", "+598", "+502", "+503",
           "+504", "+505", "+506", "+507"),
    "it": ("+39",),
    "pt": ("+351", "+55", "+244"),
    "nl": ("+31",),
    "pl": ("+48",),
    "tr": ("+90",),
    "ja": ("+81",),
}  # fmt: skip
#: Languages by the script that tells them, and what a script of no other row gives. Kana come before Han.
_SCRIPTS: Final[Mapping[str, str]] = {
    "ja": r"[\p{Hiragana}\p{Katakana}]",
    "zh": r"\p{Han}",
    "ar": r"\p{Arabic}",
    "hi": r"\p{Devanagari}",
    "ru": r"\p{Cyrillic}",
    "foreign": r"\p{L}",
}
_LATIN: Final = regex.compile(r"\p{Latin}")
_LETTER: Final = regex.compile(r"\p{L}")
_ELISION: Final = re.compile(r"^(?:[cdjlmnst]|qu|jusqu|lorsqu|puisqu)'(?=\w)")


def language_of(text: str, before: Iterable[str] = (), *, person: str = "") -> str:
    """Return the language of a text, such as `en`; `foreign` for a script of none that is known.

    `before` holds the person's earlier texts, newest first; `person` is the address, for its country.
    """
    texts = (text, *before)[: len(_WEIGHTS)]
    return _chosen(texts, [_evidence(each) for each in texts], person)


def languages_of(texts: Sequence[str], *, person: str = "") -> list[str]:
    """Return the language of each text of a person, oldest first, as it was when it came."""
    evidence = [_evidence(text) for text in texts]
    heard = ((texts[place::-1], evidence[place::-1]) for place in range(len(texts)))
    return [_chosen(before, shown, person) for before, shown in heard]


def _chosen(texts: Sequence[str], evidence: Sequence[Mapping[str, float]], person: str) -> str:
    """Return the language of the first of these texts, newest first, by what each shows."""
    home = language_at(person)
    script = script_of(next(filter(_LETTER.search, texts), ""))
    if script:
        # a text of Chinese characters alone is Japanese from Japan
        return "ja" if (script, home) == ("zh", "ja") else script
    scores = dict.fromkeys((*words.FULL, *words.SMALL), 0.0)
    scores["en"] += _DEFAULT
    if home in scores:
        scores[home] += _PRIOR
    for weight, shown in zip(_WEIGHTS, evidence, strict=False):
        for language, amount in shown.items():
            scores[language] += weight * amount
    best = max(scores, key=lambda language: scores[language])
    spoken = max(words.FULL, key=lambda language: scores[language])
    # the lists of the small languages are short, so a few chance words may match them
    return spoken if scores[best] - scores[spoken] < _MARGIN else best


def language_at(person: str) -> str:
    """Return the language of a telephone's country; empty if it has several or is not known."""
    number = person.partition("/")[0].rpartition(":")[2]
    return next((language for language, codes in COUNTRIES.items() if number.startswith(codes)), "")


def script_of(text: str) -> str:
    """Return the language that a script tells, or `foreign`; empty for Latin or no letters."""
    letters = len(_LETTER.findall(text))
    if 2 * len(_LATIN.findall(text)) >= letters:
        return ""
    return next(language for language, script in _SCRIPTS.items() if regex.search(script, text))


def tokens(text: str) -> list[str]:
    """Return the words of a text; French elisions are split off, so that `j'ai` gives `j'ai` and `ai`."""
    found = []
    for word in speech.words_of(text):
        found.append(word)
        rest = _ELISION.sub("", word)
        if rest != word:
            found.append(rest)
    return found


def _evidence(text: str) -> dict[str, float]:
    """Return how much a text shows each language; nothing if it is in another script."""
    if script_of(text):
        return {}
    scores = dict.fromkeys((*words.FULL, *words.SMALL), 0.0)
    telling = [word for word in tokens(text) if word not in chat.words_of("anywhere") and word not in words.names()]
    for word in telling:
        for language in scores:
            scores[language] += _likelihood(word, language)
    # per word, up to the length of a short sentence: a long text need not outweigh everything before it
    return {language: score / max(1, len(telling) / 6) for language, score in scores.items()}


def _likelihood(word: str, language: str) -> float:
    place = words.word_list(language).places.get(word, _UNKNOWN)
    familiar = 1.5 * (word in chat.words_of(language))
    elided = 4.0 * (language == "fr" and bool(_ELISION.match(word)))
    return familiar + elided - math.log(_SMOOTH + place) / 2
