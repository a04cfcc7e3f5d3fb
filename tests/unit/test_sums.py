"""A sum is answered as people write it, in four languages, and only where it is asked for."""

from __future__ import annotations

import time
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cat.poet import sums
from cat.ports import Heard
from tests.builders import a_cat

PEOPLE: Final = {"en": "+447700900123", "de": "+4915112345678", "fr": "+33612345678", "es": "+34612345678"}


def said(text: str, language: str = "en") -> tuple[str, str]:
    """Return the reply to a text, and what kind of text was heard."""
    reply = a_cat([]).by_heart(Heard(history=(), texts=[text], seed="SM1", person=PEOPLE[language]))
    return reply.words, str(reply.facts["kind"])


@pytest.mark.parametrize(
    ("language", "text", "total"),
    [
        ("en", "what's 1,200 + 300?", "1500"), ("en", "what is 1,000 + 2,000", "3000"),
        ("en", "1,00,000 + 5", "100005"),
        ("en", "what's 3 000 + 4 000", "7000"), ("en", "what is 2 * 3.14159", "6.28"),
        ("en", "what is 1+1.5555", "2.56"),
        ("en", "12.5% of 80", "10"), ("en", "20% of 12.50", "2.5"), ("en", "20% of 1000000", "200000"),
        ("en", "15 percent of 1,200", "180"), ("en", "(2+3)*4", "20"), ("en", "2 * (3 - 5)", "-4"),
        ("en", "0.001*0.001", "0.000001"), ("en", "-3 + 5", "2"), ("en", "5 - -3", "8"), ("en", "what's 10/4", "2.5"),
        ("en", "what's 3-1", "2"), ("en", "what's twenty-five times four", "100"), ("en", "$20 + $5?", "25"),
        ("en", "can you tell me 12 x 12?", "144"), ("en", "2^10", "1024"), ("en", "1000000*1000000", "1000000000000"),
        ("de", "was ist 1.000 + 1.000", "2000"), ("de", "was ist 1,5 + 1", "2,5"), ("de", "20 % von 80", "16"),
        ("de", "was ist 10:4", "2,5"), ("de", "einundzwanzig mal zwei", "42"), ("de", "1.234.567,5 + 0,5", "1234568"),
        ("fr", "combien font 3 000 + 4 000 ?", "7000"), ("fr", "combien font dix-sept fois deux ?", "34"),
        ("fr", "20 % de 80", "16"), ("fr", "quatre vingt dix plus un", "91"), ("fr", "10 divisé par 4", "2,5"),
        ("es", "cuánto es 1.200 + 300", "1500"), ("es", "cuanto es 1,200 + 300?", "1500"), ("es", "20 % de 80", "16"),
        ("es", "cuánto es veintidós por dos", "44"), ("es", "10 entre 4", "2,5"),
    ],
)  # fmt: skip
def test_a_sum_that_is_asked_for_gets_its_result(language: str, text: str, total: str) -> None:
    words, kind = said(text, language)

    assert (kind, words.startswith((f"{total}.", f"{total},"))) == ("sum", True), words


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "we won 5 - 3"), ("en", "the shop is open 9:30 - 17:30"), ("en", "i work mon-fri 9 - 17"),
        ("en", "i read pages 10 - 20"), ("en", "3 - 4 people are coming tonight"), ("en", "is it open 9:30 - 17:30?"),
        ("en", "i called you two times 4 days ago"), ("en", "i have 2 x 4 planks"), ("en", "what's on 10/4?"),
        ("en", "what's 9/11"), ("en", "they are here 24/7"), ("de", "wir haben 5:3 gewonnen"),
        ("de", "von 9:30 - 17:30"),
        ("fr", "on ouvre 9 - 17"), ("es", "ganamos 5 - 3"), ("en", "9^9^9^9"), ("en", "what's 9**9**9**9?"),
        ("en", "1/0"), ("en", "99999999999*99999999999*99999999999?"),
    ],
)  # fmt: skip
def test_a_score_a_date_hours_and_what_no_cat_counts_are_no_sums(language: str, text: str) -> None:
    assert said(text, language)[1] != "sum"


@pytest.mark.parametrize(
    "text",
    ["9**" * 50 + "9", "99999**999999", "9^" * 79 + "9", "(1+" * 53,
     "(" * 159 + "1", "- -1+" * 32, "1,1" * 53, "1 000 " * 26, "1+" * 80,
     "((1)+" * 30 + "1", "2*" * 79 + "2", "999999999999*" * 12 + "1"],
)  # fmt: skip
def test_no_sum_takes_time_or_memory(text: str) -> None:
    started_at = time.process_time()
    for language in PEOPLE:
        assert len(sums.total(text, language)) <= sums.MOST_DIGITS + 1

    assert time.process_time() - started_at < 1


@given(st.text("0123456789+-*/^x()=%,.: ", max_size=sums.LONGEST + 5), st.sampled_from(sorted(PEOPLE)))
def test_signs_and_digits_in_any_order_give_a_short_number_or_nothing(text: str, language: str) -> None:
    assert len(sums.total(text, language)) <= sums.MOST_DIGITS + sums.MOST_PLACES
