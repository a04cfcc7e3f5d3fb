"""`CONVERSATIONS` is changed: what stands under the former user id is neither doubled nor left behind."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from inbox import payloads
from inbox.inbox import on_redis
from journal.model import Reported
from journal.states import PartState
from sms.messages import DeliveryReport, MessageSid, user_of
from sms.ports import Listed
from tests.builders import ANN, LEASE, OUR_NUMBER, WAKE_AGAIN
from tests.room import Room
from worker.receipts import Receipts

#: The daily limit of a carrier: the words are sent again the next day.
DAILY_LIMIT = 30023


def serve(room: Room, *, per_number: bool) -> None:
    room.worker().serve(payloads.who(user_of(ANN, OUR_NUMBER, per_number=per_number), b"memory"))


def switch(room: Room) -> None:
    """Start everything anew with the other setting."""
    room.per_number = not room.per_number
    room.inbox = on_redis(
        room.redis, who_key=b"memory", per_number=room.per_number, lease=LEASE, wake_again=WAKE_AGAIN
    )  # fmt: skip
    room.aftermath = room.an_aftermath(room.inbox)
    room.receipts = Receipts(room.inbox, room.store, room.aftermath, who_key=b"memory", per_number=room.per_number)
    room.reconciler = room.a_reconciler()


def a_waiting_text(*, per_number: bool) -> tuple[Room, str]:
    """Return the sid of a text that the carrier lists and the inbox holds."""
    room = Room(per_number=per_number)
    room.reconciler.reconcile()
    room.later(seconds=60)
    (text,) = room.texts("hello")
    room.sender.received.append(
        Listed(sid=text.sid, to=OUR_NUMBER, sender=ANN, body="hello", status="received", inbound=True,
               created=room.now())
    )  # fmt: skip
    return room, text.sid


def an_answered_text(*, per_number: bool) -> tuple[Room, str]:
    """Return the sid of a text that the carrier lists, and of which its person got the answer."""
    room, sid = a_waiting_text(per_number=per_number)
    serve(room, per_number=per_number)
    assert room.received == ["re: hello"]
    return room, sid


@pytest.mark.parametrize("per_number", [False, True])
@pytest.mark.parametrize("from_before", [an_answered_text, a_waiting_text])
def test_a_text_from_before_is_answered_once(from_before: Callable[..., tuple[Room, str]], *, per_number: bool) -> None:
    room, _ = from_before(per_number=per_number)
    room.later(seconds=300)

    switch(room)
    assert room.reconciler.reconcile().missed == 0
    for former in (False, True):
        serve(room, per_number=former)

    assert room.received == ["re: hello"]


@pytest.mark.parametrize("per_number", [False, True])
def test_a_stop_from_before_counts_until_a_start(*, per_number: bool) -> None:
    room, _ = an_answered_text(per_number=per_number)
    room.texts("STOP")
    serve(room, per_number=per_number)
    room.later(seconds=300)

    switch(room)
    for body in ("hello?", "START", "hello!"):
        room.texts(body)
        serve(room, per_number=not per_number)
        room.later(seconds=60)

    assert room.received == ["re: hello", "re: hello!"]


@pytest.mark.parametrize("per_number", [False, True])
def test_a_reply_from_before_is_not_sent_after_a_stop(*, per_number: bool) -> None:
    room = Room(per_number=per_number)
    room.sender.away = True
    room.texts("hello")
    serve(room, per_number=per_number)
    room.later(seconds=300)

    switch(room)
    room.texts("STOP")
    serve(room, per_number=not per_number)
    room.sender.away = False
    room.later(seconds=300)
    serve(room, per_number=per_number)

    assert room.received == []


def test_a_text_that_is_answered_during_the_look_is_answered_once(monkeypatch: pytest.MonkeyPatch) -> None:
    room, _ = a_waiting_text(per_number=False)
    room.later(seconds=300)
    switch(room)
    look = room.inbox.texts.is_waiting

    def answered_before(user_id: str, sid: str) -> bool:
        serve(room, per_number=False)
        return look(user_id, sid)

    monkeypatch.setattr(room.inbox.texts, "is_waiting", answered_before)
    assert room.reconciler.reconcile().missed == 0
    serve(room, per_number=True)

    assert room.received == ["re: hello"]


@pytest.mark.parametrize("per_number", [False, True])
def test_a_second_try_from_before_is_sent_once_and_its_text_is_not_answered_anew(*, per_number: bool) -> None:
    room, sid = an_answered_text(per_number=per_number)
    user = user_of(ANN, OUR_NUMBER, per_number=per_number)
    (part,) = room.store.outbox.parts(user, sid)
    assert part.attempt_id
    assert part.sid
    room.sender.fates[MessageSid(part.sid)] = ("undelivered", DAILY_LIMIT)
    failed = Reported(attempt_id=part.attempt_id, sid=part.sid, status="undelivered", error_code=DAILY_LIMIT)
    room.aftermath.consider(room.store.outbox.report(user, part.key, failed, now=room.now()) or part)

    switch(room)
    room.later(seconds=timedelta(hours=26).total_seconds())
    assert room.reconciler.reconcile().unfinished == 1
    for former in (False, True):
        serve(room, per_number=former)

    assert room.received == ["re: hello", "re: hello"]
    assert [part.state for part in room.store.outbox.parts(user, sid)] == [PartState.SENT, PartState.SENT]
    assert room.reconciler.reconcile().unfinished == 0


@pytest.mark.parametrize("per_number", [False, True])
@pytest.mark.parametrize("evidence", ["list", "report"])
def test_what_became_of_a_message_from_before_is_still_recorded(evidence: str, *, per_number: bool) -> None:
    room, sid = an_answered_text(per_number=per_number)
    user = user_of(ANN, OUR_NUMBER, per_number=per_number)
    (part,) = room.store.outbox.parts(user, sid)
    assert part.attempt_id

    switch(room)
    if evidence == "list":
        room.reconciler.reconcile()
        (part,) = room.store.outbox.parts(user, sid)
        assert part.price is not None
    else:
        assert part.sid
        assert part.attempt_id
        room.receive(
            DeliveryReport(
                sid=MessageSid(part.sid), to=ANN, sender=OUR_NUMBER, status="delivered", attempt_id=part.attempt_id
            )
        )
        room.receipts.drain()
        (part,) = room.store.outbox.parts(user, sid)
        assert part.status == "delivered"
