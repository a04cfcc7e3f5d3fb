"""Games go on over several texts, end, and leave what is no move alone."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

import pytest

from cat.poet.games import GUESSES, NUMBERS
from cat.ports import Heard
from tests.builders import a_cat

PEOPLE: Final = {"en": "+447700900123", "de": "+4915112345678", "fr": "+33612345678", "es": "+34612345678"}
BEGINS: Final = {
    "en": "let's play a guessing game", "de": "ratespiel!", "fr": "on joue à deviner un nombre",
    "es": "juego de adivinar",
}  # fmt: skip


class Talk:
    """One person's texts to the offline cat, and what kind of text it heard last."""

    def __init__(self, person: str = "+447700900123", now: datetime | None = None) -> None:
        self.person, self.now, self.kind = person, now, ""
        self.history: list[dict[str, str]] = []

    def say(self, text: str) -> str:
        heard = Heard(
            history=self.history, texts=[text], seed=f"SM{len(self.history)}", person=self.person, now=self.now
        )
        reply = a_cat([]).by_heart(heard)
        self.kind = str(reply.facts["kind"])
        self.history += [{"role": "user", "content": text}, {"role": "assistant", "content": reply.words}]
        return reply.words


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "one moment please"), ("en", "i have to leave at 5"), ("en", "my dog is 3"), ("en", "10 or 11?"),
        ("de", "ein moment bitte"), ("de", "ich muss um 5 los"), ("fr", "un moment"), ("fr", "attends un peu"),
        ("es", "un momento"), ("es", "tengo que salir a las 5"),
    ],
)  # fmt: skip
def test_a_number_in_a_sentence_is_no_guess_and_the_game_goes_on(language: str, text: str) -> None:
    talk = Talk(PEOPLE[language])
    talk.say(BEGINS[language])
    talk.say(text)
    assert not talk.kind.startswith("guess"), talk.kind

    talk.say("12")
    assert talk.kind in {"guess_low", "guess_high", "guess_right"}


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "7"), ("en", "is it seven?"), ("en", "maybe 12"), ("en", "ok, fifteen then"), ("en", "my guess is 3!"),
        ("de", "ist es die sieben?"), ("de", "ich sage 12"), ("fr", "c'est le dix-sept ?"), ("fr", "peut-être 12"),
        ("es", "¿es el siete?"), ("es", "quizá dieciséis"),
    ],
)  # fmt: skip
def test_a_number_alone_or_with_a_few_words_is_a_guess(language: str, text: str) -> None:
    talk = Talk(PEOPLE[language])
    talk.say(BEGINS[language])
    talk.say(text)

    assert talk.kind in {"guess_low", "guess_high", "guess_right"}


@pytest.mark.parametrize("language", PEOPLE)
def test_the_number_is_found_by_halving(language: str) -> None:
    talk, low, high = Talk(PEOPLE[language]), 1, NUMBERS
    talk.say(BEGINS[language])
    while talk.kind != "guess_right":
        assert low <= high
        middle = (low + high) // 2
        talk.say(str(middle))
        low, high = (middle + 1, high) if talk.kind == "guess_low" else (low, middle - 1)

    talk.say("4")
    assert not talk.kind.startswith("guess"), "the game is over"


@pytest.mark.parametrize("language", PEOPLE)
def test_after_a_dozen_guesses_the_cat_shows_its_number(language: str) -> None:
    talk = Talk(PEOPLE[language])
    talk.say(BEGINS[language])
    for _ in range(GUESSES - 1):
        talk.say("30")
    shown = talk.say("30")

    assert talk.kind == "guess_over"
    assert 1 <= int(re.findall(r"\d+", shown)[0]) <= NUMBERS


@pytest.mark.parametrize("move", ["pierre", "feuille", "papier", "ciseaux"])
def test_french_rock_paper_scissors_has_a_leaf(move: str) -> None:
    talk = Talk(PEOPLE["fr"])
    offered = talk.say("pierre feuille ciseaux ?")
    played = talk.say(move)

    assert "feuille" in offered
    assert talk.kind.startswith("rps_")
    assert not re.search(r"papier|ton pierre|ton feuille", offered + played)


@pytest.mark.parametrize(
    ("person", "day"),
    [
        ("+12125550123", "friday"), ("+16045550123", "friday"), ("+5511912345678", "friday"),
        ("+61412345678", "saturday"), ("+447700900123", "saturday"),
    ],
)  # fmt: skip
def test_the_day_is_that_of_the_persons_country(person: str, day: str) -> None:
    # 21:00 in New York, 13:00 in Sydney
    talk = Talk(person, datetime(2026, 11, 28, 2, 0, tzinfo=UTC))

    assert day in talk.say("what day is it?")


@pytest.mark.parametrize(("person", "question"), [("+12125550123", "what day is it?"), ("", "what day is it?")])
def test_a_day_that_is_not_known_is_not_guessed(person: str, question: str) -> None:
    # Friday in Honolulu, Saturday in New York
    words = Talk(person, datetime(2026, 11, 28, 7, 0, tzinfo=UTC)).say(question)

    assert not re.search(r"\w+day\b(?<!today)", words), words


def test_the_hour_is_that_of_the_country_and_is_not_guessed_where_there_are_several() -> None:
    now = datetime(2026, 11, 28, 2, 0, tzinfo=UTC)

    assert "3:00" in Talk("+33612345678", now).say("what time is it?")
    assert not re.search(r"\d:\d\d", Talk("+12125550123", now).say("what time is it?"))
