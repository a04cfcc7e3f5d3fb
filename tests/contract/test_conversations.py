"""Every store of conversations keeps the same promises."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any, cast

import pytest

from conversation import window
from conversation.errors import Fenced
from conversation.manager import ConversationManager
from conversation.models import Message, Role, echo
from conversation.storage import DynamoDBStorage
from conversation.table import Check, Tables, Update
from journal.store import Journal
from tests.builders import ANN, BEN, NOW


def said(content: str, key: str, role: Role = Role.USER, seconds: int = 0) -> Message:
    return Message(role=role, content=content, timestamp=NOW + timedelta(seconds=seconds), key=key)


def test_no_one_is_known_before_something_was_said(store: Journal) -> None:
    assert store.storage.get(ANN) is None


def test_messages_are_kept_in_the_order_in_which_they_were_added(store: Journal) -> None:
    store.storage.append(ANN, said("hello", "msg#1"), now=NOW)
    store.storage.append(ANN, said("prrt", "msg#2", Role.ASSISTANT, 1), now=NOW)

    conversation = store.storage.get(ANN)

    assert conversation is not None
    assert conversation.get_formatted_history() == [
        {"role": "user", "content": "hello"},
        {"role": "assistant", "content": "prrt"},
    ]


def test_adding_the_same_message_twice_changes_nothing(store: Journal) -> None:
    store.storage.append(ANN, said("hello", "msg#1"), now=NOW)
    again = store.storage.append(ANN, said("hello", "msg#1"), now=NOW)

    assert [message.content for message in again.messages] == ["hello"]
    assert [entry.content for entry in store.storage.page(ANN).entries] == ["hello"]


def test_people_do_not_hear_each_other(store: Journal) -> None:
    store.storage.append(ANN, said("ann", "msg#1"), now=NOW)
    store.storage.append(BEN, said("ben", "msg#1"), now=NOW)

    assert [entry.content for entry in store.storage.page(ANN).entries] == ["ann"]


def test_the_window_is_bounded_and_the_transcript_is_whole(store: Journal) -> None:
    total = window.WINDOW_MESSAGES + 15
    for number in range(total):
        store.storage.append(ANN, said(f"text {number}", f"msg#{number:03d}", seconds=number), now=NOW)

    conversation = store.storage.get(ANN)
    assert conversation is not None
    assert len(conversation.messages) == window.WINDOW_MESSAGES
    assert conversation.messages[-1].content == f"text {total - 1}"
    history = ConversationManager(storage=store.storage).history(ANN)
    assert [entry.content for entry in history] == [f"text {number}" for number in range(total)]


def test_pages_follow_one_another_without_gap_or_repetition(store: Journal) -> None:
    for number in range(7):
        store.storage.append(ANN, said(f"text {number}", f"msg#{number}", seconds=number), now=NOW)

    contents, cursor = [], None
    for _ in range(4):
        page = store.storage.page(ANN, cursor=cursor, limit=2)
        contents += [entry.content for entry in page.entries]
        cursor = page.cursor
        if cursor is None:
            break

    assert contents == [f"text {number}" for number in range(7)]
    assert cursor is None


def test_a_reset_empties_the_window_and_keeps_the_record(store: Journal) -> None:
    store.storage.append(ANN, said("my name is Ann", "msg#1"), now=NOW)

    store.storage.reset(ANN, now=NOW + timedelta(seconds=5))

    conversation = store.storage.get(ANN)
    assert conversation is not None
    assert conversation.messages == ()
    assert conversation.is_active
    assert [entry.content for entry in store.storage.page(ANN).entries] == ["my name is Ann"]


def test_one_message_larger_than_the_window_is_still_there(store: Journal) -> None:
    big = "x" * (window.WINDOW_BYTES + 1)
    store.storage.append(ANN, said("before", "msg#1"), now=NOW)

    conversation = store.storage.append(ANN, said(big, "msg#2", seconds=1), now=NOW)

    assert [message.content for message in conversation.messages] == [big]


def test_any_string_is_a_user(store: Journal) -> None:
    for user_id in ("+1234567890", "whatsapp:+15551230001", "BANK", "12345", "名前"):
        store.storage.append(user_id, said("hello", "msg#1"), now=NOW)
        conversation = store.storage.get(user_id)
        assert conversation is not None
        assert conversation.user_id == user_id


def test_unknown_fields_of_a_message_survive(store: Journal) -> None:
    odd = replace(said("hello", "msg#1"), extra={"mood": "blue", "sender": "user"})
    store.storage.append(ANN, odd, now=NOW)
    store.storage.append(ANN, said("again", "msg#2", seconds=1), now=NOW)

    conversation = store.storage.get(ANN)

    assert conversation is not None
    assert conversation.messages[0].extra == {"mood": "blue", "sender": "user"}


def test_what_was_said_is_remembered_by_its_echo_when_its_words_are_gone(store: Journal) -> None:
    for number in range(30):
        for role in (Role.USER, Role.ASSISTANT):
            message = Message(role=role, content=f"{role} {number}", timestamp=NOW, key=f"msg#{number:03d}#{role}")
            store.storage.append(ANN, message, now=NOW)

    kept = store.storage.get(ANN)

    assert kept is not None
    assert len(kept.messages) < 60
    assert kept.echoes == tuple(echo(f"assistant {number}") for number in range(30))


class Interrupted:
    """Tables that let another writer write before a transaction, once."""

    def __init__(self, behind: Tables, meanwhile: Callable[[], object]) -> None:
        self._behind, self._meanwhile = behind, [meanwhile]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._behind, name)

    def transact(self, *writes: Update | Check) -> None:
        """Carry out the writes behind the other writer's."""
        while self._meanwhile:
            self._meanwhile.pop()()
        self._behind.transact(*writes)


def interrupted(store: Journal, meanwhile: Callable[[], object]) -> DynamoDBStorage:
    """Return the store as a writer sees it whose first transaction comes behind another writer's."""
    storage = store.storage
    return DynamoDBStorage(
        storage.names.conversations, messages_table_name=storage.names.messages,
        tables=cast("Tables", Interrupted(storage.tables, meanwhile)),
    )  # fmt: skip


def test_two_writers_at_once_lose_no_message(store: Journal) -> None:
    store.storage.append(ANN, said("first", "msg#1"), now=NOW)
    late = interrupted(store, lambda: store.storage.append(ANN, said("meanwhile", "msg#2"), now=NOW))

    late.append(ANN, said("late", "msg#3"), now=NOW)

    kept = store.storage.get(ANN)
    assert kept is not None
    assert [message.content for message in kept.messages] == ["first", "meanwhile", "late"]


def test_what_a_program_without_versions_wrote_meanwhile_is_kept(store: Journal) -> None:
    storage = store.storage
    storage.append(ANN, said("first", "msg#1"), now=NOW)
    window = json.dumps([said("of an older program", "msg#2").to_json()])
    write = Update(
        table=storage.names.conversations, key={"user_id": ANN},
        set={"messages": window, "updated_at": (NOW + timedelta(seconds=1)).isoformat()},
    )  # fmt: skip

    interrupted(store, lambda: storage.tables.update(write)).append(ANN, said("late", "msg#3"), now=NOW)

    kept = storage.get(ANN)
    assert kept is not None
    assert [message.content for message in kept.messages] == ["of an older program", "late"]


def test_a_reset_counts_a_message_that_came_meanwhile(store: Journal) -> None:
    store.storage.append(ANN, said("first", "msg#1"), now=NOW)
    late = interrupted(store, lambda: store.storage.append(ANN, said("meanwhile", "msg#2"), now=NOW))

    late.reset(ANN, now=NOW)

    kept = store.storage.get(ANN)
    assert kept is not None
    assert (kept.messages, kept.version) == ((), 3)


def test_a_worker_that_slept_through_its_lease_cannot_forget(store: Journal) -> None:
    sleeper = store.conversations.open(ANN, now=NOW)
    store.storage.append(ANN, said("first", "msg#1"), now=NOW)
    late = interrupted(store, lambda: store.conversations.open(ANN, now=NOW))

    with pytest.raises(Fenced):
        late.begin_anew(ANN, through_ms=0, now=NOW, fence=sleeper.fence)

    kept = store.storage.get(ANN)
    assert kept is not None
    assert len(kept.messages) == 1
