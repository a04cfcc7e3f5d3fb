"""The one answer to which language a text is in: for the poet, and for the lines in danger."""

from __future__ import annotations

from collections import Counter

import pytest

from benchmarks import danger as measured
from cat import recall
from cat.engines.dada import Dada
from cat.poet import language_detection
from cat.ports import Heard


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("my dog eats shoes", "en"), ("he has a boat", "en"), ("no", "en"), ("how are you", "en"), ("i'm bored", "en"), ("hallo katze", "de"),
        ("mein hund frisst schuhe", "de"), ("ich bin müde", "de"), ("kartoffeln", "de"), ("moin", "de"), ("bonjour le chat", "fr"), ("j'ai faim", "fr"),
        ("il pleut", "fr"), ("je me coupe", "fr"), ("oui", "fr"), ("d'accord", "fr"), ("mon chien mange des chaussures", "fr"), ("hola gato", "es"),
        ("quiero dormir", "es"), ("mi perro come zapatos", "es"), ("tengo hambre", "es"), ("ciao, come stai?", "it"), ("obrigado", "pt"),
        ("welterusten", "nl"), ("dziękuję", "pl"), ("teşekkürler", "tr"), ("ありがとう", "ja"), ("привет", "ru"), ("死にたい", "ja"), ("我不想活了", "zh"), ("أريد أن أموت", "ar"), ("मैं मरना चाहता हूँ", "hi"),
        ("죽고 싶어", "foreign"), ("", "en"), ("\U0001f62d", "en"),
    ],
)  # fmt: skip
def test_the_language_of_a_text_is_heard(text: str, language: str) -> None:
    assert language_detection.language_of(text) == language


@pytest.mark.parametrize(
    ("person", "text", "language"),
    [("+33612345678", "non", "fr"), ("+393331234567", "ciao", "it"), ("+4930123456", "ok", "de"), ("+34612345678", "no", "es"),
     ("whatsapp:+4930123456", "pizza", "de"), ("+15551230001", "ok", "en"), ("+819012345678", "火事", "ja"), ("+8613812345678", "火事", "zh")],
)  # fmt: skip
def test_the_country_of_the_telephone_decides_where_a_word_could_be_any_languages(
    person: str, text: str, language: str
) -> None:
    assert language_detection.language_of(text, person=person) == language


def test_a_text_without_letters_is_in_the_language_of_the_text_before_it() -> None:
    assert language_detection.language_of("\U0001f62d\U0001f62d", ["я хочу умереть", "hello"]) == "ru"
    assert language_detection.language_of("???", ["mein hund frisst schuhe"]) == "de"


def test_the_language_of_a_danger_is_heard_from_any_country() -> None:
    texts = [text for text in measured.read("first", "held_out", "days") if text.dangerous]
    right = Counter(
        text.language
        for text in texts
        if language_detection.language_of(text.words, person="+15551230001") == text.language
    )

    for language, number in Counter(text.language for text in texts).items():
        assert right[language] >= 0.85 * number, language


@pytest.mark.parametrize(
    "text", ["приветтттт", "ええええええ", "हेलोोोोो", "안녕하세요오오오", "меня зовут оля, я живу в омске"]
)
def test_a_text_in_a_language_without_words_is_answered_and_remembered(text: str) -> None:
    heard = Heard(history=(), texts=[text], seed="SM1", person="+15551230001")

    assert Dada().reply(heard, seconds=1).words
    assert recall.told_in(text) == []
