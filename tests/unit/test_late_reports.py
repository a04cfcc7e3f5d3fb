"""A delivery report tells what was true when its message was sent: what was learnt since counts more."""

from __future__ import annotations

import pytest

from journal.model import ReplyPart
from journal.states import TurnState
from sms.messages import DeliveryReport, InboundSms, MessageSid
from sms.ports import ErrorClass
from tests.builders import ANN, OUR_NUMBER
from tests.room import WHO, Room
from worker.retry_policy import REPORT_STOPS, RULES

OPTED_OUT, LOOP, SENDER_LOCKED = 21610, 14107, 63051


def answered(room: Room, body: str = "hello") -> InboundSms:
    (text,) = room.texts(body)
    room.serve()
    return text


def part_of(room: Room, text: InboundSms) -> ReplyPart:
    return room.store.outbox.parts(ANN, text.sid)[0]


def report(room: Room, text: InboundSms, status: str, code: int | None = None, *, drained: bool = True) -> None:
    part = part_of(room, text)
    assert part.sid
    assert part.attempt_id
    sid, attempt_id = MessageSid(part.sid), part.attempt_id
    room.receive(
        DeliveryReport(
            sid=sid, to=ANN, sender=OUR_NUMBER, status=status, error_code=code, attempt_id=attempt_id, who=WHO
        )
    )
    if drained:
        room.receipts.drain()


@pytest.mark.parametrize("again", [("failed", OPTED_OUT), ("sent", None)])
def test_a_report_that_comes_again_does_not_undo_a_start(again: tuple[str, int | None]) -> None:
    room = Room()
    text = answered(room)
    report(room, text, "failed", OPTED_OUT)
    room.later(seconds=60)
    assert room.state(answered(room, "are you there?")) is TurnState.SILENT

    answered(room, "START")
    room.later(seconds=60)
    report(room, text, *again)

    assert room.state(answered(room, "and now?")) is TurnState.ANSWERED


def test_a_report_that_waited_while_the_person_said_start_does_not_undo_it() -> None:
    room = Room()
    text = answered(room)
    report(room, text, "failed", OPTED_OUT, drained=False)
    room.later(seconds=60)
    answered(room, "START")
    room.receipts.drain()

    assert room.state(answered(room, "and now?")) is TurnState.ANSWERED


@pytest.mark.parametrize("code", [30002, 30018, SENDER_LOCKED])
@pytest.mark.parametrize("is_repeated", [False, True])
def test_an_old_failure_stops_nothing(code: int, *, is_repeated: bool) -> None:
    room = Room()
    text = answered(room)
    if is_repeated:
        report(room, text, "undelivered", code)
        assert room.circuit.stopped()
        room.later(seconds=31)
        report(room, answered(room, "two"), "delivered")
        room.later(seconds=120)
        room.circuit.tidy()
        assert not room.circuit.stopped()

    room.later(seconds=REPORT_STOPS.total_seconds() + 1)
    report(room, text, "undelivered", code)

    assert not room.circuit.stopped()


@pytest.mark.parametrize("status", ["read", "delivered"])
def test_a_message_from_before_a_stop_does_not_end_it(status: str) -> None:
    room = Room()
    old = answered(room, "one")
    report(room, old, "delivered")
    room.later(seconds=3600)
    report(room, answered(room, "two"), "undelivered", SENDER_LOCKED)

    report(room, old, status)
    answered(room, "three")

    assert room.circuit.stopped()
    assert "re: three" not in room.received


def test_a_loop_that_the_carrier_reports_silences_the_person() -> None:
    room = Room()
    text = answered(room)
    report(room, text, "failed", LOOP)
    assert room.state(answered(room, "again")) is TurnState.SILENT

    room.later(seconds=RULES[ErrorClass.LOOP].quiet.total_seconds() + 1)
    report(room, text, "failed", LOOP)

    assert room.state(answered(room, "and now?")) is TurnState.ANSWERED
