"""The cat always answers, in time, and never says what it must not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cat import dada
from cat.dada import Dada
from cat.errors import EngineSilent
from cat.ports import Heard, Reply
from cat.reply import Cat, into_parts
from sms import segments


def heard(text: str, *, seed: str = "SM1", history: tuple[dict[str, str], ...] = (), pictures: int = 0) -> Heard:
    return Heard(history=history, texts=[text], seed=seed, pictures=pictures)


class Scripted:
    """An engine that says what it was told to, or is silent."""

    def __init__(self, name: str, words: str | None, *, takes: float = 0.0, clock: list[float] | None = None) -> None:
        self._name, self._words, self._takes, self._clock = name, words, takes, clock
        self.given: list[float] = []

    @property
    def name(self) -> str:
        return self._name

    def reply(self, heard: Heard, *, seconds: float) -> Reply:
        del heard
        self.given.append(seconds)
        if self._clock is not None:
            self._clock[0] += self._takes
        if self._words is None:
            raise EngineSilent(f"{self._name}: silent")
        return Reply(words=self._words, engine=self._name)


@given(st.text(max_size=1600), st.integers(0, 3))
def test_the_poet_always_says_something_that_fits(text: str, pictures: int) -> None:
    words = Dada().reply(heard(text, pictures=pictures), seconds=1).words

    assert words.strip()
    assert "{" not in words
    assert segments.count(words) <= 2


def test_the_same_text_gets_the_same_words_again() -> None:
    first, second = (Dada().reply(heard("i bought a bicycle"), seconds=1).words for _ in range(2))

    assert first == second
    assert first != Dada().reply(heard("i bought a bicycle", seed="SM2"), seconds=1).words


def test_the_poet_plays_with_what_was_said() -> None:
    replies = [Dada().reply(heard("my umbrella flew away", seed=f"SM{n}"), seconds=1).words for n in range(20)]

    assert any("umbrella" in words or "flew" in words for words in replies)


def test_what_was_said_before_comes_back() -> None:
    history = ({"role": "user", "content": "my grandmother played the trombone"},)
    replies = [
        Dada().reply(heard("it rains today", seed=f"SM{n}", history=history), seconds=1).words for n in range(60)
    ]

    assert any("trombone" in words or "grandmother" in words for words in replies)


def test_a_conversation_does_not_hear_the_same_line_twice_in_a_row() -> None:
    history: tuple[dict[str, str], ...] = ()
    said: list[str] = []
    for number in range(30):
        words = Dada().reply(heard("hello", seed=f"SM{number}", history=history), seconds=1).words
        assert words not in said[-5:]
        said.append(words)
        history = (*history, {"role": "user", "content": "hello"}, {"role": "assistant", "content": words})


@pytest.mark.parametrize("text", ["4111 1111 1111 1111", "code 123456", "see https://evil.example/x", "me@example.org"])
def test_numbers_links_and_addresses_are_not_echoed(text: str) -> None:
    for number in range(20):
        words = Dada().reply(heard(text, seed=f"SM{number}"), seconds=1).words
        assert not any(character.isdigit() for character in words)
        assert "evil" not in words
        assert "example" not in words


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("hi", "greeting"),
        ("thanks!", "thanks"),
        ("why is the sky", "why"),
        ("is it late?", "question"),
        ("42", "number"),
        ("LISTEN TO ME", "shout"),
        ("x", "tiny"),
        ("\U0001f63a", "wordless"),
        ("reset", "reset"),
        ("rain on the roof", "anything"),
    ],
)
def test_the_kind_of_a_text_is_told(text: str, kind: str) -> None:
    assert dada.kind_of(text, pictures=0, mice=dada.chaseable(text)) == kind


def test_the_first_engine_that_speaks_is_heard() -> None:
    cat = Cat([Scripted("a", None), Scripted("b", "purr")], deadline_seconds=20)

    reply = cat.reply(heard("hello"))

    assert (reply.words, reply.engine) == ("purr", "b")
    assert reply.facts["silent_engines"] == ["a: silent"]


def test_the_poet_stands_behind_the_last_engine() -> None:
    reply = Cat([Scripted("a", None)], deadline_seconds=20).reply(heard("hello"))

    assert reply.engine == "dada"
    assert reply.words


def test_all_engines_share_one_deadline() -> None:
    clock = [0.0]
    slow = Scripted("slow", None, takes=18.8, clock=clock)
    late = Scripted("late", "too late")
    cat = Cat([slow, late], deadline_seconds=20, clock=lambda: clock[0])

    reply = cat.reply(heard("hello"))

    assert reply.engine == "dada"
    assert slow.given == [19.5]
    assert late.given == []


def test_a_long_reply_is_cut_to_its_segments() -> None:
    cat = Cat([Scripted("a", "purr " * 300)], deadline_seconds=20, max_segments=2)

    assert segments.count(cat.reply(heard("hello")).words) == 2


@pytest.mark.parametrize(
    ("words", "most", "parts"),
    [
        ("one\ntwo", 1, ("one\ntwo",)),
        ("one\n\ntwo\n", 3, ("one", "two")),
        ("one\ntwo\nthree\nfour", 2, ("one", "two\nthree\nfour")),
        ("short. sentences. stay.", 3, ("short. sentences. stay.",)),
        (f"{'a' * 100}. {'b' * 100}? {'c' * 10}", 2, (f"{'a' * 100}.", f"{'b' * 100}? {'c' * 10}")),
    ],
)
def test_a_reply_is_sent_in_as_many_messages_as_it_may(words: str, most: int, parts: tuple[str, ...]) -> None:
    assert into_parts(words, most) == parts
