"""What a model says is sent without harm, and what is fine is sent as it is."""

from __future__ import annotations

import re
import time
import tomllib
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cat import persona, sanitize
from sms import segments

OUTPUTS = tomllib.loads((Path(__file__).parent / "outputs.toml").read_text())
CAT = persona.shipped("mrrp-0123456789ab")


def sent(words: str, *, most: int = 3, emoji: bool = False) -> str:
    return sanitize.for_a_phone(words, max_segments=most, leaks=CAT.leaks, emoji=emoji)


@pytest.mark.parametrize("words", OUTPUTS["fine"])
def test_a_reply_that_is_fine_is_sent_as_it_is(words: str) -> None:
    assert sent(words) == words.replace("\u2019", "'")


@pytest.mark.parametrize(("words", "expected"), OUTPUTS["cleaned"])
def test_what_is_not_the_cats_is_removed_and_the_rest_stays(words: str, expected: str) -> None:
    assert sent(words) == expected


@pytest.mark.parametrize("words", OUTPUTS["refused"] + OUTPUTS["empty"])
def test_a_refusal_is_not_sent(words: str) -> None:
    assert sent(words) == ""


def test_what_is_sent_stays_so_when_it_is_cleaned_again() -> None:
    for words, expected in OUTPUTS["cleaned"]:
        assert sent(sent(words)) == expected, words


def test_there_are_enough_examples() -> None:
    assert sum(map(len, OUTPUTS.values())) > 164


def test_emoji_stay_where_they_are_wanted() -> None:
    assert sent("prrt \U0001f63a", emoji=True) == "prrt \U0001f63a"
    # of Unicode 17, which Python 3.11 does not know, and a family of three
    assert sent("\U0001faea \U0001f468\u200d\U0001f469\u200d\U0001f467", emoji=True) == (
        "\U0001faea \U0001f468\u200d\U0001f469\u200d\U0001f467"
    )


def _hidden(word: str) -> list[str]:
    half = len(word) // 2
    begin, end = word[:half], word[half:]
    return [
        word, word.upper(), f"{begin}\u200b{end}", f"{begin}\u00ad{end}", f"{begin}**{end}**", f"**{begin}**{end}",
        f"`{begin}`{end}", f"{begin}[{end}](https://x.example)", f"{begin}\U0001f63a{end}", f"{begin}<b>{end}</b>",
        " ".join(word), "-".join(word), f"{begin}\n{end}", f"{begin}<think>x</think>{end}",
        word.translate({ord(c): ord(c) + 0xFEE0 for c in "mrp0123456789ab"}),
    ]  # fmt: skip


@pytest.mark.parametrize("words", _hidden("mrrp-0123456789ab"))
def test_the_mark_is_never_sent_however_it_is_hidden(words: str) -> None:
    assert sent(f"prrt. {words} prrt.") == ""


@pytest.mark.parametrize("words", _hidden(" ".join(CAT.instructions.split()[30:50])))
def test_the_instructions_are_never_sent_however_they_are_hidden(words: str) -> None:
    assert sent(f"prrt. {words} prrt.", most=10) == ""


def test_the_examples_may_be_said() -> None:
    for speaker, words in CAT.examples:
        if speaker == "assistant":
            assert sent(words) == words


@given(st.text(max_size=3000), st.integers(1, 3))
def test_whatever_a_model_says_costs_no_more_than_it_may(words: str, most: int) -> None:
    fitted = sent(words, most=most)

    assert segments.count(fitted) <= most
    assert not any(unicodedata.category(c) in ("Cf", "Cs", "Co") for c in fitted if c not in "\u200c\u200d")


@given(st.text(alphabet="ab*_~`#>-/\\|<>[]() \n.:\u200d\U0001f63a", max_size=400))
def test_markup_in_any_order_harms_no_one(words: str) -> None:
    assert segments.count(sent(words)) <= 3


@pytest.mark.parametrize(
    "piece", ["**a", "***a ", " ", "#", "<think>", "[x](", "- ", "(.", "_a ", "/ ", "a / b ", "call 1"]
)
def test_no_output_takes_long(piece: str) -> None:
    words = piece * (sanitize.MOST_CHARACTERS // len(piece))
    began = time.process_time()

    sent(words)

    assert time.process_time() - began < 2


def test_a_long_reply_is_cut_behind_a_sentence() -> None:
    words = "one short sentence about a box. " * 9

    assert sent(words, most=1) == ("one short sentence about a box. " * 5).strip()


def test_a_character_with_capitals_keeps_them() -> None:
    butler = persona.parse("You are a butler.\n# Examples\nperson: hi\ncat: Good evening, Madam. Tea?\n")

    assert not butler.is_lower_case
    assert sanitize.for_a_phone("Good evening.", max_segments=1, lower=butler.is_lower_case) == "Good evening."


def test_the_bank_of_images_is_drawn_from_by_the_turn() -> None:
    assert len(set(CAT.images)) == len(CAT.images) == 150
    assert CAT.draw("SM1") == CAT.draw("SM1") != CAT.draw("SM2")
    assert len(CAT.draw("SM1")) == persona.IMAGES_DRAWN


def test_the_mark_is_the_same_in_all_processes_and_is_not_called_a_word() -> None:
    mark = persona.mark_of(b"secret")

    assert persona.mark_of(b"secret") == mark != persona.mark_of(b"another")
    assert f"<!-- build {mark} -->" in persona.shipped(mark).system
    assert not re.search(r"secret word|canary", persona.shipped(mark).system)
