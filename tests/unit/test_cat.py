"""The cat always replies in time, and its replies hold no forbidden content."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from cat.chain import into_parts
from cat.engines.guarded import BREAKER_FAILURES
from cat.errors import EngineFailed
from cat.ports import Heard, Reply
from sms import segments
from tests.builders import a_cat


def heard(text: str, *, seed: str = "SM1", history: tuple[dict[str, str], ...] = (), pictures: int = 0) -> Heard:
    return Heard(history=history, texts=[text], seed=seed, pictures=pictures)


class Scripted:
    """An engine that gives a configured reply, or fails."""

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
            raise EngineFailed(f"{self._name}: silent")
        return Reply(words=self._words, engine=self._name)


def test_the_first_engine_that_speaks_is_heard() -> None:
    cat = a_cat([Scripted("a", None), Scripted("b", "purr")])

    reply = cat.reply(heard("hello"))

    assert (reply.words, reply.engine) == ("purr", "b")
    assert reply.facts["silent_engines"] == ["a: silent"]


def test_the_poet_stands_behind_the_last_engine() -> None:
    reply = a_cat([Scripted("a", None)]).reply(heard("hello"))

    assert reply.engine == "dada"
    assert reply.words


def test_all_engines_share_one_deadline() -> None:
    clock = [0.0]
    slow = Scripted("slow", None, takes=18.8, clock=clock)
    late = Scripted("late", "too late")
    cat = a_cat([slow, late], clock=lambda: clock[0])

    reply = cat.reply(heard("hello"))

    assert reply.engine == "dada"
    assert slow.given == [pytest.approx(11.7)]
    assert late.given == []


def test_a_long_reply_is_cut_to_its_segments() -> None:
    cat = a_cat([Scripted("a", "purr " * 300)], max_segments=2)

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
    assert into_parts(words, most, max_segments=3) == parts


def test_of_a_reply_no_more_messages_are_made_than_may_be_paid_for() -> None:
    lines = [f"line {number}" for number in range(8)]

    parts = into_parts("\n".join(lines), 8, max_segments=3)

    assert parts == ("line 0", "line 1", "\n".join(lines[2:]))
    assert into_parts("\n".join(lines), 8, max_segments=1) == ("\n".join(lines),)
    # two lines that take two segments together, and three as separate messages
    full = f"{'a' * 80}\n{'b' * 200}"
    assert segments.count(full) == 2
    assert into_parts(full, 2, max_segments=2) == (full,)


def test_an_engine_behind_which_others_stand_leaves_them_time() -> None:
    clock = [0.0]
    hanging = Scripted("hanging", None, takes=11.7, clock=clock)
    second = Scripted("second", "purr")

    reply = a_cat([hanging, second], clock=lambda: clock[0]).reply(heard("hello"))

    assert reply.engine == "second"
    assert second.given == [pytest.approx(7.8)]


class Passing:
    """An engine that fails `silences` times with a transient error."""

    name = "passing"

    def __init__(self, silences: int) -> None:
        self.silences, self.asked = silences, 0

    def reply(self, heard: Heard, *, seconds: float) -> Reply:
        del heard, seconds
        self.asked += 1
        if self.asked <= self.silences:
            raise EngineFailed("passing: 429", transient=True)
        return Reply(words="purr", engine=self.name)


def test_a_silence_that_passes_is_asked_once_more() -> None:
    once, twice = Passing(1), Passing(2)

    assert a_cat([once]).reply(heard("hello")).engine == "passing"
    assert a_cat([twice]).reply(heard("hello")).engine == "dada"
    assert (once.asked, twice.asked) == (2, 2)


def test_an_engine_that_is_down_is_left_alone_for_a_while() -> None:
    down = Scripted("down", None)
    cat = a_cat([down])

    replies = [cat.reply(heard("hello", seed=f"SM{n}")) for n in range(8)]

    assert len(down.given) == BREAKER_FAILURES
    assert {reply.engine for reply in replies} == {"dada"}
    assert replies[-1].facts["silent_engines"] == ["down: circuit breaker open after 5 failures"]


def test_one_persons_model_call_does_not_wait_for_anothers() -> None:
    together = threading.Barrier(3, timeout=10)

    class Slow:
        name = "slow"

        def reply(self, heard: Heard, *, seconds: float) -> Reply:
            del heard, seconds
            together.wait()
            return Reply(words="purr", engine=self.name)

    cat = a_cat([Slow()])
    with ThreadPoolExecutor(3) as pool:
        replies = list(pool.map(lambda n: cat.reply(heard("hello", seed=f"SM{n}")), range(3)))

    assert [reply.engine for reply in replies] == ["slow"] * 3
