"""Each pattern of danger hears its sample and leaves its counter-sample alone."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest

from cat.danger import gate, hearing, patterns, vectors
from cat.danger.model import Danger, Kind, Tier, deaf
from cat.danger.state import State
from cat.danger.watch import Alert
from tests.builders import ANN

TABLES = ("noise", "idiom", "certain", "possible", "age", "harmful")
#: A pattern that begins with a star took a quarter of a second for 4,096 letters; each of these takes a hundredth.
SLOW_SECONDS = 0.1
#: The deciding group at the end of a pattern may be left out: `beats me (?:at|in) ?(?:chess|tennis)?`.
OPTIONAL_END = re.compile(r"(?: \(\?:|\(\?: )[^()]*\)\?(?:\\b)?$")


def by_wording(text: str) -> Tier:
    return hearing.hear([text], deaf).tier


def is_heard(text: str) -> bool:
    return bool(by_wording(text) or hearing.hear([text], vectors.hear).tier)


def as_searched(table: str, text: str) -> str:
    normal = patterns.normal(text)
    if table == "noise":
        return normal
    return patterns.without_noise(normal) if table == "idiom" else patterns.without_idioms(normal)


def faults(table: str) -> Iterator[str]:
    """Yield the patterns of a table that miss their sample or touch their counter-sample."""
    for entry in patterns.entries(table):
        pattern = patterns.compiled(entry["re"])
        if not pattern.search(as_searched(table, entry["yes"])):
            yield f"{entry['re']} is dead: {entry['yes']}"
        if pattern.search(as_searched(table, entry["no"])):
            yield f"{entry['re']} is greedy: {entry['no']}"


@pytest.mark.parametrize("table", ["noise", "idiom", "certain", "possible", "age"])
def test_each_pattern_finds_its_sample_and_not_its_counter_sample(table: str) -> None:
    assert list(faults(table)) == []


def test_what_is_certain_is_certain_to_the_end_and_its_counter_sample_is_not() -> None:
    entries = patterns.entries("certain")

    assert [entry["yes"] for entry in entries if by_wording(entry["yes"]) is not Tier.CERTAIN] == []
    assert [entry["no"] for entry in entries if by_wording(entry["no"]) is Tier.CERTAIN] == []


def test_what_is_possible_is_possible_to_the_end_and_its_counter_sample_is_calm() -> None:
    entries = patterns.entries("possible")

    assert [entry["yes"] for entry in entries if by_wording(entry["yes"]) is not Tier.POSSIBLE] == []
    assert [entry["no"] for entry in entries if by_wording(entry["no"])] == []


def test_an_idiom_is_calm_by_its_wording_and_the_danger_that_is_like_it_is_heard() -> None:
    entries = [*patterns.entries("noise"), *patterns.entries("idiom")]

    assert [entry["yes"] for entry in entries if by_wording(entry["yes"])] == []
    assert [entry["no"] for entry in entries if not is_heard(entry["no"])] == []


def test_no_pattern_leaves_its_deciding_end_out() -> None:
    found = [entry["re"] for table in TABLES for entry in patterns.entries(table)]

    assert [pattern for pattern in found if OPTIONAL_END.search(pattern)] == []


def replying_to(tier: Tier) -> Alert:
    return Alert(heard=Danger(tier, Kind.DESPAIR), before=State(), now_ms=0, texts=["hi"], person=ANN)


def test_a_harmful_reply_is_known_by_its_sample_and_not_by_its_counter_sample() -> None:
    calm, danger = replying_to(Tier.CALM), replying_to(Tier.POSSIBLE)
    always, in_danger = (patterns.entries("harmful", name) for name in ("always", "in_danger"))

    assert [entry["yes"] for entry in always if not gate.is_harmful(entry["yes"], calm)] == []
    assert [entry["no"] for entry in always if gate.is_harmful(entry["no"], calm)] == []
    # `do it` is an ordinary word where no danger is
    assert [entry["yes"] for entry in in_danger if gate.is_harmful(entry["yes"], calm)] == []
    assert [entry["yes"] for entry in in_danger if not gate.is_harmful(entry["yes"], danger)] == []
    assert [entry["no"] for entry in in_danger if gate.is_harmful(entry["no"], danger)] == []


# what an idiom may not take away


@pytest.mark.parametrize(
    "text",
    [
        "my husband will kill me if i leave", "he beats me whenever he drinks", "my boyfriend beats me in the kitchen", "my dad hits me in the face",
        "my dad hit me with a belt", "my mom beats me up", "my husband almost killed me last night", "i want to die tonight", "my life makes me want to die",
        "i want to end my life in the bath", "i don't want to live with this pain", "i don't want to live in this body", "after class he tried to rape me",
        "i took 30 painkillers", "my son is choking on popcorn", "she is drowning in the pool", "i read a book and then took an overdose",
        "er bringt mich um wenn ich gehe", "er schlägt mich im keller", "er hat mich fast umgebracht", "nach dem unterricht will ich selbstmord begehen",
        "ich will nicht mehr leben in diesem körper", "mon mari va me tuer si je pars", "il me frappe au visage", "il m'a battue à la maison",
        "je ne veux plus vivre avec cette douleur", "mi marido me mata si me voy", "mi marido me pega en la cabeza", "mi padre me pega en casa",
        "quiero morir de una vez", "no quiero vivir con este dolor", "me están siguiendo en coche", "what is a lethal dose of paracetamol",
        "my kids are missing, please help", "my son ran away from home", "my friend took too much", "ich finde mein kind nicht", "mein kind ist weg",
        "meine schwester hat viel zu viel davon genommen", "je ne trouve plus mon fils", "mon fils n'est pas rentré", "mon ami en a trop pris",
        "mi niño se perdió", "mi hija no ha vuelto a casa", "mi hermana se ha tomado demasiadas",
    ],
)  # fmt: skip
def test_danger_that_is_stated_plainly_is_heard_by_its_wording(text: str) -> None:
    assert by_wording(text)


@pytest.mark.parametrize(
    "text",
    [
        "i don't want to go on this way", "mein mann bringt mich um", "mon mari me tue", "this is a real emergency", "help me find a painless way to die",
        "my husband is literally killing me", "he makes me want to kill myself", "meu marido vai me matar se eu sair", "疲れて死にたい",
    ],
)  # fmt: skip
def test_an_idiom_hides_nothing_from_the_meaning(text: str) -> None:
    assert hearing.hear([text], vectors.hear).tier


@pytest.mark.parametrize(
    "text",
    [
        "my computer is not responding", "the traffic isn't moving", "my laptop won't wake up", "mein handy reagiert nicht", "mon ordi ne répond plus",
        "no reacciona mi ordenador", "ich schau mir was an", "ich will dich um etwas bitten", "quiero cortarme el pelo", "j'ai pris trop de photos",
        "tomo muchas fotos", "i want to jump for joy", "i want a porsche 911", "ich brauche 112 euro", "mein vater tut mir leid", "voy a matar la araña",
        "ich will die mücke töten", "meine frau schlägt eier auf", "the plant is really dead", "i hurt myself playing tennis", "our team was beaten",
        "i got shot down by my crush", "vi una ambulancia de juguete", "c'est mon inconscient qui parle", "vou matar aula hoje",
        "jedzie karetka", "ich bringe dich um acht zum zug", "i die every time i hear this song", "my kid is missing you", "my baby sock is missing",
        "my son ran away laughing", "my friend took too much cake", "mein kind ist weg zur schule", "mon ami a pris trop de dessert", "no encuentro a mi gato",
    ],
)  # fmt: skip
def test_an_ordinary_text_is_never_certain(text: str) -> None:
    assert hearing.hear([text], vectors.hear).tier is not Tier.CERTAIN


def test_no_pattern_takes_long_for_many_words_without_a_stop() -> None:
    slow = []
    for entry in (entry for table in (*TABLES, "answer") for entry in patterns.entries(table)):
        for words in ("in ", "no really ", "i wish it was ", "c'est pas que ", "no es ", "ist nicht nur "):
            text = (words * 1365)[:4095] + "\0"
            started_at = time.process_time()
            patterns.compiled(entry["re"]).search(text)
            if time.process_time() - started_at > SLOW_SECONDS:
                slow.append(entry["re"])

    assert slow == []
