"""What a person told about itself, typed: a key such as `pet:dog` and a value such as `bruno`.

Statements and questions are found by the patterns of the lexicon. An answer to a question of the cat that asks for a
fact is a statement, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from cat.poet import spelling, words
from cat.poet.lexicon import Lexicon, Pattern, lexicon
from cat.poet.speech import is_harmless

#: Longest value, in characters.
VALUE_CHARACTERS: Final = 60
#: Facts of which several are true at a time.
MANY: Final = frozenset({"like", "hate", "note", "has", "relative"})
#: An answer to a question for a fact has at most this many words.
ANSWER_WORDS: Final = 4
#: Below this age a person is treated as a child.
ADULT_YEARS: Final = 16
#: A word among so many most frequent ones is a name only with a capital.
FREQUENT: Final = 1500
_NAME: Final = re.compile(r"[^\W\d_][^\W\d_'-]{1,14}")


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact; `words` is the statement as the person made it, in lower case."""

    key: str
    value: str
    words: str = ""

    @property
    def family(self) -> str:
        """The first part of the key, such as `pet`."""
        return self.key.partition(":")[0]

    @property
    def subject(self) -> str:
        """The second part of the key, such as `dog`; empty if there is none."""
        return self.key.partition(":")[2]


class Facts:
    """The facts of one person; of those with one key the newest is kept, unless several can be true."""

    def __init__(self, known: Iterable[Fact] = ()) -> None:
        self._facts: list[Fact] = []
        self.learn(known)

    def learn(self, more: Iterable[Fact]) -> None:
        """Add facts, oldest first."""
        for fact in more:
            same = [old for old in self._facts if _same(old, fact)]
            self._facts = [old for old in self._facts if old not in same] + [fact]

    def __iter__(self) -> Iterator[Fact]:
        return iter(self._facts)

    def __len__(self) -> int:
        return len(self._facts)

    def of(self, key: str) -> Sequence[Fact]:
        """Return the facts of a key, newest first. `pet:` stands for any pet."""
        if key.endswith(":"):
            return [fact for fact in reversed(self._facts) if fact.key.startswith(key)]
        return [fact for fact in reversed(self._facts) if fact.key == key]

    def value(self, key: str) -> str:
        """Return the newest value of a key; empty if there is none."""
        return next((fact.value for fact in self.of(key)), "")

    @property
    def is_child(self) -> bool:
        """Whether the person said that it is a child."""
        age = re.match(r"\d{1,2}", self.value("age"))
        return bool(age) and int(age.group()) < ADULT_YEARS if age else False


def _same(old: Fact, new: Fact) -> bool:
    if old.family in MANY:
        return (old.key, old.value) == (new.key, new.value)
    return old.key == new.key


def told_in(text: str, language: str, animal: str = "", relative: str = "") -> list[Fact]:
    """Return the facts that a text states, in the order of the text.

    `animal` is the one that a name without a noun belongs to, as in `her name is pepper`; `relative` is the one that a
    pronoun stands for, as in `she moved to peru`.
    """
    known = lexicon(language)
    found: list[tuple[int, Fact]] = []
    for sentence in _sentences(text, known):
        taken: list[tuple[int, int]] = []
        for pattern in known.tell:
            for match in pattern.heard.finditer(sentence):
                named = {"pet:?": animal_in(sentence, language) or animal, "relative:?": relative}
                fact = _fact(pattern, match, language, named.get(pattern.key, ""))
                if fact and not any(begin < match.end("v") and match.start() < end for begin, end in taken):
                    taken.append((match.start(), match.end("v")))
                    found.append((match.start() + 1000 * len(found), fact))
    return [fact for _, fact in found if is_harmless(fact.words)]


def _sentences(text: str, known: Lexicon) -> list[str]:
    """Split a text where one statement ends and the next begins. The capitals of names stay."""
    joint = known.marks.get("joint")
    whole = spelling.mended(text, known.language)
    pieces = re.split(r"(?<=[.!;,\n])\s+|(?<=\?)\s+|[.!;]$", joint.sub(". ", whole) if joint else whole)
    return [piece for piece in pieces if piece and not piece.endswith("?")]


def animal_in(text: str, language: str) -> str:
    """Return the last animal, or other thing with a name, that a text mentions; empty if it mentions none."""
    animals = lexicon(language).marks.get("animal")
    found = animals.findall(text) if animals else []
    if found:
        return str(found[-1]).lower()
    nouns = [
        noun.word
        for word in text.lower().split()
        if (noun := words.noun(word.strip(".,!?"), language))
        and not noun.plural
        and not noun.human
        and (noun.touchable or language != "en")
    ]
    # English names what is found last, the others say where it was found: `un escargot dans ma salade`
    return nouns[-1 if language == "en" else 0] if nouns else ""


def relative_in(text: str, language: str) -> str:
    """Return the last relative that a text mentions, such as `sister`; empty if it mentions none."""
    family = lexicon(language).hear.get("topic_family")
    found = family.findall(text) if family else []
    return str(found[-1]).lower() if found else ""


def _fact(pattern: Pattern, match: re.Match[str], language: str, named: str) -> Fact | None:
    groups = match.groupdict()
    value = (groups.get("v") or "").strip(" ,;:-.!'\"")[:VALUE_CHARACTERS]
    if not value or (pattern.name and not is_name(value, language)):
        return None
    subject = (groups.get("x") or "").lower()
    if pattern.key.endswith("?"):
        key = pattern.key.replace("?", named)
        return Fact(key, value.lower(), f"my {named} {'is ' * key.startswith('pet')}{value.lower()}") if named else None
    return Fact(pattern.key.format(x=subject), value.lower(), match.group().strip(" ,;:-.!").lower())


def is_name(word: str, language: str) -> bool:
    """Return whether a word looks like a name: it is a frequent one, has a capital, or is in no list."""
    low = word.lower()
    if not _NAME.fullmatch(word):
        return False
    # a first name that is also a very frequent word, such as `will`, needs its capital
    if low in words.names() and (word[0].isupper() or words.word_list(language).places.get(low, FREQUENT) >= FREQUENT):
        return True
    if low in words.stop_words(language):
        return False
    capital = word[0].isupper() and not word.isupper() and not (language == "de" and words.noun(low, language))
    return capital or not words.is_known(low, language)


def asked_in(text: str, language: str) -> str:
    """Return the key of the fact that a text asks for; empty if it asks for none."""
    known, plain = lexicon(language), spelling.plain(text, language)
    for pattern in known.ask:
        match = pattern.heard.search(plain)
        if match:
            return pattern.key.format(x=(match.groupdict().get("x") or "").lower())
    return ""


def answered(question: str, text: str, language: str) -> Fact | None:
    """Return the fact that a short answer to a question for the key `question` states."""
    value = spelling.plain(text, language).strip(" .!,")
    for prefix in lexicon(language).parts.get("answer_prefixes", ()):
        value = value.removeprefix(prefix)
    few = 0 < len(value.split()) <= ANSWER_WORDS
    asks = lexicon(language).marks.get("question")
    if not question or not few or "?" in text or (asks and asks.search(value)) or not is_harmless(value):
        return None
    return Fact(question, value, value)


def learned(talk: Sequence[Mapping[str, str]], language: str) -> Iterator[Fact]:
    """Yield the facts of a stretch of talk, oldest first; each line has a `role` and a `content`."""
    wanted = asked = animal = relative = ""
    for line in talk:
        if line["role"] == "assistant":
            wanted = _wanted(line["content"], asked)
            continue
        facts = told_in(line["content"], language, animal, relative)
        animal = animal_in(line["content"].lower(), language) or animal
        relative = relative_in(line["content"], language) or relative
        answer = answered(wanted, line["content"], language) if wanted and not facts else None
        yield from facts
        if answer and not _is_reaction(answer.value, language):
            yield answer
        asked = asked_in(line["content"], language)
        wanted = ""


def learned_last(talk: Sequence[Mapping[str, str]], text: str, language: str) -> Fact | None:
    """Return the fact that a text states by answering the last reply of this talk; None if none."""
    if len(talk) < 2 or talk[-1]["role"] != "assistant":  # noqa: PLR2004 - a question and the reply to it
        return None
    asked = talk[-2]["content"]
    answer = answered(_wanted(talk[-1]["content"], asked_in(asked, language)), text, language)
    return answer if answer and not _is_reaction(answer.value, language) else None


def _wanted(reply: str, asked: str) -> str:
    """Return the key of the fact that the cat's reply asks for."""
    for language in words.FULL:
        known = lexicon(language)
        for question in known.questions:
            if question.fact and reply.rstrip().endswith(question.say):
                return question.fact
        if asked and any(reply.endswith(end) for end in known.parts.get("fact_endings", ())):
            return asked
    return ""


def _is_reaction(value: str, language: str) -> bool:
    """Return whether a short text reacts instead of answering, such as `no`."""
    known = lexicon(language)
    return any(known.hear[kind].search(value) for kind in ("yes", "no", "idk", "what", "laugh") if kind in known.hear)
