"""Published examples and boundary cases: a wrong count is a wrong bill."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sms import segments


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", 1),
        ("a" * 160, 1),
        ("a" * 161, 2),
        ("a" * 306, 2),
        ("a" * 307, 3),
        ("€" * 80, 1),
        ("€" * 81, 2),
        ("a" * 159 + "€", 2),
        # the 153rd septet has no room for a character of two septets: the character moves to the next segment
        ("a" * 152 + "€" + "a" * 151, 2),
        ("a" * 152 + "€" + "a" * 152, 3),
        ("\u2019" * 70, 1),
        ("\u2019" * 71, 2),
        ("a" * 70 + "\u2019", 2),
        ("\U0001f408" * 35, 1),
        ("\U0001f408" * 36, 2),
        # 67 units hold 33 pairs and a half; a pair is not split
        ("\U0001f408" * 66, 2),
        ("\U0001f408" * 67, 3),
    ],
)
def test_segments_are_counted_as_carriers_count_them(text: str, expected: int) -> None:
    assert segments.count(text) == expected


def test_one_curly_quote_makes_the_whole_text_ucs_2() -> None:
    assert segments.alphabet("it's").name == "GSM-7"
    assert segments.alphabet("it\u2019s").name == "UCS-2"


@given(st.text(max_size=500), st.integers(1, 3))
def test_a_trimmed_text_is_a_beginning_that_fits(text: str, limit: int) -> None:
    short = segments.trim(text, limit)

    assert segments.count(short) <= limit
    assert text.startswith(short)


def test_a_text_is_cut_at_a_word() -> None:
    text = "purr " * 40

    assert segments.trim(text, 1).endswith("purr")
    assert segments.trim("x" * 200, 1) == "x" * 160


def test_a_limit_must_be_possible() -> None:
    with pytest.raises(ValueError, match="at least one segment"):
        segments.trim("hello", 0)
