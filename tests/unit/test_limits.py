"""Too many texts get silence; machines get it after a few replies; people who only type fast do not."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest

from conversation.models import Message, Role
from journal.states import TurnState
from runtime.settings import Settings
from sms import countries
from sms.messages import InboundSms, MessageSid
from tests.builders import ANN, NOW, OUR_NUMBER, a_sid, a_text
from tests.room import WHO, Room
from worker.build import limits as build
from worker.limits import Pace, Rates, likeness

ESSAY = "the quick brown cat sat on the warm server and hummed"


def reason(room: Room, sid: str) -> str | None:
    turn = room.store.turns.get(ANN, sid)
    assert turn is not None
    return turn.reason


@pytest.mark.parametrize(
    ("rates", "answered", "why"),
    [
        (Rates(texts_per_minute=3), 3, "over the limit: texts a minute"),
        (Rates(texts_per_day=4), 4, "over the limit: texts a day"),
        (Rates(turns_per_minute=2), 2, "over the limit: turns a minute"),
        (Rates(turns_per_hour=2), 2, "over the limit: turns an hour"),
        (Rates(replies_per_hour=1), 1, "over the limit: replies an hour, to everybody"),
        (Rates(), 8, None),
    ],
)
def test_over_a_limit_there_is_silence(rates: Rates, answered: int, why: str | None) -> None:
    room = Room(rates=rates)
    texts = room.texts(*[f"text {number}" for number in range(8)])

    room.serve()

    assert room.received == [f"re: text {number}" for number in range(answered)]
    assert [room.state(text) for text in texts[answered:]] == [TurnState.SILENT] * (8 - answered)
    assert why is None or reason(room, texts[-1].sid) == why
    assert room.inbox.texts.oldest_waiting_ms() is None


def test_what_waited_while_no_one_worked_did_not_come_at_once() -> None:
    room = Room(rates=Rates(texts_per_minute=2, turns_per_hour=40))
    for number in range(12):
        room.texts(f"text {number}")
        room.later(seconds=60)

    room.serve()

    assert room.received == [f"re: text {number}" for number in range(12)]


def test_between_two_numbers_replies_wait_and_none_is_lost() -> None:
    room = Room(rates=Rates(messages_per_30_seconds=3))
    room.texts(*[f"text {number}" for number in range(5)])
    room.serve()
    assert len(room.received) == 3

    room.later(seconds=29)
    room.serve()
    assert len(room.received) == 3
    room.later(seconds=2)
    room.serve()
    assert room.received == [f"re: text {number}" for number in range(5)]


@pytest.mark.parametrize("parts", [1, 3])
def test_in_any_thirty_seconds_no_more_messages_leave_than_the_carrier_takes(parts: int) -> None:
    rates = Rates(messages_per_30_seconds=20, messages_per_reply=parts)
    room = Room(rates=rates, max_parts=parts)
    room.parrot.words = "\n".join(f"line {number} of this" for number in range(parts))
    room.texts(*[f"text {number}" for number in range(25)])

    leave: list[int] = []
    for _ in range(40):
        room.serve()
        leave += [room.ms] * (len(room.received) - len(leave))
        room.later(seconds=5)

    assert len(leave) == 25 * parts
    most = max(sum(begin <= at < begin + 30_000 for at in leave) for begin in leave)
    assert most == 20 // parts * parts


def test_the_limit_of_messages_knows_how_many_a_reply_may_have() -> None:
    for segments, replies in (("10", 2), ("3", 3)):
        chosen = Settings.load(
            {"REPLY_MAX_PARTS": "4", "REPLY_MAX_SEGMENTS": segments, "LIMIT_REPLIES_PER_30_SECONDS": "9"}
        )
        limiter = build.limiter(chosen, Room().redis)
        assert [limiter.wait_ms(WHO, a_text("hello")) for _ in range(replies)] == [0] * replies
        assert limiter.wait_ms(WHO, a_text("hello")) > 0


def test_a_verdict_on_a_text_lasts_as_long_as_the_setting_lets_it_be_answered() -> None:
    room = Room()
    limiter = build.limiter(Settings.load({"MAX_AGE_SECONDS": "43200", "LIMIT_TEXTS_PER_MINUTE": "1"}), room.redis)
    over = a_text("two")
    for text in (a_text("one"), over):
        limiter.exceeded(WHO, text, begins_turn=False, arrived_ms=room.ms)

    # a worker died with it, and its successor comes late
    room.later(seconds=11 * 3600)

    assert limiter.exceeded(WHO, over, begins_turn=False, arrived_ms=room.ms) == "over the limit: texts a minute"


def test_after_a_while_there_are_replies_again() -> None:
    room = Room(rates=Rates(texts_per_minute=2))
    room.texts("one", "two", "three")
    room.serve()
    room.later(seconds=31)

    room.texts("four", "five")
    room.serve()

    assert room.received == ["re: one", "re: two", "re: four"]


def test_the_same_text_again_and_again_is_answered_a_few_times_and_a_short_one_more_often() -> None:
    room = Room(rates=Rates(identical_per_hour=2))
    for _ in range(20):
        room.texts(ESSAY.upper())
        room.texts("ok")
        room.serve()

    assert room.received.count(f"re: {ESSAY.upper()}") == 2
    assert room.received.count("re: ok") == 12


def test_a_duplicate_webhook_does_not_count() -> None:
    room = Room(rates=Rates(texts_per_minute=2))
    (text,) = room.texts("one")
    room.serve()
    for _ in range(10):
        room.inbox.texts.accept(text)
        room.serve()

    room.texts("two")
    room.serve()

    assert room.received == ["re: one", "re: two"]


def test_the_words_that_the_law_wants_heard_have_no_limit() -> None:
    room = Room(rates=Rates(texts_per_minute=1), habits={"help_line": "a cat. STOP ends it."})
    room.texts("one", "two", "STOP")
    room.serve()

    conversation = room.store.storage.get(ANN)
    assert conversation is not None
    assert not conversation.is_active


def test_several_texts_of_one_turn_are_one_turn() -> None:
    room = Room(rates=Rates(turns_per_minute=1), policy="coalesce")
    room.texts("one", "two", "three")
    room.serve()

    assert room.received == ["re: one + two + three"]


def test_a_text_that_begins_a_turn_after_all_counts_as_one() -> None:
    room = Room(rates=Rates(turns_per_minute=1, texts_per_minute=10), policy="coalesce")
    room.texts("one")
    # to another of our numbers: read together with the first text, then answered in a turn of its own or not at all
    room.inbox.texts.accept(InboundSms(sid=MessageSid(a_sid()), sender=ANN, to="+15005550007", body="two"))
    room.serve()

    assert room.received == ["re: one"]


@pytest.mark.parametrize("rates", [Rates(texts_per_minute=3), Rates(texts_per_day=3)], ids=["a minute", "a day"])
def test_a_text_that_begins_a_turn_after_all_counts_as_one_text(rates: Rates) -> None:
    room = Room(rates=rates, policy="coalesce")
    room.texts("one")
    # read together with the first text, then answered in a turn of its own
    room.inbox.texts.accept(InboundSms(sid=MessageSid(a_sid()), sender=ANN, to="+15005550007", body="two"))
    room.serve()
    room.texts("three")
    room.serve()

    assert room.received == ["re: one", "re: two", "re: three"]


def test_a_reply_waits_for_its_numbers_pace() -> None:
    room = Room()
    (text,) = room.texts("hello")
    room.serve(pace=lambda _: -500)
    assert room.received == []

    room.serve(pace=lambda _: 500)
    assert room.received == ["re: hello"]
    assert room.state(text) is TurnState.ANSWERED


def test_two_cats_that_face_each_other_fall_silent() -> None:
    room = Room(rates=Rates(loop=6))
    words = "first words of a machine that never tires"
    rounds = 0
    for rounds in range(1, 200):
        before = len(room.received)
        room.texts(words)
        room.serve()
        if len(room.received) == before:
            break
        # another cat answers the reply two seconds later
        words = f"and so {rounds} i say: {room.received[-1][::-1]}"[:120]
        room.later(seconds=2)

    assert rounds <= 8
    assert room.alarms == [("loop", "too fast for a person, too often in a row")]
    # there is silence for an hour, whatever arrives
    room.texts("hello?")
    room.serve()
    assert len(room.received) == rounds - 1
    room.later(seconds=3700)
    room.texts("hello?")
    room.serve()
    assert room.received[-1] == "re: hello?"


@pytest.mark.parametrize("says", ["echo", "out of office"])
def test_an_echo_and_an_out_of_office_end_within_a_few_replies(says: str) -> None:
    room = Room(rates=Rates(loop=6, identical_per_hour=5))
    room.texts("a first text, long enough to be told from an ok")
    room.serve()
    for _ in range(50):
        reply = room.received[-1]
        # both answer slowly
        room.later(seconds=8)
        room.texts(
            reply if says == "echo" else "I am out of the office until Monday. In urgent cases call my colleague."
        )
        room.serve()

    assert len(room.received) <= 8


def test_people_who_type_fast_are_answered_every_time() -> None:
    """Simulate typists of 60 to 110 words a minute, who read a reply in about a second, some in bursts."""
    for typist in range(10):
        rng = random.Random(typist)
        room = Room(
            rates=Rates(texts_per_minute=20, turns_per_minute=20, turns_per_hour=240, identical_per_hour=5, loop=6)
        )
        speed = rng.uniform(5.0, 9.0)  # characters a second
        for number in range(60):
            if rng.random() < 0.2:
                words = rng.choice(["ok", "haha", "no way", "why?", "lol"])
            else:
                words = " ".join(rng.choice(ESSAY.split()) for _ in range(rng.randint(3, 16))) + f" {number}"
            # one text in ten was written before the reply came and is sent right after it
            ahead = rng.random() < 0.1
            room.later(seconds=0.4 if ahead else rng.uniform(0.8, 2.5) + len(words) / speed)
            texts = room.texts(words)
            room.serve()
            assert [room.state(text) for text in texts] == [TurnState.ANSWERED], (typist, number, words)


def said(*pairs: tuple[Role, str], seconds_ago: float = 10) -> list[Message]:
    at = NOW - timedelta(seconds=seconds_ago)
    return [Message(role=role, content=words, timestamp=at) for role, words in pairs]


CAT, PERSON = Role.ASSISTANT, Role.USER


@pytest.mark.parametrize(
    ("body", "before", "like"),
    [
        (ESSAY, [], 0),
        (ESSAY, said((PERSON, "hi"), (CAT, "prrt"), seconds_ago=2), 1),
        (ESSAY, said((PERSON, "hi"), (CAT, "prrt"), seconds_ago=10), -1),
        ("ok", said((PERSON, "hi"), (CAT, "prrt"), seconds_ago=1), 0),
        ("ok", said((PERSON, "hi"), (CAT, "prrt"), seconds_ago=40), -1),
        (ESSAY, said((CAT, "prrt"), (PERSON, "hi"), seconds_ago=1), 0),
        (ESSAY, said((PERSON, "hi"), (CAT, ESSAY.upper()), seconds_ago=500), 1),
        (ESSAY, said((PERSON, ESSAY), (CAT, "prrt"), seconds_ago=500), 1),
        (f"{ESSAY} {ESSAY}", said((PERSON, "hi"), (CAT, ESSAY), (CAT, ESSAY), seconds_ago=500), 1),
    ],
)
def test_what_looks_like_a_machine(body: str, before: list[Message], like: int) -> None:
    assert likeness(body, before, NOW) == like


def test_help_is_answered_with_the_line_and_by_no_engine() -> None:
    room = Room(habits={"help_line": "a cat. STOP ends it."})
    _, question, _ = room.texts("hello", "HELP", "and then?")

    room.serve()

    assert room.received == ["re: hello", "a cat. STOP ends it.", "re: and then?"]
    assert [heard.texts for heard in room.parrot.heard] == [["hello"], ["and then?"]]
    assert "a cat. STOP ends it." not in [line["content"] for line in room.parrot.heard[-1].history]
    (part,) = room.store.outbox.parts(ANN, question.sid)
    assert part.engine == "help line"


@pytest.mark.parametrize(("body", "answered"), [("info", 0), ("info.", 1)])
def test_without_a_line_the_cat_answers_a_help_that_twilio_does_not_hear(body: str, answered: int) -> None:
    room = Room()
    room.texts(body)

    room.serve()

    assert len(room.received) == answered


def test_where_twilio_says_that_it_has_answered_help_we_do_not() -> None:
    room = Room(habits={"help_line": "a cat. STOP ends it."})
    room.inbox.texts.accept(a_text("HELP", opt_out_type="HELP"))

    room.serve()

    assert room.received == []


def test_help_of_a_person_who_said_stop_is_met_with_silence() -> None:
    room = Room(habits={"help_line": "a cat. STOP ends it."})
    room.texts("STOP", "HELP")

    room.serve()

    assert room.received == []


@pytest.mark.parametrize(
    ("sender", "habits", "answered"),
    [
        ("72345", {}, False),
        ("72345", {"short_codes": True}, True),
        ("CATFOOD", {"short_codes": True}, False),
        ("+4915112345678", {"countries": frozenset({"US"})}, False),
        ("+4915112345678", {"countries": frozenset({"US", "DE"})}, True),
        ("whatsapp:+4915112345678", {"countries": frozenset({"DE"})}, True),
        ("+8835100012345", {"countries": frozenset({"US"})}, False),
        (OUR_NUMBER, {}, False),
    ],
)
def test_who_is_answered(sender: str, habits: dict[str, object], answered: bool) -> None:  # noqa: FBT001 - a parameter
    from inbox import payloads  # noqa: PLC0415 - one use

    room = Room(habits=habits)
    room.inbox.texts.accept(a_text("hello", sender=sender))

    room.worker().serve(payloads.who(sender, b"memory"))

    assert bool(room.received) is answered


def test_a_number_is_of_a_country() -> None:
    assert [countries.of(number) for number in ("+12125550001", "+14165550001", "+447400123456", "nonsense", "")] == [
        "US", "CA", "GB", "", "",
    ]  # fmt: skip


def test_each_kind_of_number_has_its_pace() -> None:
    pace = Pace(long_code=1, toll_free=3, short_code=100)

    senders = {"+15005550006": 1, "+18885550001": 3, "72345": 100, "whatsapp:+15005550006": 1, "rcs:cat_agent": 0}
    assert {sender: pace.of(sender) for sender in senders} == senders
