"""Fill the slots of a line. They are typed: a line lacking a value of the right type is not drawn."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from cat.poet.lexicon import Lexicon
from cat.poet.scene import Act, Scene, answer_phrases
from cat.poet.words import Noun

SLOT: Final = re.compile(r"\{(\w+)\}")
#: A statement on something else than the person.
IT: Final = re.compile(r"(?:it|there|he|she|they|the|an?|this|some|everyone|everybody|nobody)\b")
#: Things drawn at random, of which the one closest in sound to the noun is used.
THINGS_HEARD: Final = 4
#: Spanish nouns that are feminine and take `el`.
_STRESSED: Final = frozenset(
    ["agua", "águila", "alma", "arma", "ala", "aula", "hada", "hambre", "área", "ancla", "ave"]
)
#: Beginnings of French nouns before which no vowel is dropped.
_ASPIRATED: Final = (
    "homard", "hibou", "hérisson", "haricot", "hasard", "hamac", "hamster", "hanche", "hangar", "haut", "hockey",
    "housse", "héros", "hache", "haie", "halte", "harpe", "hublot", "huit", "hutte", "handball", "hamburger",
)  # fmt: skip
_VOWELS: Final = "aeiouhàâéèêëîïôûyáíóú"


@dataclass(slots=True)
class Filling:
    """The values of the slots for one draft, and what was used of what must not repeat."""

    scene: Scene
    values: dict[str, str]
    #: Values that are the person's own: its nouns, statement, facts, name.
    own: frozenset[str]
    used: list[str] = field(default_factory=list)

    def can_fill(self, line: str) -> bool:
        """Return whether each slot of a line has a value of its type."""
        return all(self.values.get(name) for name in SLOT.findall(line))

    def fill(self, line: str) -> str:
        """Return the line with its slots filled."""
        self.used += SLOT.findall(line)
        return SLOT.sub(lambda slot: self.values[slot.group(1)], line)


@dataclass(frozen=True, slots=True)
class Stock:
    """What of the cat's own the recent replies do not hold."""

    things: Sequence[str]
    deeds: Sequence[str]
    sounds: Sequence[str]


def stock(scene: Scene) -> Stock:
    """Return the cat's things, deeds and sounds that may be used in this reply."""
    words = scene.words
    things = [thing["thing"] for thing in words.things]
    return Stock(fresh(scene, things), fresh(scene, words.deeds), fresh(scene, words.sounds))


def filling(scene: Scene, act: Act, own: Stock, dice: random.Random) -> Filling:
    """Return a draft's values; the cat's are drawn from its stock."""
    words = scene.words
    kin = [noun for noun in scene.nouns if is_person(noun, scene)]
    singular = [noun for noun in scene.nouns if not noun.plural and noun not in kin]
    plural = [noun for noun in scene.nouns if noun.plural and noun not in kin]
    noun = _pick(singular, dice)
    second = next((other for other in singular if other != noun), None)
    old = _pick([noun for noun in scene.old if not noun.plural and not is_person(noun, scene)][:6], dice)
    thing = _thing(words, own.things, noun.word if noun else "", dice)
    values: dict[str, str] = {
        **thing,
        "deed": dice.choice(own.deeds) if own.deeds else "",
        "sound": dice.choice(own.sounds) if own.sounds else "",
        "name": scene.name,
        "clause": scene.clause if words.language == "en" else "",
        "clause_you": scene.clause if words.language == "en" and scene.clause.startswith("you") else "",
        "clause_it": scene.clause if words.language == "en" and IT.match(scene.clause) else "",
        **_quotes(scene),
        "w": scene.fragment,
        **(answer_phrases(scene.plain) if words.language == "en" else {}),
        "m": second.word if second else "",
        "kin": next((noun.word for noun in kin if not noun.plural), ""),
        "old": old.word if old else "",
        **forms(words.language, noun, ""),
        **forms(words.language, old, "old"),
        **_plural_forms(words.language, _pick(plural, dice)),
        **act.slots,
    }
    if "v" in act.slots:
        values["a_v"] = english_article(act.slots["v"])
    theirs = {
        "n",
        "kin",
        "pl",
        "the_pl",
        "m",
        "clause",
        "clause_you",
        "ivp",
        "jvp",
        "clause_it",
        "w",
        "d",
        "quote",
        "quote_i",
        "quote_er",
        "name",
        "old",
        "v",
        "x",
        "left",
        "right",
        "yours",
        *forms(words.language, None, ""),
    }
    return Filling(scene, values, frozenset(theirs))


def _quotes(scene: Scene) -> dict[str, str]:
    """Return a statement that is not English, also under the slot of the person whom it is about."""
    quote = scene.clause if scene.words.language != "en" else ""
    about = {"quote_i": "first_person", "quote_er": "third_person"}
    return {"quote": quote} | {
        slot: quote if scene.words.mark(person).search(quote) else "" for slot, person in about.items()
    }


def is_person(noun: Noun, scene: Scene) -> bool:
    """Return whether a noun names a person: the cat does not bat people."""
    family = scene.words.hear.get("topic_family")
    return noun.human or bool(family and family.search(noun.word))


def _pick(nouns: Sequence[Noun], dice: random.Random) -> Noun | None:
    """Choose a noun; the first ones are likelier."""
    return dice.choices(nouns, [1 / (2 + place) for place in range(len(nouns))])[0] if nouns else None


def fresh(scene: Scene, choices: Sequence[str]) -> Sequence[str]:
    """Return the choices that the recent replies do not hold; all of them if none is left."""
    recent = "\n".join(scene.replies)
    return [choice for choice in choices if choice not in recent] or choices


def _thing(words: Lexicon, allowed: Sequence[str], noun: str, dice: random.Random) -> dict[str, str]:
    """Choose, from a few random things, the one closest in sound to the noun."""
    if not allowed:
        return {}
    name = max(dice.sample(allowed, k=min(THINGS_HEARD, len(allowed))), key=lambda given: nearness(noun, given))
    cases = next(thing for thing in words.things if thing["thing"] == name)
    bare = re.sub(r"^(?:an?|the|one|half a) ", "", name)
    return {**cases, "a_thing": name, "thing_bare": bare}


def nearness(word: str, thing: str) -> int:
    """Return how alike two words sound at their beginnings and at their ends."""
    last = thing.rsplit(maxsplit=1)[-1]
    parts = [part for part in thing.split() if len(part) > 2]  # noqa: PLR2004 - leaves the articles out
    begins = any(part[0] == word[0] for part in parts) if word else False
    return 2 * begins + sum(a == b for a, b in zip(reversed(word), reversed(last), strict=False))


def english_article(word: str) -> str:
    """Return a word with its indefinite article; the sound decides, not the letter."""
    low = word.lower()
    silent = low.startswith(("hour", "honest", "honour", "honor", "heir"))
    consonant = re.match(r"(?:uni|use|usu|eu|one\b|once|u[bcfhjkqrst][aeiou])", low)
    return f"{'an' if silent or (low[:1] in 'aeiou' and not consonant) else 'a'} {word}"


def forms(language: str, noun: Noun | None, prefix: str = "") -> dict[str, str]:
    """Return a noun with the articles of its language; the forms are empty without a noun or its gender."""
    make = {"en": _english, "de": _german, "fr": _french, "es": _spanish}.get(language)
    if make is None:
        return {}
    known = noun is not None and (language == "en" or noun.gender in {"m", "f", "n"})
    made = make(noun.word, noun.gender) if noun is not None and known else dict.fromkeys(make("x", "m"), "")
    return {(f"{prefix}_{name}" if prefix else name): value for name, value in made.items()}


def _english(word: str, gender: str) -> dict[str, str]:
    del gender
    return {"n": word, "a_n": english_article(word)}


def _german(word: str, gender: str) -> dict[str, str]:
    row = {"m": "der den dem ein einen einem", "f": "die die der eine eine einer", "n": "das das dem ein ein einem"}[
        gender
    ].split()
    names = ("der_n", "den_n", "dem_n", "ein_n", "einen_n", "einem_n")
    mine = {"m": "dein", "f": "deine", "n": "dein"}[gender]
    return {
        "n": word,
        **{name: f"{article} {word}" for name, article in zip(names, row, strict=True)},
        "dein_n": f"{mine} {word}",
    }


def _french(word: str, gender: str) -> dict[str, str]:
    vowel = word[0] in _VOWELS and not word.startswith(_ASPIRATED)
    feminine = gender == "f"
    the = f"l'{word}" if vowel else f"{'la' if feminine else 'le'} {word}"
    of_the = f"de {the}" if vowel or feminine else f"du {word}"
    to_the = f"à {the}" if vowel or feminine else f"au {word}"
    mine = "ta" if feminine and not vowel else "ton"
    return {
        "n": word, "le_n": the, "du_n": of_the, "au_n": to_the, "un_n": f"{'une' if feminine else 'un'} {word}",
        "de_n": f"d'{word}" if vowel else f"de {word}", "ton_n": f"{mine} {word}",
    }  # fmt: skip


def _spanish(word: str, gender: str) -> dict[str, str]:
    masculine = gender == "m" or word in _STRESSED
    the = "el" if masculine else "la"
    return {
        "n": word,
        "el_n": f"{the} {word}",
        "del_n": f"del {word}" if masculine else f"de la {word}",
        "al_n": f"al {word}" if masculine else f"a la {word}",
        "un_n": f"{'un' if masculine else 'una'} {word}",
        "tu_n": f"tu {word}",
    }


def _plural_forms(language: str, noun: Noun | None) -> dict[str, str]:
    if noun is None:
        return {}
    the = {"en": "the", "de": "die", "fr": "les", "es": "las" if noun.gender == "f" else "los"}[language]
    forms = {"pl": noun.word, "the_pl": f"{the} {noun.word}", "pl2": noun.word}
    return forms if language in {"en", "de", "fr"} or noun.gender else {}
