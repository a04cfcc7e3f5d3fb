"""The cat always replies in time, and its replies hold no forbidden content."""

from __future__ import annotations

import threading
from collections.abc import Container
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from cat.chain import into_parts
from cat.engines.guarded import BREAKER_FAILURES
from cat.errors import EngineFailed
from cat.ports import Heard, Picture, Reply
from cat.prices import Catalogue, Model
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


BEFORE = ({"role": "user", "content": "hi"}, {"role": "assistant", "content": "good."})


@pytest.mark.parametrize("history", [(), BEFORE], ids=["first text", "after a reply"])
@pytest.mark.parametrize(
    "text",
    ["\u2460 milk \u2461 eggs", "x \u00b2 + 1", "\u00b2 + \u00b2", "m \u00b2 please", "i scored \u2776",
     "chapter \u2466",     "H \u2082 O", "\u0663 + \u0664", "half a \ud83d smile", "\ud83d"],
)  # fmt: skip
def test_a_text_with_odd_digits_or_half_a_character_gets_a_reply(
    text: str, history: tuple[dict[str, str], ...]
) -> None:
    with capture_logs() as logged:
        assert a_cat([]).reply(heard(text, history=history)).words.strip()

    assert logged == []


ANY_TEXT = st.text(st.characters(), max_size=80) | st.text("0123456789+-*/x()=%,. \u00b2\u2460\u0663", max_size=40)


@settings(deadline=None, max_examples=25)  # the first text loads the words, and a talk takes 0.1 s
@given(ANY_TEXT, st.lists(ANY_TEXT, max_size=2))
def test_any_text_in_any_talk_gets_a_reply_without_an_error(text: str, before: list[str]) -> None:
    history = tuple(
        {"role": role, "content": content.encode("utf-8", "replace").decode()}
        for content in before
        for role in ("user", "assistant")
    )
    with capture_logs() as logged:
        assert a_cat([]).reply(heard(text, history=history)).words.strip()

    assert logged == []


def broken(text: str, among: Container[str], *, sure: bool = False) -> str:
    del among, sure
    raise ValueError(f"no kind for {text}")


def test_an_error_in_the_poet_costs_no_reply_and_is_logged_without_the_text() -> None:
    text = "is the pocketless umbrella blue?"
    with capture_logs() as logged:
        replies = [
            a_cat([], sense=broken).reply(Heard(history=BEFORE * talk, texts=[text], seed="SM1", person=person)).words
            for talk in range(4)
            for person in ("+4915112345678", "+447700900123")
        ]

    assert len(set(replies)) == 8
    assert all(replies)
    assert {(line["event"], line["log_level"], line["error"]) for line in logged} == {
        ("poet broken", "error", "ValueError")
    }
    assert "pocketless" not in str(logged)


class Garbled:
    """An engine whose reply has words that are none."""

    name = "garbled"

    def reply(self, heard: Heard, *, seconds: float) -> Reply:
        del heard, seconds
        return Reply(words=None, engine=self.name)  # type: ignore[arg-type]  # the fault that is tried


def test_an_error_while_an_engines_output_is_fitted_leaves_the_reply_to_the_next_engine() -> None:
    with capture_logs() as logged:
        reply = a_cat([Garbled(), Scripted("next", "purr")]).reply(heard("hello"))

    assert (reply.words, reply.engine) == ("purr", "next")
    assert reply.facts["silent_engines"] == ["garbled: AttributeError"]
    assert [(line["event"], line["engine"]) for line in logged] == [("engine broken", "garbled")]


class Blind:
    """An engine that refuses a picture, and is paid for looking at it."""

    name = "blind:m"

    def reply(self, heard: Heard, *, seconds: float) -> Reply:
        del seconds
        if heard.shown:
            raise EngineFailed("blind:m: a refusal", refused=True, paid=True)
        return Reply(words="purr", engine=self.name)


def test_a_refused_picture_costs_no_more_than_was_reserved() -> None:
    catalogue = Catalogue({"m": Model(price_in=2, price_out=8, sees=True)})
    cat = a_cat([Blind()], catalogue=catalogue)
    picture = Picture(content_type="image/png", data=b"x")
    asked = Heard(history=(), texts=["look"], seed="SM1", pictures=1, shown=[picture])

    reserved = cat.max_cost(replace(asked, shown=()))
    reply = cat.reply(asked)

    assert reply.words == "purr"
    assert reply.facts["model_cost"] <= reserved
