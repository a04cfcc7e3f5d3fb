"""A held reply is sent again only if an operator says so, and once for each time."""

from __future__ import annotations

from datetime import timedelta

import pytest

from journal import story
from journal.model import Reported
from journal.states import PartState
from operations.dead_letters import DeadLetters
from operations.errors import BadRequest, NotFound
from operations.held import HeldReplies
from sms.messages import DeliveryReport, InboundSms, MessageSid
from sms.ports import ErrorClass, NotCreated, Sent, Unknown, Verdict
from tests.builders import ANN
from tests.room import Room


def a_held_reply(*, created: bool = False) -> tuple[Room, InboundSms, HeldReplies]:
    room = Room()
    room.reconciler.reconcile()
    room.sender.answers.append(Unknown(reason="read timeout"))
    room.sender.creates_anyway = created
    (text,) = room.texts("hello")
    room.serve()
    room.sender.creates_anyway = False
    held = HeldReplies(journal=room.store, inbox=room.inbox, message_list=room.sender, validity=timedelta(hours=1))
    return room, text, held


def hold(room: Room) -> None:
    room.later(seconds=3700)
    room.reconciler.reconcile()
    room.serve()


def listed(held: HeldReplies, *, search: bool = False) -> list[tuple[str, str]]:
    return [(reply["key"], reply["state"]) for reply in held.listed(10, search=search, set_aside=print)]


def test_a_reply_in_doubt_is_listed_and_waits_until_its_outcome_can_no_longer_arrive() -> None:
    room, text, held = a_held_reply()
    key = f"out#{text.sid}#0"
    assert listed(held) == [(key, "UNKNOWN")]

    with pytest.raises(BadRequest, match="may still arrive, until"):
        held.resend(key)
    with pytest.raises(BadRequest, match="may still arrive, until"):
        held.settle(key, was_sent=False)

    hold(room)
    assert listed(held) == [(key, "HELD")]
    assert listed(held, search=True) == [(key, "HELD")]
    shown = held.show(text.sid)
    assert (shown["words"], shown["reason"]) == ("re: hello", "no evidence in time")


def test_a_held_reply_is_sent_again_once() -> None:
    room, text, held = a_held_reply()
    key = f"out#{text.sid}#0"
    hold(room)

    assert "is sent again" in held.resend(key)
    with pytest.raises(BadRequest):
        held.resend(key)
    room.serve()

    assert room.received == ["re: hello"]
    assert room.part(text) is PartState.SENT
    with pytest.raises(BadRequest):
        held.resend(key)
    room.serve()
    assert room.received == ["re: hello"]
    turn = room.store.turns.get(ANN, text.sid)
    assert turn is not None
    assert "operator's word" in [event.what for event in story.tell(room.store, turn).events]


def test_a_command_that_was_delayed_until_the_reply_is_held_again_does_nothing() -> None:
    room, text, held = a_held_reply()
    hold(room)
    (seen,) = room.store.outbox.parts(ANN, text.sid)
    held.resend(seen.key)
    room.sender.answers.append(Unknown(reason="read timeout"))
    room.serve()
    hold(room)
    assert room.part(text) is PartState.HELD

    assert room.store.held.resend(seen, now=room.now()) is False

    assert room.part(text) is PartState.HELD
    assert listed(held) == [(seen.key, "HELD")]


def test_nothing_is_sent_again_after_stop() -> None:
    room, text, held = a_held_reply()
    hold(room)
    room.texts("stop")
    room.serve()

    with pytest.raises(BadRequest, match="STOP"):
        held.resend(f"out#{text.sid}#0")

    assert room.part(text) is PartState.HELD


def test_a_stop_after_the_command_and_before_the_worker_is_obeyed() -> None:
    room, text, held = a_held_reply()
    hold(room)
    held.resend(f"out#{text.sid}#0")
    room.texts("stop")
    room.serve()

    assert room.received == []
    assert room.part(text) is PartState.SUPPRESSED


def test_a_reply_that_twilio_lists_after_all_is_settled_instead_of_sent() -> None:
    room, text, held = a_held_reply(created=True)
    ((sid, _),) = room.sender.created
    room.sender.hidden.add(sid)
    hold(room)
    room.sender.hidden.clear()

    assert f"lists it as {sid}" in held.resend(f"out#{text.sid}#0")

    room.serve()
    assert room.part(text) is PartState.SENT
    assert room.received == ["re: hello"]


@pytest.mark.parametrize("was_sent", [True, False])
def test_the_operators_word_is_recorded_and_the_reply_leaves_the_list(was_sent: bool) -> None:  # noqa: FBT001
    room, text, held = a_held_reply()
    key = f"out#{text.sid}#0"
    hold(room)

    held.settle(key, was_sent=was_sent)

    assert room.part(text) is (PartState.SENT if was_sent else PartState.HELD)
    assert (listed(held), listed(held, search=True)) == ([], [])
    turn = room.store.turns.get(ANN, text.sid)
    assert turn is not None
    verdict = story.tell(room.store, turn).verdict
    assert verdict == f"part 0 the operator said: {'sent' if was_sent else 'not sent'}"
    room.serve()
    assert room.received == []


def test_a_report_that_comes_after_the_word_still_counts() -> None:
    room, text, held = a_held_reply()
    hold(room)
    (part,) = room.store.outbox.parts(ANN, text.sid)
    held.settle(part.key, was_sent=False)
    assert part.attempt_id is not None

    report = Reported(attempt_id=part.attempt_id, sid="SM7", status="delivered")
    room.store.outbox.report(ANN, part.key, report, now=room.now())

    assert room.part(text) is PartState.SENT


def test_a_late_report_of_the_first_attempt_counts_also_if_the_resend_was_suppressed() -> None:
    room, text, held = a_held_reply()
    hold(room)
    (part,) = room.store.outbox.parts(ANN, text.sid)
    assert part.attempt_id
    held.resend(text.sid)
    room.texts("STOP")
    room.serve()
    assert (room.part(text), room.received) == (PartState.SUPPRESSED, [])

    late = Reported(attempt_id=part.attempt_id, sid="SM" + "9" * 32, status="delivered")
    room.store.outbox.report(ANN, part.key, late, now=room.now())

    (part,) = room.store.outbox.parts(ANN, text.sid)
    assert (part.state, part.status, part.sid) == (PartState.SENT, "delivered", late.sid)
    assert part.reason is None


def test_a_late_report_of_the_first_attempt_counts_after_the_second_was_refused() -> None:
    room, text, held = a_held_reply(created=True)
    ((sid, _),) = room.sender.created
    room.sender.hidden.add(sid)
    attempt = room.store.outbox.parts(ANN, text.sid)[0].attempt_id
    hold(room)
    held.resend(f"out#{text.sid}#0")
    refusal = Verdict(error_class=ErrorClass.PERMANENT, code=None, means="refused for good")
    room.sender.answers.append(NotCreated(verdict=refusal))
    room.serve()
    letters = DeadLetters(room.store, room.inbox)
    (letter,) = letters.list(9)
    assert letter["reason"] == "refused for good; an earlier attempt may have been sent"

    assert attempt is not None
    room.receive(DeliveryReport(sid=sid, to=ANN, status="delivered", attempt_id=attempt))
    room.receipts.drain()

    assert room.part(text) is PartState.SENT
    assert list(letters.list(9)) == []
    with pytest.raises(NotFound):
        letters.replay(text.sid)


@pytest.mark.parametrize("command", ["replay", "resend"])
def test_what_is_sent_again_is_kept_as_if_it_were_new(command: str) -> None:
    room = Room(retention=timedelta(days=2), max_parts=2)
    room.parrot.words = "line one of it\nline two of it"
    refusal = NotCreated(verdict=Verdict(error_class=ErrorClass.PERMANENT, code=None, means="refused for good"))
    lost = Unknown(reason="read timeout")
    sent = Sent(sid=MessageSid("SM" + "a" * 32), status="queued", segments=1)
    room.sender.answers += [sent, refusal if command == "replay" else lost]
    (text,) = room.texts("hello")
    room.serve()
    hold(room)
    room.later(seconds=46 * 3600)

    if command == "replay":
        assert DeadLetters(room.store, room.inbox).replay(text.sid)
    else:
        validity = timedelta(hours=1)
        HeldReplies(journal=room.store, inbox=room.inbox, message_list=room.sender, validity=validity).resend(text.sid)

    kept = [room.store.archive.item(ANN), *room.store.archive.rows(ANN)]
    assert len(kept) == 4
    assert {row["expires"] for row in kept if row} == {int((room.now() + timedelta(days=2)).timestamp())}


def test_a_replay_after_stop_does_not_make_the_stop_expire() -> None:
    room = Room(retention=timedelta(days=2))
    refusal = NotCreated(verdict=Verdict(error_class=ErrorClass.PERMANENT, code=None, means="refused for good"))
    room.sender.answers.append(refusal)
    (text,) = room.texts("hello")
    room.serve()
    room.texts("stop")
    room.serve()

    DeadLetters(room.store, room.inbox).replay(text.sid)

    item = room.store.archive.item(ANN)
    assert item is not None
    assert "expires" not in item


def test_a_reply_in_doubt_beyond_its_validity_is_not_said_to_arrive_in_the_past() -> None:
    room, text, held = a_held_reply()
    room.later(seconds=3700)

    for command in (held.resend, lambda name: held.settle(name, was_sent=True)):
        with pytest.raises(BadRequest, match="is in doubt still") as refused:
            command(text.sid)
        assert "may still arrive" not in str(refused.value)
