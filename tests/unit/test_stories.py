"""The road view and the story page: with the journal's stories, and with the network's own view alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from starlette.testclient import TestClient

from conversation.errors import StoreAway
from inbox import payloads
from operations import explain
from operations.stories import JournalStories
from simulator.account import Account
from simulator.app import create_app
from simulator.faults import Faults
from simulator.network import Network
from simulator.store import Message, Number, Store
from simulator.stories import Stories
from sms.messages import MessageSid, user_of
from sms.ports import Listed, Sent
from tests.builders import ANN, OUR_NUMBER
from tests.room import Dying, Room

APPLICATION = ["opened", "thought", "persisted", "claimed"]


def a_message(sid: str, *, inbound: bool, body: str = "hello") -> Message:
    sender, recipient = (ANN, OUR_NUMBER) if inbound else (OUR_NUMBER, ANN)
    stations = ("received", "acknowledged") if inbound else ("queued", "sent", "delivered")
    return Message(
        sid=sid, sender=sender, recipient=recipient, body=body, direction="inbound" if inbound else "outbound-api",
        status="received" if inbound else "delivered", created=1.0, updated=1.0,
        stations=tuple((station, 1.0) for station in stations),
    )  # fmt: skip


@contextmanager
def a_client(stories: Stories | None, *messages: Message) -> Iterator[TestClient]:
    store = Store("")
    store.numbers.save(Number(number=OUR_NUMBER, sid="PN1", created=1.0))
    for message in messages:
        store.save(message)
    network = Network(store, Account(sid="AC1", token="t"), faults=Faults(), base_url="http://network")
    with TestClient(create_app(network, stories=stories), base_url="http://127.0.0.1") as client:
        yield client


@pytest.fixture
def answered() -> tuple[Room, Message, Message]:
    room = Room()
    room.sender.answers.append(Sent(sid=MessageSid("SMreply"), status="queued", segments=1))
    (text,) = room.texts("hello")
    room.serve()
    (part,) = room.store.outbox.parts(ANN, text.sid)
    assert part.sid is not None
    return room, a_message(text.sid, inbound=True), a_message(part.sid, inbound=False)


def names(road: dict[str, Any]) -> list[str]:
    return [station["name"] for station in road["stations"]]


def test_the_road_has_the_stations_of_the_network_and_of_the_journal(answered: tuple[Room, Message, Message]) -> None:
    room, text, reply = answered

    with a_client(JournalStories(room.store), text, reply) as client:
        road = client.get(f"/phone/road/{text.sid}").json()

    assert names(road) == ["received", "acknowledged", *APPLICATION, "sent", "delivered"]
    assert (road["facts"]["state"], road["facts"]["reply"], road["facts"]["part"]) == ("ANSWERED", reply.sid, "SENT")


def test_without_a_journal_the_road_has_what_the_network_saw(answered: tuple[Room, Message, Message]) -> None:
    _, text, reply = answered
    with a_client(None, text, reply) as client:
        road = client.get(f"/phone/road/{text.sid}").json()
        page = client.get(f"/phone/explain/{text.sid}").text

    assert names(road) == road["all"] == ["received", "acknowledged", "queued", "sent", "delivered"]
    assert road["facts"] == {"reply": reply.sid}
    assert "started without --journal" in page


def test_the_story_of_a_reply_is_that_of_its_text(answered: tuple[Room, Message, Message]) -> None:
    room, text, reply = answered
    with a_client(JournalStories(room.store), text, reply) as client:
        pages = [client.get(f"/phone/explain/{message.sid}").text for message in (text, reply)]

    assert [f"sent as {reply.sid}" in page for page in pages] == [True, True]
    assert "<td>persisted</td>" in pages[0]


def test_the_carriers_list_names_the_person_of_a_text_and_of_a_reply() -> None:
    room = Room()
    (text,) = room.texts("hello")
    room.sender.received.append(
        Listed(
            sid=text.sid, to=OUR_NUMBER, sender=ANN, body="hello", status="received", inbound=True, created=room.now()
        )
    )
    room.serve()
    ((reply, _),) = room.sender.created
    unsearched: Any = Dying(room.store, "archive.find", after=False)

    turns = [explain.turn_of(unsearched, room.sender, sid) for sid in (text.sid, reply)]

    assert [turn.sid for turn in turns] == [text.sid, text.sid]


def test_without_the_carriers_list_every_row_is_searched() -> None:
    room = Room()
    (text,) = room.texts("hello")
    room.serve()
    ((reply, _),) = room.sender.created
    room.sender.away = True

    assert explain.turn_of(room.store, room.sender, reply).sid == text.sid


def test_a_conversation_with_one_number_is_found_too() -> None:
    room = Room(per_number=True)
    (text,) = room.texts("hello")
    user = user_of(ANN, OUR_NUMBER, per_number=True)
    room.worker().serve(payloads.who(user, b"memory"))
    (part,) = room.store.outbox.parts(user, text.sid)
    stories = JournalStories(room.store)

    story = stories.of_text(ANN, OUR_NUMBER, text.sid)

    assert story is not None
    assert story["state"] == "ANSWERED"
    assert stories.of_reply(ANN, OUR_NUMBER, part.sid or "") == story
    assert stories.of_text(ANN, OUR_NUMBER, "SMnever") is None


@pytest.mark.parametrize("story", [JournalStories.of_text, JournalStories.of_reply])
def test_a_store_that_is_away_has_no_story(story: Callable[..., object]) -> None:
    room = Room()
    away = JournalStories(Dying(room.store, "get_turn", after=False, error=StoreAway("throttled")))

    assert story(away, ANN, OUR_NUMBER, "SM1") is None


def test_a_message_that_the_journal_does_not_know_has_a_page() -> None:
    message = a_message("SMhand", inbound=False, body="<b>by hand</b>")

    with a_client(JournalStories(Room().store), message) as client:
        page = client.get("/phone/explain/SMhand").text

    assert "knows nothing of this message" in page
    assert "&lt;b&gt;by hand" in page
