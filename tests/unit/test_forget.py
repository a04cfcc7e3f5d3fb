"""A forgotten person is a stranger to the cat.

Old texts that come late are not answered, new texts are answered, and a STOP holds.
"""

from __future__ import annotations

from datetime import timedelta

import pytest

from conversation.errors import StoreAway
from conversation.journal import STILL_STOPPED, TurnState, stop_mark
from tests.builders import ANN
from tests.room import WHO, Dying, Room


def marked(room: Room, *sids: str, stopped: bool = False) -> None:
    """Set up what `dadacat conversations forget` leaves behind."""
    room.store._conversations.pop(ANN, None)
    for rows in (room.store._turns, room.store._parts, room.store._entries):
        for at in [at for at in rows if at[0] == ANN]:
            del rows[at]
    room.store.bury(WHO, [f"mark of {sid}" for sid in sids], until=room.now() + timedelta(days=30))
    if stopped:
        room.store.bury(stop_mark(WHO), [STILL_STOPPED], until=room.now() + timedelta(days=3650))


def serve(room: Room) -> None:
    room.serve(mark=lambda sid: f"mark of {sid}")


def test_a_text_that_comes_late_is_not_answered_and_leaves_nothing() -> None:
    room = Room()
    (text,) = room.texts("hello")
    serve(room)
    marked(room, text.sid)

    room.inbox.texts.accept(text)
    serve(room)

    assert room.received == ["re: hello"]
    assert room.store.get(ANN) is None
    assert room.store.get_turn(ANN, text.sid) is None
    assert room.inbox.people.user_id(WHO) is None
    assert room.inbox.texts.oldest_waiting_ms() is None


def test_who_texts_anew_is_answered_and_old_texts_between_are_not() -> None:
    room = Room()
    (old,) = room.texts("hello")
    serve(room)
    marked(room, old.sid)

    room.texts("who am i?")
    serve(room)
    room.inbox.texts.accept(old)
    room.texts("and now?")
    serve(room)

    assert room.received == ["re: hello", "re: who am i?", "re: and now?"]
    assert [line["content"] for line in room.parrot.heard[1].history] == []


def test_an_old_stop_that_comes_late_silences_no_one() -> None:
    room = Room()
    (stop,) = room.texts("STOP")
    serve(room)
    marked(room, stop.sid)

    room.texts("hello again")
    serve(room)
    room.inbox.texts.accept(stop)
    room.texts("and again")
    serve(room)

    assert room.received == ["re: hello again", "re: and again"]


def test_a_stop_after_being_forgotten_is_heeded() -> None:
    room = Room()
    (old,) = room.texts("hello")
    serve(room)
    marked(room, old.sid)

    for body in ("STOP", "hello?"):
        room.texts(body)
        serve(room)

    assert room.received == ["re: hello"]


@pytest.mark.parametrize(
    ("call", "after"), [("buried", False), ("set_reborn", False), ("set_active", False), ("set_active", True)]
)
def test_who_dies_or_is_turned_away_while_it_looks_is_followed_by_another_who_looks(call: str, *, after: bool) -> None:
    for error in (None, StoreAway("throttled")):
        room = Room()
        (old,) = room.texts("hello")
        serve(room)
        marked(room, old.sid, stopped=True)
        room.texts("hello?")

        journal = Dying(room.store, call, after=after, error=error)
        if error is None:
            room.dies(journal=journal, mark=lambda sid: f"mark of {sid}")
        else:
            room.serve(journal=journal, mark=lambda sid: f"mark of {sid}")
        room.later(seconds=30)
        room.inbox.texts.accept(old)
        serve(room)

        assert room.received == ["re: hello"], (call, error)


def test_who_says_start_again_has_said_so_for_good() -> None:
    room = Room()
    room.texts("STOP")
    serve(room)
    marked(room, stopped=True)
    room.texts("START")
    serve(room)
    # the person is forgotten once more, without another STOP
    marked(room)

    room.texts("hello!")
    serve(room)
    assert room.received == ["re: hello!"]


def test_a_stop_outlives_being_forgotten() -> None:
    room = Room()
    room.texts("STOP")
    serve(room)
    marked(room, stopped=True)

    texts = room.texts("hello?")
    serve(room)
    assert room.received == []
    assert room.state(texts[0]) is TurnState.SILENT

    room.texts("START", "hello!")
    serve(room)
    assert room.received == ["re: hello!"]


def test_after_a_month_nothing_is_known_any_more() -> None:
    room = Room()
    (old,) = room.texts("hello")
    serve(room)
    marked(room, old.sid)
    room.later(seconds=31 * 24 * 3600)

    room.inbox.texts.accept(old)
    serve(room)

    assert room.received == ["re: hello"] * 2
