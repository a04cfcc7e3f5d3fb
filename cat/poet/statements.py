"""Which facts a talk states: what texts say of their writer, and what answers a question of the cat.

The patterns `tell` and `ask` of the lexicon find statements and questions. A statement that is negated, supposed or
what another person says is none, and neither is an answer that does not suit what was asked.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from cat import grave_words
from cat.poet import names, speech, spelling, words
from cat.poet.facts import Fact, Facts
from cat.poet.kinds import kinds
from cat.poet.lexicon import LANGUAGES, Lexicon, Pattern, lexicon

#: Longest value, in characters.
VALUE_CHARACTERS: Final = 60
#: An answer to a question for a fact has at most this many words; a name, and a number, at most so many.
ANSWER_WORDS, NAME_WORDS, COUNT_WORDS = 4, 2, 2
#: The value of such a fact may be a word that says little elsewhere, such as `one`.
_ANY_WORDS: Final = frozenset({"word", "number", "age", "birthday", "kids", "event:{x}"})
#: What `no, it's sushi` may correct. After a liking, the same words may be news.
_CORRECTED: Final = frozenset({"name", "pet", "age", "birthday", "event", "favorite", "number", "word"})
_PART: Final = re.compile(r"(?<=\D[.!?])\s+")
#: Words of chats behind a statement, which are not part of it.
_FILLER: Final = re.compile(
    r"(?: (?:lol|lmao|haha\w*|hehe\w*|jaja\w*|xd|mdr|ptdr|btw|by the way|tho|though|too|eh|anyway|actually|also|y'all|"
    r"übrigens|halt|eh|auch|aussi|d'ailleurs|en fait|también|por cierto))+\W*$",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Told:
    """What one text tells: the facts that it states, or the one that answers the cat's question."""

    stated: list[Fact]
    answer: Fact | None = None


class Listener:
    """Hears a talk line by line; it knows what a pronoun stands for and what the cat asked last."""

    def __init__(self, known: Iterable[Fact] = ()) -> None:
        self.facts = Facts(known)
        self._wanted = self._asked = ""
        #: The fact that was stated just before: `no, it's sushi` corrects it.
        self._last: Fact | None = None
        #: The animal and the relative that were mentioned last, and whether the relative was later.
        self._animal = self._relative = ""
        self._is_relative = False
        #: A thing of any kind that this text or the one before mentioned, such as `snail`; whether as a new one, and
        #: whether this text did.
        self._thing = ""
        self._is_new = self._is_fresh = False

    def hear_reply(self, reply: str) -> None:
        """Hear a reply of the cat's."""
        self._wanted = wanted_by(reply, self._asked)

    def hear_text(self, text: str, language: str) -> Told:
        """Learn what a text tells; texts in a language without a lexicon tell nothing."""
        wanted, self._wanted, self._asked, self._is_fresh = self._wanted, "", "", False
        if language not in LANGUAGES:
            return Told([])
        known = lexicon(language)
        stated = [fact for part in _PART.split(text) for fact in self._learned(part, known)]
        answer = answered(wanted, text, language) if wanted and not stated else None
        self.facts.learn([answer] if answer else [])
        self._asked = asked_in(text, language)
        self._last = next(reversed(stated), answer)
        self._thing = self._thing if self._is_fresh else ""
        return Told(stated, answer)

    def _learned(self, part: str, known: Lexicon) -> list[Fact]:
        """Learn what one part of a text states, or puts in the place of what was stated before."""
        stated = self._corrected(part, known) or self._stated(part, known)
        stated = [fact for fact in stated if self.facts.takes(fact)]
        self.facts.learn(stated)
        self._last = next(reversed(stated), self._last)
        return stated

    def _corrected(self, text: str, known: Lexicon) -> list[Fact]:
        """Return the fact of the text before with the value that this text puts in its place, if it does."""
        match = known.mark("correction").search(spelling.plain(text, known.language))
        if self._last is None or match is None or self._last.family not in _CORRECTED:
            return []
        fact = answered(self._last.key, match["v"] or match["w"], known.language)
        return [] if fact is None else [fact]

    def _stated(self, text: str, known: Lexicon) -> list[Fact]:
        found: list[Fact] = []
        before = ""
        for sentence in _sentences(text, known):
            self._mention(sentence, known)
            if not sentence.endswith("?"):
                found += self._stated_by(sentence, before, known)
            before = sentence
        return [fact for fact in found if may_keep(fact.words, known.language)]

    def _stated_by(self, sentence: str, before: str, known: Lexicon) -> list[Fact]:
        """Return the facts of one sentence, in their order."""
        found: list[tuple[int, int, Fact | None]] = []
        for pattern in known.tell:
            for match in pattern.heard.finditer(sentence):
                begin, end = match.start(), match.end("v")
                denied = _is_denied(match, before, pattern.key, known)
                fact = None if denied else self._fact(pattern, match, known)
                if (fact or denied) and all(end <= other or begin >= another for other, another, _ in found):
                    found.append((begin, end, fact))
        return [fact for _, _, fact in sorted(found, key=lambda place: place[:2]) if fact]

    def _mention(self, sentence: str, known: Lexicon) -> None:
        """Note what the next pronoun may stand for."""
        rest = _before_name(sentence, known)
        animal, relative = animal_in(rest, known), relative_in(rest, known)
        thing, is_new = ("", False) if animal else _thing_in(rest, known)
        if animal or relative:
            self._is_relative = not animal
        if animal or thing:
            self._thing, self._is_new, self._is_fresh = thing, is_new, True
        self._animal, self._relative = animal or self._animal, relative or self._relative

    def _fact(self, pattern: Pattern, match: re.Match[str], known: Lexicon) -> Fact | None:
        """Return the fact that a pattern found; None if the value is none."""
        value = _value(pattern, match, known.language)
        if not value:
            return None
        if pattern.key == "pet:?":
            return self._named(value, known)
        if pattern.key == "relative:?":
            return _of(f"relative:{self._relative}", value, value, known)
        key = pattern.key.format(x=(match.groupdict().get("x") or "").lower())
        weak = pattern.weak and key == "name"
        return Fact(key, value, match.group().strip(" ,;:-.!").lower(), weak=weak)

    def _named(self, name: str, known: Lexicon) -> Fact | None:
        """Return the fact that what a pronoun stands for has this name."""
        called = known.labels.get("called", "{v}").format(v=name)
        thing = self._thing if self._is_new or not self._animal else ""
        if self._is_relative and not thing:
            return _of(f"relative:{self._relative}", called, called, known)
        return _of(f"pet:{thing or self._animal}", name, called, known)


def _of(key: str, value: str, said: str, known: Lexicon) -> Fact | None:
    """Return what is said of the subject that a pronoun stands for; None if there is none."""
    subject = key.partition(":")[2]
    return Fact(key, value, f"{known.labels.get('mine', '{x}').format(x=subject)} {said}") if subject else None


def may_keep(statement: str, language: str) -> bool:
    """Return whether a statement may be said back: it holds no slur, secret or grave word."""
    return speech.is_harmless(statement) and not grave_words.is_sad(statement, language)


def told_in(text: str, language: str) -> list[Fact]:
    """Return the facts that a text by itself states, in the order of the text."""
    return Listener().hear_text(text, language).stated


def _sentences(text: str, known: Lexicon) -> list[str]:
    """Split a text where one statement ends and the next begins. The capitals of names stay."""
    whole = known.mark("joint").sub(". ", spelling.mended(text, known.language))
    pieces = re.split(r"(?<=[!;,\n?])\s+|(?<=\D\.)\s+|[.!;]$", whole)
    return [piece for piece in pieces if piece]


def _is_denied(match: re.Match[str], before: str, key: str, known: Lexicon) -> bool:
    """Return whether a statement is negated, supposed, asked, or what another person says.

    What a person hates is told with a negation: `i don't like rain`.
    """
    head = match.string[: match.start()]
    said = f"{head} {match.group('v')}" if key == "hate" else match.string[: match.end("v")]
    introduced = head if head.strip() or not before.endswith(",") else before
    return bool(known.mark("denied").search(said) or known.mark("supposed").search(introduced))


def _value(pattern: Pattern, match: re.Match[str], language: str) -> str:
    """Return the value that a pattern found, in lower case; empty if it can be none."""
    value = _FILLER.sub("", match.group("v") or "").strip(" ,;:-.!'\"")[:VALUE_CHARACTERS]
    if pattern.name and not (names.may_be if pattern.weak else names.is_told)(value, language):
        return ""
    low = value.lower()
    if pattern.key == "work" and names.is_proper(low.rpartition(" ")[2]):
        return ""
    is_small = low in words.stop_words(language) and low not in words.names()
    says_little = is_small and not pattern.name and not (pattern.key == "name" and value[0].isupper())
    return "" if says_little and pattern.key not in _ANY_WORDS else low


def _before_name(sentence: str, known: Lexicon) -> str:
    """Return a sentence up to where it names what a pronoun stands for: a name may look like an animal."""
    named = (pattern.heard.search(sentence) for pattern in known.tell if pattern.key == "pet:?")
    match = next(filter(None, named), None)
    return sentence if match is None else sentence[: match.start()]


def animal_in(text: str, known: Lexicon) -> str:
    """Return the last animal that a text mentions; empty if it mentions none."""
    return _last(known.mark("animal"), text)


def relative_in(text: str, known: Lexicon) -> str:
    """Return the last relative that a text mentions, such as `sister`; empty if it mentions none."""
    return _last(known.mark("relative"), text)


def _last(mark: re.Pattern[str], text: str) -> str:
    found = mark.findall(text)
    return str(found[-1]).lower() if found else ""


def _thing_in(text: str, known: Lexicon) -> tuple[str, bool]:
    """Return a thing that may get a name, such as `snail`, and whether as a new one."""
    nouns = [
        noun.word
        for word in text.lower().split()
        if (noun := words.noun(word.strip(".,!?"), known.language))
        and not noun.plural
        and not noun.human
        and (noun.touchable or known.language != "en")
        and noun.word not in words.names()
    ]
    if not nouns:
        return "", False
    # English names what is found last, the others say where it was found: `un escargot dans ma salade`
    thing, new = nouns[-1 if known.language == "en" else 0], known.mark("new").pattern
    return thing, bool(re.search(rf"{new} (?:\w+ )?{re.escape(thing)}\b", text, re.IGNORECASE))


def asked_in(text: str, language: str) -> str:
    """Return the key of the fact that a text asks for; empty if it asks for none."""
    known, plain = lexicon(language), spelling.plain(text, language)
    if "asks" in known.marks and "?" not in text and not known.mark("asks").search(plain):
        return ""
    for pattern in known.ask:
        match = pattern.heard.search(plain)
        if match:
            return pattern.key.format(x=(match.groupdict().get("x") or "").lower())
    return ""


def wanted_by(reply: str, asked: str) -> str:
    """Return the key of the fact that a reply asks for; `asked` is the one that the person asked for."""
    for language in words.FULL:
        known = lexicon(language)
        for question in known.questions:
            if question.fact and reply.rstrip().endswith(question.say):
                return question.fact
        if asked and any(reply.endswith(end) for end in known.parts.get("fact_endings", ())):
            return asked
    return ""


def answered(wanted: str, text: str, language: str) -> Fact | None:
    """Return the fact that a short text states as the answer to the cat's question for the key `wanted`."""
    known, plain = lexicon(language), spelling.plain(text, language).strip(" .!,")
    value = plain
    for prefix in known.parts.get("answer_prefixes", ()):
        value = value.removeprefix(prefix)
    few = 0 < len(value.split()) <= ANSWER_WORDS and "?" not in text and may_keep(value, language)
    if not few or is_remark(plain, known) or not _suits(wanted, text.strip(" .!,"), plain, value, known):
        return None
    return Fact(wanted, value, value)


def is_remark(plain: str, known: Lexicon) -> bool:
    """Return whether a text is a remark, a request or a question, and so no answer."""
    if known.mark("question").search(plain):
        return True
    kind = next((kind for kind, pattern in known.hear.items() if pattern.search(plain)), "")
    return (
        bool(kind) and kind not in kinds().topics and kind not in kinds().happening and kind not in kinds().may_answer
    )


def _suits(wanted: str, text: str, plain: str, value: str, known: Lexicon) -> bool:
    """Return whether an answer is what was asked for: a name, a number, a day, or a few words."""
    family = wanted.partition(":")[0]
    if family in {"name", "pet"}:
        return _is_named(family, text, value, known.language)
    if family == "age":
        return bool(re.fullmatch(r"\d{1,3}\b\D*", value))
    if known.mark("personal").search(plain):
        return False
    if family in {"birthday", "event"}:
        return bool(re.search(r"\d", value) or known.mark("when").search(value))
    if family in {"number", "word", "has", "kids"}:
        return len(value.split()) <= COUNT_WORDS
    return any(word not in words.stop_words(known.language) for word in value.split())


def _is_named(family: str, text: str, value: str, language: str) -> bool:
    """Return whether an answer is a name; an animal may be called like a thing."""
    last = text.rsplit(maxsplit=1)[-1]
    few = len(value.split()) <= NAME_WORDS
    odd = family == "pet" and names.is_odd(last, language)
    return few and (names.may_be(last, language) or odd)
