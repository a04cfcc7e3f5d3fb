"""What the cat remembers: the window, the person's statements and the summary."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest

from cat import persona, prompt, recall
from cat.errors import EngineFailed
from cat.ports import Heard, Reply
from cat.prices import Catalogue
from cat.recall import INSTRUCTIONS, keep_facts, keep_told, recent, told_in
from conversation.entries import Entry
from conversation.errors import StoreAway
from conversation.models import Conversation, Memory, Message, Role, echo
from inbox import keys, payloads, worker_keys
from inbox.budget import Caps, day_of
from tests.builders import ANN, NOW, WINDOW, a_cat
from tests.room import CATALOGUE, WHO, Dying, Room
from worker.memories import Memories


def talk(*turns: tuple[str, ...], hours_ago: float = 0, minutes_apart: float = 1) -> Conversation:
    """Build a conversation of turns, each with the person's texts and one reply."""
    at = NOW - timedelta(hours=hours_ago)
    messages = []
    for turn in turns:
        at += timedelta(minutes=minutes_apart)
        messages += [Message(role=Role.USER, content=text, timestamp=at, key=f"in#{text}") for text in turn]
        messages.append(Message(role=Role.ASSISTANT, content=f"re: {turn[-1]}", timestamp=at, key=f"out#{turn[-1]}"))
    return replace(Conversation.new(ANN, NOW), messages=tuple(messages))


def words(messages: tuple[Message, ...]) -> list[str]:
    return [message.content for message in messages]


def test_the_window_holds_whole_turns_newest_first() -> None:
    conversation = talk(("one",), ("two", "and a half"), ("three",))

    # the three turns take 14, 24 and 14 tokens
    assert words(recent(conversation, replace(WINDOW, tokens=14), now=NOW)) == ["three", "re: three"]
    assert words(recent(conversation, replace(WINDOW, tokens=38), now=NOW)) == [
        "two", "and a half", "re: and a half", "three", "re: three",
    ]  # fmt: skip
    assert recent(conversation, replace(WINDOW, tokens=3), now=NOW) == ()
    assert len(recent(conversation, WINDOW, now=NOW)) == 7


def test_the_window_is_bounded_in_number() -> None:
    conversation = talk(*[(str(number),) for number in range(20)])

    assert words(recent(conversation, WINDOW, now=NOW))[0] == "6"


def test_old_talk_is_shown_until_it_is_remembered() -> None:
    old = talk(("one",), ("two",), hours_ago=100)
    through = int((NOW - timedelta(hours=90)).timestamp() * 1000)

    assert words(recent(old, WINDOW, now=NOW)) == ["one", "re: one", "two", "re: two"]
    assert recall.is_due(old, WINDOW, now=NOW)
    folded = old.remembering(Memory(through=through))
    assert recent(folded, WINDOW, now=NOW) == ()
    assert not recall.is_due(folded, WINDOW, now=NOW)


def test_messages_without_a_time_are_as_young_as_any() -> None:
    undated = replace(talk(), messages=(Message(role=Role.USER, content="hello", key="old#0"),))

    assert words(recent(undated, WINDOW, now=NOW)) == ["hello"]
    assert not recall.is_due(undated, WINDOW, now=NOW)


@pytest.mark.parametrize(
    ("text", "statements"),
    [
        ("hi, my name is Ada and i live in Bern!", ["my name is ada", "i live in bern"]),
        ("My dog's name is Rex. what is yours?", ["my dog's name is rex"]),
        ("i'm allergic to nuts; i work as a nurse", ["i'm allergic to nuts", "i work as a nurse"]),
        ("ich heiße Jonas und ich wohne in Wien", ["ich heiße jonas", "ich wohne in wien"]),
        ("je m'appelle Zoé et j'habite à Lyon", ["je m'appelle zoé", "j'habite à lyon"]),
        ("me llamo Luz. tengo dos perros", ["me llamo luz", "tengo dos perros"]),
        ("i love you", []),
        ("i like it when you purr", []),
        ("what is the meaning of life?", []),
        ("call me +41 79 123 45 67", []),
        ("my name is x7k9q2", []),
        ("my wife is at https://example.com/me", []),
        ("i live in 90210 98765", []),
        ("my boss is a f*cking idi0t", ["my boss is a f*cking idi0t"][:0]),
        ("i\u202e live in \U000e0041bern", ["i live in bern"]),
    ],
)
def test_what_a_person_tells_about_itself(text: str, statements: list[str]) -> None:
    assert told_in(text) == statements


def test_of_what_there_can_be_only_one_the_newest_is_kept() -> None:
    known = keep_told([], ["my name is ada", "i live in bern", "i like fish", "my dog is rex"])

    assert keep_told(known, ["call me bo", "i live in basel", "i like tuna", "my dog is otto"]) == (
        "i like fish", "call me bo", "i live in basel", "i like tuna", "my dog is otto",
    )  # fmt: skip


def test_a_word_that_may_be_a_name_does_not_replace_a_name() -> None:
    assert keep_told(["my name is ada"], ["i'm tom"]) == ("my name is ada",)


def test_a_statement_of_an_older_program_stays() -> None:
    assert keep_told(["i live alone"], ["my name is ada"]) == ("i live alone", "my name is ada")


@pytest.mark.parametrize(
    ("known", "texts", "facts"),
    [
        ([("name", "ada", "2026-01-01")], ["I'm Tom"], [("name", "ada")]),
        ([("pet:hund", "bruno", "2026-01-01")], ["my dog is called Rex"], [("pet:dog", "rex")]),
        ([("has:cats", "two cats", "2026-01-01")], ["we have three cats"], [("has:cats", "three cats")]),
        ([], ["mein hund heißt Bruno", "my name is Ada", "vivo en Lugo"], [
            ("pet:hund", "bruno"), ("name", "ada"), ("home", "lugo"),
        ]),
        ([], ["my dog is not called Rex", "my mum says i live in Hull"], []),
        ([], ["i have 3 kids", "my brother's name is Olu"], [("kids", "3 kids"), ("relative:brother", "olu")]),
        ([], ["i hate funerals", "my boss is a f*cking idi0t"], []),
    ],
)  # fmt: skip
def test_facts_of_old_talk_are_kept_in_the_language_they_were_told_in(
    known: list[tuple[str, str, str]], texts: list[str], facts: list[tuple[str, str]]
) -> None:
    entries = [Entry(key=text, role=Role.USER, content=text, arrived="1764000000000-0") for text in texts]

    assert [(key, value) for key, value, _ in keep_facts(known, entries)] == facts


def test_only_so_much_is_kept() -> None:
    kept = keep_told([], [f"i like fish number {number}" for number in range(100)])

    assert len(kept) == recall.TOLD_KEPT
    assert kept[-1] == "i like fish number 99"


@dataclass
class Clerk:
    """A summarizer that returns configured notes and records its requests; None makes it fail."""

    says: str | None = "ann likes tuna."
    asked: list[tuple[str, str]] = field(default_factory=list)
    meanwhile: Callable[[], object] = lambda: None
    name: str = "openai:parrot"
    paid: bool = False

    def reply(self, heard: Heard, *, seconds: float) -> Reply:
        raise NotImplementedError

    def note(self, instructions: str, talk: str, *, seconds: float) -> Reply:
        del seconds
        self.asked.append((instructions, talk))
        self.meanwhile()
        if self.says is None:
            raise EngineFailed("clerk: away", transient=True, paid=self.paid)
        return Reply(words=self.says, engine=self.name, facts={"model": "c", "tokens_in": 50, "tokens_out": 5})


def memories(room: Room, clerk: Clerk | None, quota: Any = None) -> Memories:
    budget = room.budget(quota, room.store)
    summarizer = a_cat([clerk], catalogue=CATALOGUE).summarizer if clerk else None
    return Memories(room.now, room.store, budget, summarizer, WINDOW)


def chat(room: Room, *texts: str) -> None:
    for text in texts:
        room.texts(text)
        room.serve()
        room.later(seconds=60)


SMALL_TALK = [f"small talk number {number}" for number in range(20)]


def stands(room: Room) -> Memory:
    conversation = room.store.storage.get(ANN)
    assert conversation is not None
    return conversation.memory


def test_what_was_told_survives_the_window_with_and_without_a_model() -> None:
    for clerk in (None, Clerk()):
        room = Room()
        chat(room, "my name is Ada and i live in Bern", *SMALL_TALK)
        assert room.asked_for(payloads.REMEMBER_TASK)[0] == WHO

        memories(room, clerk).refresh(WHO, ANN)
        chat(room, "who am i?")

        heard = room.parrot.heard[-1]
        assert "my name is ada" not in [line["content"].lower() for line in heard.history]
        assert heard.told == ("my name is ada", "i live in bern")
        assert heard.summary == (clerk.says if clerk else "")


def test_the_scribe_reads_what_left_the_window_and_nothing_twice() -> None:
    room, clerk = Room(), Clerk()
    chat(room, *SMALL_TALK)
    memories(room, clerk).refresh(WHO, ANN)
    memories(room, clerk).refresh(WHO, ANN)
    chat(room, *[f"more {number}" for number in range(12)])
    memories(room, clerk).refresh(WHO, ANN)

    assert len(clerk.asked) == 2
    (instructions, first), (_, second) = clerk.asked
    assert instructions == INSTRUCTIONS
    assert "small talk number 0" in first
    assert "small talk number 0" not in second
    assert "Notes so far: ann likes tuna." in second
    read = [line for line in (first + "\n" + second).splitlines() if line.startswith("person: ")]
    assert len(read) == len(set(read))
    conversation = room.store.storage.get(ANN)
    assert conversation is not None
    shown = [f"person: {message.content}" for message in recent(conversation, WINDOW, now=room.now())]
    everything = [f"person: {text}" for text in (*SMALL_TALK, *[f"more {number}" for number in range(12)])]
    # each message is in the summarizer's input or in the window
    assert [text for text in everything if text in read or text in shown] == everything
    assert not set(read) & set(shown)


def test_a_reply_is_folded_with_its_text_even_if_it_was_given_later() -> None:
    room, clerk = Room(), Clerk()
    room.parrot.meanwhile = lambda: room.later(seconds=1)
    # all texts wait before the first reply is given
    for text in SMALL_TALK:
        room.texts(text)
        room.later(seconds=0.01)
    room.serve()
    memories(room, clerk).refresh(WHO, ANN)

    chat(room, "more")

    conversation = room.store.storage.get(ANN)
    assert conversation is not None
    assert not recall.is_due(conversation, WINDOW, now=room.now())
    assert recall.unfolded(conversation, before=room.now())[0].content == "small talk number 6"
    assert len(clerk.asked) == 1


def test_texts_of_one_millisecond_are_folded_once_the_window_has_passed_them() -> None:
    room, clerk = Room(), Clerk()
    room.texts("my name is Ada", *SMALL_TALK)
    room.later(seconds=1)
    room.serve()
    # the window begins within the millisecond: nothing can be folded yet, so no task is asked for
    assert room.asked_for(payloads.REMEMBER_TASK) == []

    chat(room, *[f"more {number}" for number in range(14)])
    assert room.asked_for(payloads.REMEMBER_TASK)[0] == WHO
    memories(room, clerk).refresh(WHO, ANN)

    assert stands(room).told == ("my name is ada",)
    assert "small talk number 19" in clerk.asked[0][1]


def test_a_silent_scribe_is_waited_for_and_not_for_ever() -> None:
    room, clerk = Room(), Clerk(says=None)
    chat(room, "my name is Ada", *SMALL_TALK)

    memories(room, clerk).refresh(WHO, ANN)
    assert stands(room) == Memory()

    chat(room, *[f"more {number}" for number in range(40)])
    memories(room, clerk).refresh(WHO, ANN)
    assert stands(room).told == ("my name is ada",)


def test_notes_that_betray_the_prompt_are_thrown_away() -> None:
    room, clerk = (
        Room(),
        Clerk(says="DadaCat: a dadaist cat that lives inside a language model on a warm server, and knows it"),
    )
    chat(room, *SMALL_TALK)

    memories(room, clerk).refresh(WHO, ANN)

    assert stands(room).summary == ""
    assert stands(room).through > 0


def test_after_a_reset_nothing_of_before_is_remembered() -> None:
    room, clerk = Room(), Clerk()
    chat(room, "my name is Ada", *SMALL_TALK)
    memories(room, clerk).refresh(WHO, ANN)

    chat(room, "RESET", "who am i?")

    heard = room.parrot.heard[-1]
    assert (heard.told, heard.summary) == ((), "")
    assert [line["content"] for line in heard.history][:1] == ["RESET"]
    chat(room, *SMALL_TALK)
    memories(room, clerk).refresh(WHO, ANN)
    assert "Ada" not in clerk.asked[-1][1]
    assert "Notes so far: (none)" in clerk.asked[-1][1]


def test_a_reset_while_the_scribe_writes_is_not_undone() -> None:
    room, clerk = Room(), Clerk()
    chat(room, "my name is Ada", *SMALL_TALK)
    clerk.meanwhile = lambda: chat(room, "reset")

    memories(room, clerk).refresh(WHO, ANN)

    assert stands(room).told == ()
    assert stands(room).summary == ""


def test_what_others_keep_in_metadata_stays() -> None:
    room = Room()
    chat(room, "my name is Ada", *SMALL_TALK)
    room.rewrite_item(metadata='{"crm": 7}')

    memories(room, None).refresh(WHO, ANN)
    chat(room, "reset")

    conversation = room.store.storage.get(ANN)
    assert conversation is not None
    assert json.loads(conversation.metadata_json())["crm"] == 7
    assert conversation.metadata["memory"]["through"] > 0


def test_where_metadata_is_not_ours_nothing_is_folded_or_paid_for() -> None:
    room, clerk = Room(), Clerk()
    chat(room, *SMALL_TALK)
    room.rewrite_item(metadata="not json")
    room.redis.delete(keys.QUEUE)
    chat(room, "more")

    memories(room, clerk).refresh(WHO, ANN)

    assert (clerk.asked, room.asked_for(payloads.REMEMBER_TASK)) == ([], [])
    # messages that cannot be folded leave the window when they are too old
    room.later(seconds=100 * 3600)
    conversation = room.store.storage.get(ANN)
    assert conversation is not None
    assert recent(conversation, WINDOW, now=room.now()) == ()


@pytest.mark.parametrize("dated", [True, False])
def test_talk_of_a_program_without_a_journal_is_folded_in(*, dated: bool) -> None:
    room, clerk = Room(), Clerk()
    old = [
        Message(
            role=Role.USER if number % 2 == 0 else Role.ASSISTANT,
            content="my name is Ada" if number == 0 else f"old talk {number}",
            timestamp=room.now() - timedelta(hours=1, seconds=-number) if dated or number == 25 else None,
        )
        for number in range(26)
    ]
    room.rewrite_item(messages=json.dumps([message.to_json() for message in old]))
    chat(room, *[f"new talk {number}" for number in range(8)])

    memories(room, clerk).refresh(WHO, ANN)
    chat(room, *SMALL_TALK)
    memories(room, clerk).refresh(WHO, ANN)

    assert stands(room).told == ("my name is ada",)
    read = [line.partition(": ")[2] for _, talk in clerk.asked for line in talk.splitlines()]
    assert [read.count(message.content) for message in old] == [1] * len(old)
    conversation = room.store.storage.get(ANN)
    assert conversation is not None
    assert not recall.is_due(conversation, WINDOW, now=room.now())


def test_without_money_what_was_told_is_kept_all_the_same_in_time() -> None:
    room, clerk = Room(), Clerk()
    quota = room.a_quota(Caps(day=0))
    chat(room, "my name is Ada", *SMALL_TALK)
    memories(room, clerk, quota).refresh(WHO, ANN)
    assert stands(room) == Memory()

    chat(room, *[f"more {number}" for number in range(40)])
    memories(room, clerk, quota).refresh(WHO, ANN)

    assert clerk.asked == []
    assert stands(room).told == ("my name is ada",)


def test_what_a_scribe_takes_to_say_nothing_is_on_the_bill() -> None:
    room, clerk = Room(), Clerk(says=None, paid=True)
    chat(room, *SMALL_TALK)
    quota = room.a_quota(Caps(day=10**6))

    memories(room, clerk, quota).refresh(WHO, ANN)

    entries = list(room.store.costs.since(room.now() - timedelta(days=1), print))
    (memo,) = [cost for cost in entries if not cost.turn and cost.model]
    assert memo.engine == "openai:parrot"
    assert memo.model > 100
    assert room.redis.hget(worker_keys.spent_on(day_of(room.now())), "model") == b"%d" % sum(
        cost.model for cost in entries
    )


def test_notes_cost_money_and_wait_where_there_is_none() -> None:
    room, clerk = Room(), Clerk()
    chat(room, *SMALL_TALK)
    quota = room.a_quota(Caps(day=0))

    memories(room, clerk, quota).refresh(WHO, ANN)
    assert (clerk.asked, stands(room)) == ([], Memory())

    memories(room, clerk, room.a_quota(Caps(day=10**6))).refresh(WHO, ANN)
    assert stands(room).summary == "ann likes tuna."
    memo = [cost for cost in room.store.costs.since(room.now() - timedelta(days=1), print) if cost.tokens_in == 50]
    assert [(cost.engine, cost.model, cost.replies) for cost in memo] == [("openai:parrot", 55, 0)]


@pytest.mark.parametrize("call", ["costs.record_memory", "conversations.remember"])
def test_notes_that_cannot_be_stored_cost_what_they_cost(call: str) -> None:
    room, clerk = Room(), Clerk()
    chat(room, *SMALL_TALK)
    quota = room.a_quota(Caps(day=10**6))
    room.budget(quota, room.store).count(now=room.now())
    before = int(room.redis.hget(worker_keys.spent_on(day_of(room.now())), "model") or 0)
    room.store = Dying(room.store, call, after=False, error=StoreAway("throttled"))  # type: ignore[assignment]

    with pytest.raises(StoreAway):
        memories(room, clerk, quota).refresh(WHO, ANN)

    assert room.redis.hget(worker_keys.spent_on(day_of(room.now())), "model") == b"%d" % (before + 55)


def test_a_model_is_told_in_the_persons_mouth_and_never_in_the_prompt() -> None:
    heard = Heard(
        history=[{"role": "user", "content": "hi"}, {"role": "assistant", "content": "prrt"}],
        texts=["who am i?", "and you?"], seed="SM1", told=["my name is ada"], summary="they talk about\u202e tuna",
    )  # fmt: skip

    asked = prompt.for_reply(persona.shipped(), heard)

    assert asked.turns[:2] == [("user", "hi"), ("assistant", "prrt")]
    speaker, words = asked.turns[2]
    assert (speaker, words.endswith("]\n\nwho am i?\nand you?")) == ("user", True)
    assert "told by the person before: my name is ada" in words
    assert "talked about before: they talk about tuna" in words
    assert asked.system == persona.shipped().system


def test_the_poet_plays_with_what_was_told_long_ago() -> None:
    from cat.engines.dada import Dada  # noqa: PLC0415

    poet = Dada()
    replies = [
        poet.reply(
            Heard(
                history=[],
                texts=["the window is open again tonight"],
                seed=f"SM{n}",
                told=["my rabbit is called marmalade"],
            ),
            seconds=1,
        ).words
        for n in range(60)
    ]

    assert any("marmalade" in words or "rabbit" in words for words in replies)


@pytest.mark.parametrize(
    ("habits", "bodies"),
    [
        ({"first_contact": "DadaCat. STOP ends it."}, ["re: 0\nDadaCat. STOP ends it.", "re: 1", "re: 2", "re: 3"]),
        ({"footer": "feed me", "footer_every": 2}, ["re: 0", "re: 1\nfeed me", "re: 2", "re: 3\nfeed me"]),
        ({}, ["re: 0", "re: 1", "re: 2", "re: 3"]),
    ],
)
def test_lines_under_a_reply_stand_where_the_settings_want_them(habits: dict[str, Any], bodies: list[str]) -> None:
    room = Room(habits=habits)
    chat(room, "0", "1", "2", "3")

    assert room.received == bodies
    # the first-contact line does not come again after a reset
    chat(room, "reset")
    assert "DadaCat." not in room.received[-1]


def test_a_stranger_in_danger_is_greeted_with_the_next_reply() -> None:
    room = Room(habits={"first_contact": "DadaCat. STOP ends it."})
    chat(room, "i want to die", "hello", "hello", "hello", "hello again", "and again")

    assert ["STOP ends it" in message for message in room.received] == [False, False, False, False, True, False]


def test_a_stranger_who_got_a_last_line_is_greeted_when_there_is_money_again() -> None:
    room = Room(
        habits={"first_contact": "DadaCat. STOP ends it."},
        messages=Caps(person=0),
    )
    chat(room, "hello")
    room.quota = None
    chat(room, "hello", "hello again")

    assert ["STOP ends it" in message for message in room.received] == [False, True, False]


@pytest.mark.parametrize("max_parts", [1, 3])
def test_lines_of_the_house_are_not_the_cats_own_words(max_parts: int) -> None:
    room = Room(habits={"footer": "feed me", "footer_every": 1, "first_contact": "DadaCat."}, max_parts=max_parts)
    chat(room, "one", "two", "three")

    assert room.parrot.heard[-1].history == [
        {"role": "user", "content": "one"}, {"role": "assistant", "content": "re: one"},
        {"role": "user", "content": "two"}, {"role": "assistant", "content": "re: two"},
    ]  # fmt: skip
    assert echo("re: one") in room.parrot.heard[-1].echoes
    assert [message for message in room.received if "feed me" in message]


def test_nothing_stands_under_words_for_a_person_in_danger() -> None:
    room = Room(habits={"footer": "feed me", "footer_every": 1})
    chat(room, "hello", "hello again", "i want to die")

    assert ["feed me" in message for message in room.received] == [False, True, False]


def test_an_empty_catalogue_asks_for_no_money() -> None:
    assert Catalogue({}).of("whatever").cost(10**6, 10**6) == 0
