"""No regular expression takes more than linear time on a text that is made to slow it down."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import pytest
import regex

from cat import grave_words, sanitize
from cat.poet.lexicon import lexicon
from cat.poet.words import FULL, SMALL
from sms import segments
from tests.conftest import ROOT

PACKAGES = (
    "conversation", "journal", "cat", "sms", "inbox", "webhook", "worker", "runtime", "operations", "local",
    "simulator",
)  # fmt: skip
#: A program with an environment of its own, whose only expression reads a header of at most 64 KB.
ELSEWHERE = "local.dynamodb"
#: The longest text that Twilio brings (`sms.messages.CHANNEL_BODY_CHARACTERS`), and a quarter of it.
LONG, SHORT = 4096, 1024
#: A quarter of the length takes a quarter of the time if time is linear, and a sixteenth if it is quadratic.
WORST_GROWTH = 9.0
#: Below this a search is too short to be measured, and harmless.
MEASURABLE_SECONDS = 0.002

SEEDS = (
    "a", "A", ".", " ", "1", "a.", "a ", ". ", "1.", "1 ", "(", "[", "[a](", "*", "*a ", "**a ", "~~a ", "__a", "* ",
    "\n", "a\n", "`", "``` ", "-", "_", "'", "a1", "I ", "my ", "@", "#a", "!", "sure, ", ": ", '"', "a: ", "= ", "\\",
    "http", "www.", "\u0301", "\U0001f1e6", "<", "&", "/", "+1",
)  # fmt: skip


def expressions() -> Iterator[tuple[str, Any]]:  # Any: patterns of `re` and of `regex`
    kinds = (re.Pattern, type(regex.compile("")))
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            if re.search(r"\bre(?:gex)?\.compile\(", path.read_text()) and module != ELSEWHERE:
                named = vars(import_module(module)).items()
                yield from ((f"{module}.{name}", value) for name, value in named if isinstance(value, kinds))
    for language in (*FULL, *SMALL, "ja"):
        words = lexicon(language)
        yield from ((f"{language}.{name}", pattern) for name, pattern in (*words.hear.items(), *words.marks.items()))
        yield from ((f"{language}.tell {told.key}", told.heard) for told in words.tell)
        yield from ((f"{language}.ask {asked.key}", asked.heard) for asked in words.ask)
        yield from ((f"{language}.grave {number}", each) for number, each in enumerate(grave_words.phrases(language)))


def seconds(work: Callable[[], object]) -> float:
    """Return the processor time of this thread: other processes do not count."""

    def once() -> float:
        started_at = time.thread_time()
        work()
        return time.thread_time() - started_at

    first = once()
    return first if first < MEASURABLE_SECONDS else min(first, once(), once())


def growth(work: Callable[[str], object], seed: str) -> float:
    """Return how many times longer `work` takes on four times as much; 0 if it is too quick."""
    # a character that matches nothing at the end makes a pattern try everything
    long, short = ((seed * length)[: length - 1] + "\0" for length in (LONG, SHORT))
    slow = seconds(lambda: work(long))
    return slow / seconds(lambda: work(short)) if slow >= MEASURABLE_SECONDS else 0.0


@pytest.mark.parametrize("pattern", [pytest.param(pattern, id=name) for name, pattern in expressions()])
def test_a_search_takes_linear_time(pattern: Any) -> None:
    literal = re.sub(r"\\.|[^a-zäöüéèáíóñß]+", " ", str(pattern.pattern)).split()
    seeds = [*SEEDS, *literal[:8], *(f"{word} " for word in literal[:8])]

    def search(text: str) -> object:
        return list(pattern.finditer(text.encode() if isinstance(pattern.pattern, bytes) else text))

    # once may be the machine's doing
    assert [seed for seed in seeds if all(growth(search, seed) > WORST_GROWTH for _ in range(3))] == []


def test_the_measure_notices_quadratic_time() -> None:
    assert growth(lambda text: re.findall(r"\S+\s", text), ".") > WORST_GROWTH


@pytest.mark.parametrize("seed", ["\U0001f1e6", "\U0001f468\u200d", "a\u0301", "[", "[a](", "~~a ", "*a "])
def test_a_models_longest_answer_is_made_fit_in_a_moment(seed: str) -> None:
    words = (seed * sanitize.MOST_CHARACTERS)[: sanitize.MOST_CHARACTERS]

    assert seconds(lambda: sanitize.for_a_phone(words, max_segments=3, emoji=True)) < 0.3


def test_only_what_can_fit_is_taken_apart_when_a_text_is_cut() -> None:
    flags = "\U0001f1e9\U0001f1ea" * 10_000

    # each segment has room for 33 characters of two units; a flag has two of them
    assert segments.trim(flags, 3) == flags[:98]
    assert seconds(lambda: segments.trim(flags, 3)) < 0.1
