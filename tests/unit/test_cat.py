"""The cat always answers, in time, and never says what it must not."""

from __future__ import annotations

import pytest

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
