"""The budget is never overspent, by any number of workers, and a person gets one last line about it."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest

from cat import prompt
from cat.danger import helplines
from cat.ports import Heard
from conversation.errors import Fenced, StoreAway, TooMuchContention
from inbox import payloads, worker_keys
from inbox.budget import Ask, Caps, day_of
from inbox.errors import InboxAway
from journal.model import LAST_LINE
from journal.states import TurnState
from sms.messages import DeliveryReport, MessageSid
from tests.builders import ANN, BEN, NOW, a_text
from tests.room import CATALOGUE, TARIFF, WHO, Dying, Room
from worker.budget import LAST_LINES, Asked, Budget
from worker.recount import Counting

#: Cost of the parrot's reply and of its message, in `tests.room`.
MODEL, MESSAGE = 110, 10_000


def a_room(*, models: Caps | None = None, messages: Caps | None = None, **more: Any) -> Room:
    return Room(models=models or Caps(), messages=messages or Caps(), **more)


def set_aside(text: str) -> int:
    """Return what is set aside for a model's reply to a person's first text."""
    told = helplines.numbers_for(helplines.country_of(ANN), "en")
    return prompt.max_cost(CATALOGUE.of("parrot"), Heard(history=[], texts=[text], seed="", numbers=told))


def reply_of(room: Room, sid: str) -> dict[str, Any]:
    turn = room.store.turns.get(ANN, sid)
    assert turn is not None
    return dict(turn.facts)


def test_a_reply_says_what_it_cost() -> None:
    room = Room()
    (text,) = room.texts("hello")

    room.serve()

    facts = reply_of(room, text.sid)
    assert (facts["engine"], facts["tokens_in"], facts["tokens_out"]) == ("openai:parrot", 100, 10)
    assert facts["model_cost"] == MODEL
    (part,) = room.store.outbox.parts(ANN, text.sid)
    assert (part.expected, part.cost) == (1, MESSAGE)


def test_over_the_models_budget_the_poet_answers() -> None:
    room = a_room(models=Caps(day=set_aside("hello") + MODEL // 2))
    texts = room.texts("hello", "and again", "and again and again")

    room.serve()

    engines = [reply_of(room, text.sid)["engine"] for text in texts]
    assert engines == ["openai:parrot", "dada", "dada"]
    assert reply_of(room, texts[1].sid)["silent_engines"] == ["all of them: over the budget"]
    assert len(room.received) == 3


def test_what_was_set_aside_and_not_spent_is_given_back() -> None:
    room = a_room(models=Caps(day=2 * set_aside("text 0")))
    room.texts(*[f"text {number}" for number in range(8)])

    room.serve()

    assert room.received[-1] == "re: text 7"


def test_over_the_messages_budget_there_is_one_last_line_and_then_silence() -> None:
    room = a_room(messages=Caps(person=2 * MESSAGE))
    texts = room.texts("one", "two", "three", "four", "five")

    room.serve()

    assert room.received[:2] == ["re: one", "re: two"]
    assert room.received[2:] == [LAST_LINES["en"]]
    assert reply_of(room, texts[2].sid)["engine"] == LAST_LINE
    assert [room.state(text) for text in texts[3:]] == [TurnState.SILENT] * 2
    assert room.store.turns.get(ANN, texts[4].sid).reason == "over the budget"  # type: ignore[union-attr]
    assert room.inbox.texts.oldest_waiting_ms() is None


def test_the_last_line_speaks_the_persons_language() -> None:
    room = a_room(messages=Caps(day=0))
    room.texts("ich weiß nicht, was ich dir heute schreiben soll")

    room.serve()

    assert room.received == [LAST_LINES["de"]]


def test_the_next_day_all_people_is_answered_again() -> None:
    room = a_room(messages=Caps(day=MESSAGE))
    room.texts("one", "two")
    room.serve()
    room.later(seconds=24 * 3600)

    room.texts("three")
    room.serve()

    assert room.received == ["re: one", LAST_LINES["en"], "re: three"]


def test_the_budget_of_a_month_lasts_longer_than_a_day() -> None:
    room = a_room(messages=Caps(month=MESSAGE), ms=int(datetime(2026, 11, 3, tzinfo=UTC).timestamp() * 1000))
    room.texts("one", "two")
    room.serve()
    room.later(seconds=24 * 3600)
    room.texts("three")
    room.serve()
    room.later(seconds=30 * 24 * 3600)
    room.texts("four")
    room.serve()

    assert room.received == ["re: one", LAST_LINES["en"], "re: four"]


def test_a_person_in_danger_is_answered_every_ten_minutes_whatever_it_costs() -> None:
    room = a_room(messages=Caps(day=0))
    room.texts("hello", "i want to die", "i want to die")
    room.serve()

    assert len(room.received) == 2
    assert room.received[0] == LAST_LINES["en"]
    assert "988" in room.received[1]

    room.later(seconds=601)
    room.texts("i want to die", "i want to die")
    room.serve()
    assert len(room.received) == 3
    assert "988" in room.received[2]


@pytest.mark.parametrize("call", ["reserve", "settle"])
@pytest.mark.parametrize("after", [False, True])
def test_a_worker_that_dies_at_the_quota_leaves_one_reply(call: str, *, after: bool) -> None:
    room = a_room(messages=Caps(person=100 * MESSAGE))
    room.texts("warm up")
    room.serve()
    (text,) = room.texts("hello")

    room.dies(quota=Dying(room.quota, call, after=after))
    room.serve()

    assert room.received == ["re: warm up", "re: hello"]
    assert room.state(text) is TurnState.ANSWERED


def test_a_worker_that_dies_with_a_last_line_does_not_take_it_along() -> None:
    room = a_room(messages=Caps(person=0))
    room.texts("hello")

    room.dies(quota=Dying(room.quota, "reserve", after=True, nth=2))
    room.serve()

    assert room.received == [LAST_LINES["en"]]


def test_after_redis_was_emptied_it_is_counted_again() -> None:
    room = a_room(messages=Caps(person=2 * MESSAGE))
    room.texts("one", "two", "three")
    room.serve()
    room.redis.flushall()

    room.texts("four")
    room.serve()

    assert room.received == ["re: one", "re: two", LAST_LINES["en"]]


def test_while_it_cannot_be_counted_the_text_waits() -> None:
    room = a_room(messages=Caps(day=100 * MESSAGE))
    (text,) = room.texts("one")

    room.serve(journal=Dying(room.store, "costs.page", after=False, error=StoreAway("throttled")))

    assert room.received == []
    assert room.state(text) is TurnState.FILED
    # the process that could not count counts as dead after a while
    room.later(seconds=11)
    room.serve()
    assert room.received == ["re: one"]


def test_while_it_cannot_be_counted_the_poet_answers_where_messages_have_no_cap() -> None:
    room = a_room(models=Caps(day=10**6))
    texts = room.texts("one", "two")

    away = Dying(room.store, "costs.page", after=False, error=StoreAway("throttled"))
    room.serve(journal=away)

    first = reply_of(room, texts[0].sid)
    assert first["engine"] == "dada"
    assert first["silent_engines"] == ["all of them: it is not yet counted what was spent"]
    # the same process continues the recount at the next text
    assert room.received[1] == "re: two"


def test_while_it_cannot_be_counted_a_person_in_danger_is_answered() -> None:
    room = a_room(messages=Caps(day=100 * MESSAGE))
    room.texts("i want to die")

    room.serve(journal=Dying(room.store, "costs.page", after=False, error=StoreAway("throttled")))

    assert "988" in room.received[0]


def test_a_count_that_takes_longer_than_a_person_waits_is_carried_on_by_a_task() -> None:
    room = a_room(messages=Caps(person=70 * MESSAGE))
    assert room.quota is not None
    for number in range(70):
        room.texts(f"text {number}")
        room.serve()
    assert room.received[-1] == "re: text 69"
    room.redis.flushall()
    requests, seconds = [], [0.0]

    def counting() -> Counting:
        def clock() -> float:
            seconds[0] += 1.0
            return seconds[0]

        return Counting(
            room.quota, room.store, who=lambda person: payloads.who(person, b"memory"),  # type: ignore[arg-type]
            ask=lambda: requests.append(1), clock=clock,
        )  # fmt: skip

    room.tables.page_rows = 2
    rounds = 0
    while room.quota.begin_count("look", now=room.now()) is not None:
        room.later(seconds=11)
        counting().go_on(seconds=1, now=room.now())
        room.later(seconds=11)
        rounds += 1

    assert rounds > 1
    assert len(requests) == rounds - 1
    room.texts("one more")
    room.serve()
    assert room.received[-1] == LAST_LINES["en"]


def test_a_last_line_goes_over_a_cap_of_all_people_only_once() -> None:
    room = a_room(messages=Caps(day=MESSAGE))
    assert room.quota is not None
    room.texts("one", "two")
    room.serve()
    spent_on_ann = list(room.received)

    room.inbox.texts.accept(a_text("hello", sender=BEN))
    room.worker().serve(payloads.who(BEN, b"memory"))

    assert spent_on_ann == ["re: one", LAST_LINES["en"]]
    assert room.received == spent_on_ann


def test_who_asks_to_be_forgotten_is_also_where_there_is_no_money_to_say_so() -> None:
    room = a_room(messages=Caps(person=MESSAGE))
    room.texts("a secret", "hello", "reset")

    room.serve()

    assert room.received == ["re: a secret", LAST_LINES["en"]]
    conversation = room.store.storage.get(ANN)
    assert conversation is not None
    assert conversation.messages == ()
    assert conversation.memory.through > 0


def test_asking_for_help_takes_no_ones_answer_in_danger() -> None:
    room = a_room(messages=Caps(day=0), habits={"help_line": "a cat. STOP ends it."})
    room.texts("hello", "HELP", "i want to die", "HELP", "i want to die")

    room.serve()

    assert [message[:20] for message in room.received[:2]] == [LAST_LINES["en"][:20], "a cat. STOP ends it."]
    assert "988" in room.received[2]
    assert len(room.received) == 3


def test_where_only_the_newest_is_answered_a_last_line_outlives_who_died_with_it() -> None:
    room = a_room(messages=Caps(person=0), policy="latest")
    room.texts("one")
    room.serve()
    assert room.received == [LAST_LINES["en"]]
    room.later(seconds=24 * 3600)

    room.texts("two", "three")
    room.dies(quota=Dying(room.quota, "reserve", after=True))
    room.texts("four")
    room.serve()

    assert room.received == [LAST_LINES["en"]] * 2


PERSIST_FAILS: list[tuple[Exception, bool]] = [
    (Fenced("another worker opened this conversation"), False),
    (TooMuchContention("many write"), False),
    (StoreAway("throttled"), False),
    (StoreAway("its answer is lost"), True),
    (RuntimeError("a bug"), False),
]


def totals(room: Room) -> list[Any]:
    """Return what is counted for models and for messages on this day, and the places that turns have."""
    day = worker_keys.spent_on(day_of(room.now()))
    found: Any = room.redis.hmget(day, "model", "sms")
    fields: Any = room.redis.hkeys(day)
    return [*found, *(field for field in fields if field.startswith(b"aside:"))]


@pytest.mark.parametrize(("error", "after"), PERSIST_FAILS)
def test_a_reply_that_cannot_be_stored_is_paid_once_and_its_messages_are(error: Exception, *, after: bool) -> None:
    room = a_room(models=Caps(day=10**6), messages=Caps(person=2 * MESSAGE))
    room.texts("warm up")
    room.serve()
    room.texts("hello")

    for times in range(5):
        with suppress(RuntimeError):
            room.serve(journal=Dying(room.store, "turns.persist", after=after, error=error))
        # the model is paid each time; for the message a place is set aside, once
        asked = 1 + (1 if after else times + 1)
        assert totals(room)[:2] == [b"%d" % (asked * MODEL), b"%d" % (2 * MESSAGE)]
        room.later(seconds=6)
    room.serve()

    assert room.received == ["re: warm up", "re: hello"]
    assert totals(room)[1] == b"%d" % (2 * MESSAGE)


def test_a_text_that_kills_its_workers_has_one_place_in_the_budget_of_messages() -> None:
    room = a_room(messages=Caps(person=2 * MESSAGE))
    room.texts("warm up")
    room.serve()
    (text,) = room.texts("hello")
    for _ in range(2):
        room.dies(journal=Dying(room.store, "turns.persist", after=False))

    room.serve()

    assert room.state(text) is TurnState.ANSWERED
    assert room.received == ["re: warm up", "re: hello"]
    assert totals(room)[1:] == [b"%d" % (2 * MESSAGE)]


def test_a_place_that_a_text_has_is_its_own_though_the_cap_is_exceeded_meanwhile() -> None:
    room = a_room(messages=Caps(person=MESSAGE))
    room.texts("warm up")
    room.serve(journal=Dying(room.store, "turns.persist", after=False, error=StoreAway("throttled")))
    assert room.quota is not None
    urgent = Ask(who=WHO, turn="SM-other", model=0, sms=MESSAGE, last_line=0, urgent="help")
    room.quota.reserve(urgent, now=room.now())
    room.later(seconds=6)

    room.serve()

    assert room.received == ["re: warm up"]


@pytest.mark.parametrize("code", [30001, 30023])
def test_a_second_try_is_counted_as_a_recount_counts_it(code: int) -> None:
    room = a_room(messages=Caps(person=10 * MESSAGE))
    texts = room.texts("one", "two", "three")
    room.serve()
    for text in texts:
        (part,) = room.store.outbox.parts(ANN, text.sid)
        assert part.sid is not None
        assert part.attempt_id is not None
        report = DeliveryReport(
            sid=MessageSid(part.sid), to=ANN, status="undelivered", attempt_id=part.attempt_id, error_code=code
        )
        for _ in range(2):
            # it is reported twice, and counted once
            room.receive(report)
            room.receipts.drain()

    counted = totals(room)[1]
    assert counted == b"%d" % (6 * MESSAGE)
    room.quota.forget()  # type: ignore[union-attr]
    room.budget(room.quota, room.store).count(now=room.now())
    assert totals(room)[1] == counted


def test_a_second_try_without_caps_or_while_redis_is_away_is_sent_uncounted() -> None:
    for quota in (None, Dying(Room().a_quota(), "settle", after=False, error=InboxAway("away"))):
        room = Room()
        room.aftermath._quota = quota or room.a_quota()
        (text,) = room.texts("hello")
        room.serve()
        (part,) = room.store.outbox.parts(ANN, text.sid)
        assert part.sid is not None
        assert part.attempt_id is not None
        room.receive(
            DeliveryReport(
                sid=MessageSid(part.sid), to=ANN, status="undelivered", attempt_id=part.attempt_id, error_code=30001
            )
        )
        room.receipts.drain()
        room.later(seconds=60)
        room.serve()

        assert room.received == ["re: hello", "re: hello"]
        assert totals(room)[:2] == [None, None]


def test_of_a_reply_in_several_messages_no_more_is_sent_than_was_set_aside() -> None:
    room = a_room(messages=Caps(day=2 * MESSAGE), max_parts=8, max_segments=1)
    room.parrot.words = "one\ntwo\nthree\nfour"
    room.texts("hello", "hello again", "and again")

    room.serve()

    assert room.received == [room.parrot.words, room.parrot.words, LAST_LINES["en"]]


def test_without_caps_it_is_noted_once_that_no_one_counts() -> None:
    noted: list[int] = []
    budget = Budget(None, TARIFF, max_segments=1, max_parts=1, uncounted=lambda: noted.append(1))
    asked = Asked(who=WHO, turn="SM1", to=ANN, model=5, last_line="x", urgent="")

    assert budget.ask(asked, now=NOW).model == 5
    assert budget.ask(asked, now=NOW).model == 5
    assert noted == [1]
