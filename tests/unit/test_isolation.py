"""One bad row, entry or report is set aside, listed and tried again; the others go on."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from conversation.table import Delete
from inbox import keys
from inbox.budget import Caps
from journal.states import PartState
from operations import conversations, export, set_aside, stats
from operations.dead_letters import DeadLetters
from runtime.isolation import BadItem, isolated
from sms.errors import NoAnswer, Refused
from sms.messages import DeliveryReport, Media, MessageSid
from sms.ports import Listed, Unknown
from tests.builders import ANN, BEN, OUR_NUMBER, a_sid, a_text
from tests.room import WHO, Room
from worker.reconcile.reconciler import Sweep


@pytest.fixture
def room() -> Room:
    return Room()


def aside(room: Room) -> list[tuple[str, str]]:
    return [(record.item.kind, record.item.name) for record in room.store.set_aside.all()]


def put(room: Room, **row: Any) -> None:
    room.store.storage.tables.put_all("DadaCatMessages", [row])


def a_bad_row(room: Room, user_id: str = BEN) -> str:
    """Store a row in a state that no program knows, as unfinished for longer than any other."""
    key = f"in#{a_sid()}"
    put(
        room, user_id=user_id, message_key=key, state="PONDERING", arrived="0000000000001-000000", sid=key[3:],
        content="hm", to=OUR_NUMBER, unsettled="00", since="2000-01-01T00:00:00+00:00",
    )  # fmt: skip
    return key


def test_what_lies_outside_ends_a_loop_and_what_blames_one_item_does_not() -> None:
    bad: list[BadItem] = []
    for error in (ValueError("said: a secret"), Refused(status=404)):
        with isolated("row", "one", bad.append):
            raise error
    for outside in (NoAnswer("no answer"), Refused(status=401), Refused(status=429), Refused(status=503)):
        with pytest.raises(type(outside)), isolated("row", "one", bad.append):
            raise outside

    assert [item.error.partition(" at ")[0] for item in bad] == ["ValueError", "Twilio refused the request: HTTP 404"]


def test_a_row_in_an_unknown_state_stops_no_reconciliation_and_is_listed_until_it_is_mended(room: Room) -> None:
    room.reconciler.reconcile()
    bad = a_bad_row(room)
    (text,) = room.texts("hello")
    room.serve(journal=room.store)
    lost = room.heard_of("is anybody there?")
    room.later(seconds=120)

    report = room.reconciler.reconcile()

    assert report.missed == 1
    assert aside(room) == [("row", bad)]
    assert ("set aside", bad) in [(event.name, event.fields.get("item")) for event in room.telemetry.events]
    (listed,) = set_aside.listed(room.store, 10)
    assert (listed["kind"], listed["name"], listed["times"]) == ("row", bad, 1)
    assert "PONDERING" in listed["error"]
    room.serve()
    assert room.store.turns.get(ANN, lost) is not None
    assert room.part(text) is PartState.SENT

    put(room, user_id=BEN, message_key=bad, state="SILENT", arrived="0000000000001-000000", sid=bad[3:], content="",
        to=OUR_NUMBER)  # fmt: skip
    room.later(seconds=300)
    room.reconciler.reconcile()
    assert aside(room) == []


def test_a_text_whose_pictures_cannot_be_listed_is_set_aside_and_found_later(room: Room) -> None:
    room.reconciler.reconcile()
    sid = MessageSid(a_sid())
    room.sender.received.append(
        Listed(
            sid=sid, to=OUR_NUMBER, sender=ANN, body="look!", status="received", inbound=True, created=room.now(),
            pictures=1,
        )
    )  # fmt: skip
    room.later(seconds=1)
    other = room.heard_of("and I wrote this")
    room.later(seconds=60)

    assert room.reconciler.reconcile().missed == 1
    assert aside(room) == [("message", sid)]
    room.serve()
    assert room.received == ["re: and i wrote this"]
    assert room.store.turns.get(ANN, other) is not None

    room.later(seconds=2000)  # the watermark has passed it, with its overlap
    room.reconciler.reconcile()
    assert aside(room) == [("message", sid)]
    room.sender.media[sid] = (Media(url="https://api.twilio.com/a", content_type="image/png"),)
    room.reconciler.reconcile()
    room.serve()

    assert aside(room) == []
    assert room.received == ["re: and i wrote this", "re: look!"]


def test_a_price_that_cannot_be_written_is_written_later_and_the_others_now(room: Room) -> None:
    room.reconciler.reconcile()
    room.texts("one", "two")
    room.serve()
    first, second = (sid for sid, _ in room.sender.created)
    real = room.store.outbox.charge

    def charge(part: Any, charge: Any) -> None:
        if part.sid == first:
            raise ValueError("not a price")
        real(part, charge)

    object.__setattr__(room.store.outbox, "charge", charge)
    room.later(seconds=60)
    assert room.reconciler.reconcile().charged == 1
    assert aside(room) == [("message", first)]

    object.__setattr__(room.store.outbox, "charge", real)
    room.later(seconds=2000)
    room.reconciler.reconcile()
    assert aside(room) == []
    assert {part.sid for part in room.store.outbox.newest_parts(ANN, limit=9) if part.price} == {first, second}


def test_a_report_that_cannot_be_written_stays_and_the_others_are_written(room: Room) -> None:
    (text,) = room.texts("hello")
    room.serve()
    ((sid, message),) = room.sender.created
    attempt = message.status_callback.partition("i=")[2]
    put(room, user_id=BEN, message_key="out#SM9#0", state="PONDERING", attempts={"SM9-0-ab"})
    room.receive(DeliveryReport(sid=MessageSid("SM1"), to=BEN, status="sent", attempt_id="SM9-0-ab"))
    room.receive(DeliveryReport(sid=sid, to=ANN, status="delivered", attempt_id=attempt))

    room.receipts.drain()

    assert room.store.outbox.parts(ANN, text.sid)[0].status == "delivered"
    ((kind, entry),) = aside(room)
    assert kind == "report"
    assert room.redis.xlen(keys.REPORTS) == 1
    room.later(seconds=20)
    room.receipts.drain()
    (record,) = room.store.set_aside.all()
    assert record.times == 2
    set_aside.discard(room.store, room.inbox, entry)
    assert (aside(room), room.redis.xlen(keys.REPORTS)) == ([], 0)


def test_a_text_whose_row_cannot_be_read_waits_and_the_persons_others_are_answered(room: Room) -> None:
    bad, good = a_text("bad"), a_text("good")
    put(room, user_id=ANN, message_key=f"in#{bad.sid}", state="PONDERING", sid=bad.sid)
    for text in (bad, good):
        room.inbox.texts.accept(text)

    room.serve()

    assert room.received == ["re: good"]
    assert aside(room) == [("text", bad.sid)]
    assert room.inbox.texts.oldest_waiting_ms() is not None
    room.store.storage.tables.delete(
        Delete(table="DadaCatMessages", key={"user_id": ANN, "message_key": f"in#{bad.sid}"})
    )
    room.later(seconds=310)
    assert room.inbox.agenda.due(limit=1)[0] == [WHO]
    room.serve()
    assert room.received == ["re: good", "re: bad"]
    room.later(seconds=900)
    room.reconciler.reconcile()
    assert aside(room) == []


@pytest.mark.parametrize("payload", [b"[" * 100_000, b'{"v":1,"sid":[],"from":"+1","to":"+2","body":"x"}', b'{"v":1}'])
def test_an_entry_that_is_no_text_becomes_a_dead_letter_and_the_next_is_answered(room: Room, payload: bytes) -> None:
    room.redis.xadd(keys.texts(WHO), {"sid": "x", "text": payload})
    room.texts("hello")

    room.serve()

    assert room.received == ["re: hello"]
    assert len(list(room.store.dead_letters.list())) == 1


def test_a_reply_whose_cost_cannot_be_read_stops_no_recount() -> None:
    room = Room(models=Caps(day=10**9))
    put(
        room, user_id=BEN, message_key="in#SMbad", state="ANSWERED", engine="dada", sid="SMbad", turn="SMbad",
        answered_at="9999-the-moon", arrived="1-0",
    )  # fmt: skip
    room.texts("hello")

    room.serve()
    room.serve()

    assert room.received == ["re: hello"]
    # it is no work to be done, so it is counted, and not listed for an operator
    assert aside(room) == []
    items = [event.fields["item"] for event in room.telemetry.events if event.fields.get("kind") == "cost"]
    assert items == ["in#SMbad"]


def test_a_person_whose_rows_cannot_be_read_keeps_no_other_reply_in_doubt(room: Room) -> None:
    room.sender.answers.append(Unknown(reason="reset"))
    room.sender.creates_anyway = True
    (text,) = room.texts("hello")
    room.serve()
    put(room, user_id=BEN, message_key="out#SM9#0", state="UNKNOWN", turn="SM9", number=0, arrived="1-0", content="x",
        sender=OUR_NUMBER, unsettled="00", since="2000-01-01T00:00:00+00:00", claimed_at="never")  # fmt: skip
    room.later(seconds=120)

    report = room.reconciler.reconcile()

    assert report.settled == 1
    assert room.part(text) is PartState.SENT
    assert ("person" in {kind for kind, _ in aside(room)}) or ("row", "out#SM9#0") in aside(room)


def test_the_operators_lists_go_on_after_a_bad_row(room: Room) -> None:
    room.texts("hello")
    room.serve()
    put(
        room,
        user_id=BEN,
        message_key="in#SMbad",
        state="DEAD",
        unsettled="dead",
        since="2026-01-01",
        arrived="long ago",
    )
    room.store.storage.tables.put_all("DadaCatConversations", [{"user_id": BEN, "messages": "{", "raw": b"\xff"}])
    unread: list[BadItem] = []

    counts = stats.counted(room.store.archive.states(), since=datetime(2020, 1, 1, tzinfo=UTC), set_aside=unread.append)
    people = list(conversations.listed(room.store, unread.append))
    lines = list(export.lines(room.store, None, unread.append))
    (letter,) = DeadLetters(room.store, room.inbox).list(10)

    assert counts.texts == {"ANSWERED": 1}
    assert [person["person"] for person in people] == [ANN]
    assert len(lines) >= 3
    assert [item.kind for item in unread] == ["row", "conversation", "item"]
    assert "lacks" in letter["reason"]


def test_an_unreadable_name_on_the_agenda_keeps_no_person_from_being_woken(room: Room) -> None:
    room.texts("hello")
    room.redis.zadd(keys.AGENDA, {b"\xff\xfe": 1})
    room.later(seconds=60)

    assert room.reconciler.sweep().rung == 2


def test_a_sweep_wakes_all_who_are_due_while_the_workers_have_room(room: Room) -> None:
    people = {f"{number:024x}": 1 for number in range(7000)}
    room.redis.zadd(keys.AGENDA, people)

    first = room.reconciler.sweep()
    room.later(seconds=15)
    second = room.reconciler.sweep()
    room.redis.ltrim(keys.QUEUE, 0, 99)
    room.later(seconds=15)
    third = room.reconciler.sweep()

    # while the queue is full some are woken all the same: tasks are lost with their workers
    assert (first, second, third) == (Sweep(5000, emptied=True), Sweep(200, emptied=False), Sweep(1800, emptied=False))
    room.redis.delete(keys.QUEUE)
    room.later(seconds=15)
    assert room.reconciler.sweep().rung == 0, "each is woken once in a while"
