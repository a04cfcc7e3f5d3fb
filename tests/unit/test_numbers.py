"""One person and two of our numbers: one conversation with both, or one with each.

The reply is sent from the number that was texted.
"""

from __future__ import annotations

import pytest

from inbox import payloads
from journal.states import PartState
from sms.addresses import address_of, number_of
from sms.messages import DeliveryReport, InboundSms, MessageSid, user_of
from tests.builders import ANN, OUR_NUMBER, a_sid
from tests.room import Room

OTHER = "+15005550007"


def to(number: str, body: str, *, service: str | None = None) -> InboundSms:
    return InboundSms(sid=MessageSid(a_sid()), sender=ANN, to=number, body=body, messaging_service_sid=service)


def serve(room: Room, *numbers: str) -> None:
    users = [user_of(ANN, number, per_number=True) for number in numbers] if room.per_number else [ANN]
    for user in users:
        room.worker().serve(payloads.who(user, b"memory"))


@pytest.mark.parametrize(("per_number", "seen"), [(False, ["one", "re: one"]), (True, [])])
def test_a_conversation_is_with_both_numbers_or_with_each(*, per_number: bool, seen: list[str]) -> None:
    room = Room(per_number=per_number)
    room.inbox.texts.accept(to(OUR_NUMBER, "one"))
    serve(room, OUR_NUMBER)
    room.inbox.texts.accept(to(OTHER, "two"))
    serve(room, OTHER)

    assert [line["content"] for line in room.parrot.heard[-1].history] == seen
    sent = [message for _, message in room.sender.created]
    assert [(message.to, message.sender, message.body) for message in sent] == [
        (ANN, OUR_NUMBER, "re: one"), (ANN, OTHER, "re: two"),
    ]  # fmt: skip


def test_a_stop_to_one_number_says_nothing_of_the_other() -> None:
    room = Room(per_number=True)
    room.inbox.texts.accept(to(OUR_NUMBER, "STOP"))
    room.inbox.texts.accept(to(OUR_NUMBER, "hello?"))
    room.inbox.texts.accept(to(OTHER, "hello?"))
    serve(room, OUR_NUMBER, OTHER)

    assert [message.sender for _, message in room.sender.created] == [OTHER]


def test_reports_and_the_list_find_the_right_conversation() -> None:
    room = Room(per_number=True)
    text = to(OTHER, "hello")
    room.inbox.texts.accept(text)
    serve(room, OTHER)
    user = user_of(ANN, OTHER, per_number=True)
    (part,) = room.store.outbox.parts(user, text.sid)
    assert part.attempt_id is not None

    room.receive(
        DeliveryReport(
            sid=MessageSid(part.sid or ""), to=ANN, sender=OTHER, status="delivered", attempt_id=part.attempt_id
        )
    )
    room.receipts.drain()

    (part,) = room.store.outbox.parts(user, text.sid)
    assert (part.state, part.status) == (PartState.SENT, "delivered")


def test_a_text_whose_webhook_never_came_comes_back_to_its_own_conversation() -> None:
    room = Room(per_number=True)
    room.reconciler.reconcile()
    room.later(seconds=60)
    room.heard_of("hello?")
    room.later(seconds=60)
    assert room.reconciler.reconcile().missed == 1
    serve(room, OUR_NUMBER)

    assert room.received == ["re: hello?"]
    room.later(seconds=60)
    assert room.reconciler.reconcile().missed == 0


def test_where_each_number_has_its_own_a_service_does_not_choose_the_sender() -> None:
    for per_number, service in ((False, "MG1"), (True, None)):
        room = Room(per_number=per_number)
        room.inbox.texts.accept(to(OTHER, "hello", service="MG1"))
        serve(room, OTHER)
        assert [message.messaging_service_sid for _, message in room.sender.created] == [service]


@pytest.mark.parametrize(
    ("user", "address", "number"),
    [
        ("+15551230001", "+15551230001", ""),
        ("+15551230001/+15005550006", "+15551230001", "+15005550006"),
        ("whatsapp:+15551230001/whatsapp:+15005550006", "whatsapp:+15551230001", "whatsapp:+15005550006"),
        ("+15551230001/72345", "+15551230001", "72345"),
        ("rcs:+15551230001/rcs:cat_agent_1", "rcs:+15551230001", "rcs:cat_agent_1"),
        ("whatsapp:FI.1502576394655843/whatsapp:+15005550006", "whatsapp:FI.1502576394655843", "whatsapp:+15005550006"),
        ("whatsapp:FI.1502576394655843", "whatsapp:FI.1502576394655843", ""),
        ("somebody/else", "somebody/else", ""),
        ("", "", ""),
    ],
)
def test_a_user_id_says_whose_and_with_which_number(user: str, address: str, number: str) -> None:
    assert (address_of(user), number_of(user)) == (address, number)
