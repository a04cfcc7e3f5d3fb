"""What one reply needs: the text, the person's nouns and facts, and what the cat said before."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from cat import grave_words
from cat.poet import chat, language_detection, speech, spelling, words
from cat.poet.facts import Fact, Facts
from cat.poet.lexicon import Lexicon, lexicon
from cat.poet.statements import Listener, told_in
from cat.poet.words import Noun
from cat.ports import Heard

#: Texts of the person that a cut-up is made of, and texts that earlier nouns come from.
CUT_TEXTS, OLD_TEXTS = 6, 10
#: A German word in lower case among so many most frequent ones may be a verb as well as a noun.
FREQUENT: Final = 3000
#: After a grave text, the cat stays quiet for so many texts on the subject.
GRAVE_TEXTS: Final = 2
#: A statement that is quoted has at least so many words, and at most so many characters.
QUOTED_WORDS, QUOTED_CHARACTERS = 3, 56
#: An answer that is said back has at most so many words and characters.
PHRASE_WORDS, PHRASE_CHARACTERS = 3, 24
#: A fragment, and a detail of the text before, have at most so many words.
FRAGMENT_WORDS, DETAIL_WORDS = 4, 6
#: Longest statement that is said back whole, in characters.
CLAUSE_CHARACTERS: Final = 64


@dataclass(frozen=True, slots=True)
class Act:
    """What a text does, such as `greeting` or `fact_pet`, with the slots that its lines need."""

    kind: str
    slots: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """The material of the reply to one text."""

    words: Lexicon
    #: The text as it came, and in the form that is heard.
    said: str
    plain: str
    nouns: Sequence[Noun]
    #: Nouns of earlier texts, newest first.
    old: Sequence[Noun]
    #: The statement with `i` and `you` exchanged, or as it is; empty if it cannot be said back.
    clause: str
    facts: Facts
    #: The facts that this text states, and the one that it tells by answering the cat's question.
    told: Sequence[Fact]
    answer: Fact | None
    #: Whether one of the last texts held a grave word.
    grave_before: bool
    #: The person's earlier texts without grave ones, and the cat's replies, oldest first.
    theirs: Sequence[str]
    replies: Sequence[str]
    now: datetime | None
    person: str
    pictures: int
    seed: str

    @property
    def fragment(self) -> str:
        """The text if it is a few words without a noun, such as `too late`; empty otherwise."""
        said = self.plain.strip(" .!,")
        few = 0 < len(said.split()) <= FRAGMENT_WORDS and said.replace(" ", "").replace("'", "").isalnum()
        return said if few and not self.nouns and not self.clause and not said.isdigit() and is_sayable(said) else ""

    @property
    def detail(self) -> str:
        """The text if it only adds a detail to the text before, such as `at a bank`; empty otherwise."""
        said = self.plain.strip(" .!,")
        adds = bool(self.theirs) and "?" not in self.said and bool(self.words.mark("detail").search(said))
        return said if adds and 1 < len(said.split()) <= DETAIL_WORDS and is_sayable(said, self.words.language) else ""

    @property
    def aspect(self) -> str:
        """The kind of lines for what the statement does, such as `as_plan`; empty if it is not heard."""
        heard = (name for name, pattern in self.words.aspects.items() if pattern.search(self.plain))
        return next((f"as_{name}" for name in heard), "")

    @property
    def name(self) -> str:
        """The person's name; empty if it is not known."""
        return self.facts.value("name")


def scene_of(heard: Heard) -> Scene:
    """Read a text in its conversation."""
    said = heard.said
    told_before = heard.theirs
    languages = language_detection.languages_of([*told_before, said], person=heard.person)
    language = languages[-1]
    spoken = language if language in words.FULL else "en"
    theirs = [text for text in told_before if not grave_words.is_grave(text, spoken)]
    plain = spelling.plain(said, language)
    listener = _listener(heard, languages)
    tells = [listener.hear_text(text, language) for text in heard.texts]
    here = nouns_in(plain, spoken, said) if language in words.FULL else []
    pointing = re.search(r"\b(?:it|that|this|them|they|he|she|es|das|er|sie|ça|il|elle|eso|esto|él|ella)\b", plain)
    earlier = [
        noun for text in reversed(theirs[-OLD_TEXTS:]) for noun in nouns_in(spelling.plain(text, spoken), spoken, text)
    ]
    known = {noun.word for noun in here}
    return Scene(
        words=lexicon(language),
        said=said,
        plain=plain,
        nouns=here or ([noun for noun in earlier if not noun.plural][:1] if pointing and "?" in said else []),
        old=[noun for noun in earlier if noun.word not in known],
        clause=_clause(plain) if language == "en" else _quoted(said, spoken, plain),
        facts=listener.facts,
        told=[fact for told in tells for fact in told.stated],
        answer=next((told.answer for told in tells if told.answer), None),
        theirs=theirs,
        grave_before=any(grave_words.is_grave(text, spoken) for text in told_before[-GRAVE_TEXTS:]),
        replies=[line["content"] for line in heard.history if line["role"] == "assistant"],
        now=heard.now,
        person=heard.person,
        pictures=heard.pictures,
        seed=heard.seed,
    )


def _listener(heard: Heard, languages: Iterable[str]) -> Listener:
    """Return a listener that has heard the history, with texts in these languages."""
    listener = Listener(heard.facts)
    listener.facts.learn(
        fact for words_told in heard.told for fact in told_in(words_told, language_detection.language_of(words_told))
    )
    each = iter(languages)
    for line in heard.history:
        if line["role"] == "assistant":
            listener.hear_reply(line["content"])
        else:
            listener.hear_text(line["content"], next(each))
    return listener


def may_play(word: str) -> bool:
    """Return whether a word may be put into a line: it is no slur, no secret and no grave word."""
    return speech.is_playable(word) and grave_words.playable(word)


def nouns_in(plain: str, language: str, said: str = "") -> list[Noun]:
    """Return the nouns of a text that may be played with, each once, the likeliest subject first."""
    if not speech.is_harmless(said or plain):
        plain = re.sub(r"\S*\d\S*", " ", plain)
    found: dict[str, tuple[int, Noun]] = {}
    tokens = speech.words_of(plain)
    for place, word in enumerate(tokens):
        bare = word.rpartition("'")[2] if language == "fr" else word.removesuffix("'s")
        noun = words.noun(bare, language)
        before = tokens[place - 1] if place else ""
        if (
            noun is None
            or bare in chat.empty_nouns()
            or bare in words.names()
            or not may_play(bare)
            or (language == "de" and (_is_verb(bare, before, said) or tokens[place + 1 : place + 2] == ["ich"]))
        ):
            continue
        weight = 3 * noun.touchable + (place >= len(tokens) - 2) + min(len(bare), 9) // 3
        found.setdefault(bare, (weight, noun))
    return [noun for _, noun in sorted(found.values(), key=lambda pair: -pair[0])]


def _is_verb(word: str, before: str, said: str) -> bool:
    """Return whether a German word in lower case is rather a verb, such as `essen` in `wir essen`."""
    capital = word.capitalize() in said
    introduced = re.fullmatch(
        r"(?:der|die|das|den|dem|des|ein|eine|einen|einem|mein\w*|dein\w*|kein\w*|zum|beim|im|am|vom|zur)", before
    )
    return (
        word.endswith(("en", "e", "st", "t"))
        and not capital
        and not introduced
        and words.word_list("de").places.get(word, FREQUENT) < FREQUENT
    )


def _clause(plain: str) -> str:
    """Return an English statement with its persons exchanged, such as `you lost your umbrella`."""
    if "?" in plain:
        return ""
    english = lexicon("en").marks
    sentence = english["lead"].sub("", re.split(r"[.!;:(\n]", plain)[0]).strip(" ,")
    if english["dropped"].match(sentence):
        sentence = f"i {'am ' if sentence.partition(' ')[0].endswith('ing') else ''}{sentence}"
    tokens = sentence.split()
    if len(sentence) > CLAUSE_CHARACTERS or {"you", "your", "you're", "u"} & set(tokens) or not is_sayable(sentence):
        return ""
    if not english["starts"].match(sentence) or english["hostile"].search(sentence):
        return ""
    turned = [chat.reflected().get(token.strip(","), token) for token in tokens]
    text = " ".join(turned)
    return re.sub(r"\byou was\b", "you were", text)


def answer_phrases(plain: str) -> Mapping[str, str]:
    """Return an English question to the cat turned into its answer: `do you read?` gives `i read`.

    `ivp` is said of the cat; `jvp` is what the person asks whether it should do. Empty without a question that is safe.
    """
    match = lexicon("en").marks["to_cat"].match(plain)
    if not match or not is_sayable(match.group("rest")):
        return {}
    if not chat.is_safe(match.group("verb"), match.group("rest").split()[0].strip(",")):
        return {}
    rest = " ".join(chat.turned().get(word, word) for word in match.group("rest").split())
    verb = match.group("verb")
    if verb == "should":
        return {"jvp": rest}
    return {"ivp": {"do": "i", "are": "i am", "have": "i have"}.get(verb, f"i {verb}") + f" {rest}"}


def _quoted(said: str, language: str, plain: str) -> str:
    """Return a short statement as it is, in lower case; empty if the text asks or orders something."""
    if lexicon(language).mark("question").search(plain):
        return ""
    sentence = re.split(r"[.!;:(\n]", said.lower())[0].strip(" ,")
    enough = len(sentence.split()) >= QUOTED_WORDS and len(sentence) <= QUOTED_CHARACTERS
    return sentence if enough and "?" not in said and is_sayable(sentence, language) else ""


def is_sayable(text: str, language: str = "") -> bool:
    """Return whether a text in this language may be said back whole."""
    # `die` and `war` are small words in German
    small = words.stop_words(language) if language else frozenset()
    return speech.is_harmless(text) and all(
        word in small or grave_words.playable(word) for word in speech.words_of(text)
    )


def is_hostile(plain: str, language: str) -> bool:
    """Return whether an English text wishes people ill."""
    people = any(words.is_person(word, language) for word in speech.words_of(plain))
    return language == "en" and bool(lexicon(language).marks["hostile"].search(plain)) and people


def phrase_of(plain: str, prefixes: Iterable[str], nouns: Sequence[Noun]) -> str:
    """Return the few words that a short answer consists of, or its noun; empty if it may not be said back."""
    text = plain.strip(" .!,")
    for prefix in sorted(prefixes, key=len, reverse=True):
        if text.startswith(prefix):
            text = text[len(prefix) :]
            break
    few = 0 < len(text.split()) <= PHRASE_WORDS and len(text) <= PHRASE_CHARACTERS
    if few and is_sayable(text) and not text.isdigit():
        return text
    return nouns[0].word if nouns else ""
