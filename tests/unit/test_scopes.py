"""What a refusal reaches: account, sender, channel, person or message, and nothing beyond."""

from __future__ import annotations

from datetime import timedelta

import pytest

from inbox import payloads
from inbox.payloads import Who
from inbox.ports import Place
from journal import story
from journal.states import PartState, TurnState
from operations import stats
from sms.messages import DeliveryReport, InboundSms, MessageSid
from sms.ports import Listed, Scope, Unknown
from tests.builders import ANN, BEN, OUR_NUMBER, PROBE_EVERY, a_sid, a_text, place_of, refused
from tests.room import WHO, Room
from worker.put_back import text_of
from worker.reconcile import evidence

OTHER_NUMBER = "+15005550007"
SERVICE, STRANGE_SERVICE = "MG" + "1" * 32, "MG" + "2" * 32
PROBE_SECONDS = PROBE_EVERY.total_seconds()


@pytest.fixture
def room() -> Room:
    return Room()


def who(person: str) -> Who:
    return payloads.who(person, b"memory")


def texts(room: Room, person: str, body: str = "hello", *, to: str = OUR_NUMBER, service: str | None = None) -> str:
    """Let a person text one of our numbers, and serve the person; return the sid."""
    text = InboundSms(sid=MessageSid(a_sid()), sender=person, to=to, body=body, messaging_service_sid=service)
    room.inbox.texts.accept(text)
    room.worker().serve(who(person))
    return text.sid


def stopped(room: Room) -> list[Place]:
    return [place_of(stop) for stop in room.circuit.stopped()]


def reports(room: Room, sid: str, status: str, code: int | None = None, *, person: str = ANN, to: str = "") -> None:
    """Let Twilio report on the reply to a text, as a status callback does."""
    part = room.store.outbox.parts(person, sid)[0]
    report = DeliveryReport(
        sid=MessageSid(part.sid or a_sid()), to=to or person, status=status, attempt_id=part.attempt_id or "",
        error_code=code, who=who(person),
    )  # fmt: skip
    room.receive(report)
    room.receipts.drain()


@pytest.mark.parametrize(
    ("code", "place", "bystander"),
    [
        (21659, Place(Scope.SENDER, OUR_NUMBER), (BEN, OTHER_NUMBER)),
        (21660, Place(Scope.SENDER, OUR_NUMBER), (BEN, OTHER_NUMBER)),
        (21661, Place(Scope.SENDER, OUR_NUMBER), (BEN, OTHER_NUMBER)),
        (63007, Place(Scope.CHANNEL, f"sms:{OUR_NUMBER}"), (f"whatsapp:{BEN}", f"whatsapp:{OUR_NUMBER}")),
        (572002, Place(Scope.DESTINATION, WHO), (BEN, OUR_NUMBER)),
        (21608, Place(Scope.DESTINATION, WHO), (BEN, OUR_NUMBER)),
        # it stands in no table
        (999999, Place(Scope.DESTINATION, WHO), (BEN, OUR_NUMBER)),
    ],
)
def test_a_refusal_stops_its_scope_and_keeps_the_reply(
    room: Room, code: int, place: Place, bystander: tuple[str, str]
) -> None:
    room.sender.answers.append(refused(code))
    sid = texts(room, ANN)
    assert room.store.outbox.parts(ANN, sid)[0].state is PartState.RETRY
    assert stopped(room) == [place]
    assert [alarm for alarm, _ in room.alarms][:1] == ["sending stopped"]

    person, number = bystander
    texts(room, person, "and i?", to=number)
    assert room.received == ["re: and i?"]

    room.later(seconds=PROBE_SECONDS)
    room.serve()
    assert room.received == ["re: and i?", "re: hello"]
    assert stopped(room) == []


def test_a_code_that_no_table_knows_is_an_alarm(room: Room) -> None:
    room.sender.answers.append(refused(999999))
    texts(room, ANN)

    assert ("carrier objects", "Twilio error 999999") in room.alarms


def test_a_refusal_that_only_waiting_heals_comes_back_rarely(room: Room) -> None:
    room.sender.answers.extend(refused(30018) for _ in range(100))
    texts(room, ANN)
    for _ in range(6 * 60 * 2):
        room.later(seconds=30)
        room.serve()

    # six hours, at 30 s, 1, 2, 4, 8, 16 minutes, and every half hour from then on
    assert 10 < len(room.sender.asked) < 20


@pytest.mark.parametrize("code", [21701, 21703, 21705])
def test_a_strange_messaging_service_concerns_that_reply_alone(room: Room, code: int) -> None:
    room.sender.answers.append(refused(code))

    texts(room, ANN, service=STRANGE_SERVICE)

    assert [asked.messaging_service_sid for asked in room.sender.asked] == [STRANGE_SERVICE, None]
    assert room.sender.asked[1].sender == OUR_NUMBER
    assert room.received == ["re: hello"]
    assert stopped(room) == []


def test_our_own_messaging_service_is_a_sender_that_can_be_stopped() -> None:
    room = Room(service_sid=SERVICE)
    room.sender.answers.append(refused(21703))

    texts(room, ANN, service=SERVICE)

    assert [asked.messaging_service_sid for asked in room.sender.asked] == [SERVICE]
    assert stopped(room) == [Place(Scope.SENDER, SERVICE)]
    texts(room, BEN, service=SERVICE)
    assert room.received == []
    room.later(seconds=PROBE_SECONDS)
    room.serve()
    assert room.received == ["re: hello"]


def test_one_person_whose_messages_come_back_delays_no_other(room: Room) -> None:
    for person in (ANN, BEN):
        texts(room, person)
    reports(room, room.store.outbox.newest_parts(ANN, limit=9)[0].turn, "undelivered", 30034)

    texts(room, BEN, "and now?")
    assert room.received[-1] == "re: and now?"
    texts(room, ANN, "and now?")
    assert len(room.received) == 3
    assert stopped(room) == [Place(Scope.DESTINATION, WHO)]


def test_a_sender_whose_messages_come_back_from_two_people_is_stopped(room: Room) -> None:
    sids = {person: texts(room, person) for person in (ANN, BEN)}
    for person, sid in sids.items():
        reports(room, sid, "undelivered", 30034, person=person)

    assert Place(Scope.SENDER, OUR_NUMBER) in stopped(room)
    cleo = "+15551230003"
    texts(room, cleo)
    assert len(room.received) == 2

    # the probe is accepted, which proves nothing; its delivery does
    room.later(seconds=PROBE_SECONDS)
    room.worker().serve(who(cleo))
    assert len(room.received) == 3
    assert Place(Scope.SENDER, OUR_NUMBER) in stopped(room)
    reports(room, room.store.outbox.newest_parts(cleo, limit=9)[0].turn, "delivered", person=cleo)
    assert stopped(room) == []


def test_everyone_who_waits_is_woken_when_the_way_opens(room: Room) -> None:
    people = [f"+1555123{number:04d}" for number in range(5)]
    room.sender.answers.append(refused(20003))
    for person in people:
        texts(room, person)
    assert [stop.people for stop in room.circuit.stopped()] == [5]
    waiting = room.asked_for(payloads.ANSWER_TASK)
    room.later(seconds=PROBE_SECONDS)

    room.worker().serve(who(people[2]))

    assert stopped(room) == []
    woken = room.asked_for(payloads.ANSWER_TASK)[len(waiting) :]
    assert sorted(woken) == sorted(map(who, people))
    for person in people:
        room.worker().serve(who(person))
    assert len(room.received) == 5


def test_when_one_person_is_no_longer_refused_those_with_the_same_refusal_try_at_once(room: Room) -> None:
    """A trial account is upgraded while people wait whose numbers are not verified."""
    people, other = [f"+1555123{number:04d}" for number in range(3)], "+15551239999"
    room.sender.answers.extend([*(refused(21608) for _ in range(5)), refused(572002)])
    for person in people:
        texts(room, person)
    room.later(seconds=PROBE_SECONDS)
    for person in people[:2]:
        room.worker().serve(who(person))  # the pauses of these two have doubled
    texts(room, other)
    assert room.received == []
    before = len(room.asked_for(payloads.ANSWER_TASK))

    room.worker().serve(who(people[2]))

    assert room.received == ["re: hello"]
    assert sorted(room.asked_for(payloads.ANSWER_TASK)[before:]) == sorted(map(who, people))
    room.later(seconds=1)
    for person in [*people[:2], other]:
        room.worker().serve(who(person))
    assert len(room.received) == 3
    assert stopped(room) == [Place(Scope.DESTINATION, who(other))]


def test_an_account_that_is_refused_with_a_5xx_is_stopped_and_its_message_left_in_doubt(room: Room) -> None:
    verdict = refused(20003).verdict
    room.sender.answers.append(Unknown(reason=verdict.means, verdict=verdict))

    sid = texts(room, ANN)

    assert room.store.outbox.parts(ANN, sid)[0].state is PartState.UNKNOWN
    assert stopped(room) == [Place(Scope.ACCOUNT)]


def shown(room: Room, sid: str) -> str:
    turn = room.store.turns.get(ANN, sid)
    assert turn is not None
    return story.tell(room.store, turn).verdict


def codes_counted(room: Room) -> dict[str, int]:
    rows = room.store.archive.states()
    return dict(stats.counted(rows, since=room.now() - timedelta(days=1), set_aside=lambda _: None).errors)


def test_a_delivery_after_all_takes_the_error_back(room: Room) -> None:
    sid = texts(room, ANN)
    reports(room, sid, "undelivered", 30008)
    assert "last reported undelivered with error 30008" in shown(room, sid)
    assert codes_counted(room) == {"30008": 1}

    reports(room, sid, "delivered")

    assert shown(room, sid).endswith("last reported delivered")
    assert codes_counted(room) == {}


def test_a_delivery_after_all_cancels_the_second_try(room: Room) -> None:
    sid = texts(room, ANN)
    reports(room, sid, "undelivered", 30022)
    assert [part.again for part in room.store.outbox.parts(ANN, sid)] == [False, True]

    reports(room, sid, "delivered")
    room.later(seconds=120)
    room.serve()

    assert room.received == ["re: hello"]
    assert room.store.outbox.parts(ANN, sid)[1].state is PartState.SUPPRESSED
    assert room.inbox.texts.oldest_waiting_ms() is None


def test_a_delivery_after_all_opens_what_the_report_had_stopped(room: Room) -> None:
    sid = texts(room, ANN)
    reports(room, sid, "undelivered", 30018)
    texts(room, ANN, "and now?")
    assert len(room.received) == 1

    reports(room, sid, "delivered")

    assert stopped(room) == []
    assert WHO in room.asked_for(payloads.ANSWER_TASK)
    room.serve()
    assert room.received == ["re: hello", "re: and now?"]


@pytest.mark.parametrize("status", ["queued", "delivered"])
def test_the_code_of_an_earlier_attempt_is_not_shown_for_a_later_one(room: Room, status: str) -> None:
    room.sender.answers.append(refused(20003))
    sid = texts(room, ANN)
    room.later(seconds=PROBE_SECONDS)
    room.serve()
    if status != "queued":
        reports(room, sid, status)

    assert shown(room, sid).endswith(f"last reported {status}")
    assert codes_counted(room) == {}


@pytest.mark.parametrize("written", ["+1 (555) 123-0001", "whatsapp:+358401234567", "15551230001"])
def test_a_report_finds_its_reply_however_twilio_writes_the_person(room: Room, written: str) -> None:
    sid = texts(room, ANN)

    reports(room, sid, "delivered", to=written)

    assert room.store.outbox.parts(ANN, sid)[0].status == "delivered"


def test_a_report_about_a_message_of_an_earlier_release_finds_its_reply_by_the_address(room: Room) -> None:
    sid = texts(room, ANN)
    part = room.store.outbox.parts(ANN, sid)[0]

    room.receive(
        DeliveryReport(sid=MessageSid(part.sid or ""), to=ANN, status="delivered", attempt_id=part.attempt_id or "")
    )
    room.receipts.drain()

    assert room.store.outbox.parts(ANN, sid)[0].status == "delivered"


def test_a_status_that_is_not_known_settles_a_doubt_and_changes_no_known_one(room: Room) -> None:
    sid = texts(room, ANN)
    reports(room, sid, "delivered")
    reports(room, sid, "seen_by_the_cat")
    assert room.store.outbox.parts(ANN, sid)[0].status == "delivered"

    room.sender.answers.append(Unknown(reason="no answer"))
    doubtful = texts(room, ANN, "and now?")
    reports(room, doubtful, "seen_by_the_cat")

    part = room.store.outbox.parts(ANN, doubtful)[0]
    assert (part.state, part.status) == (PartState.SENT, "seen_by_the_cat")


@pytest.mark.parametrize(
    "person", ["whatsapp:FI.1502576394655843", "whatsapp:US.ENT.11815799212886844830", "rcs:+15551230001"]
)
def test_a_person_is_answered_at_whatever_address_the_channel_gives(room: Room, person: str) -> None:
    sid = texts(room, person, to="whatsapp:+15005550006")

    assert [message.to for message in room.sender.asked] == [person]
    turn = room.store.turns.get(person, sid)
    assert turn is not None
    assert turn.state is TurnState.ANSWERED
    assert text_of(turn).sender == person


@pytest.mark.parametrize(
    ("sender", "body"),
    [
        (OUR_NUMBER, "re: hello"),
        ("+1 500-555-0006", "re: hello"),
        ("rcs:cat_agent", "re: hello"),
        (OUR_NUMBER, "Sent from your Twilio trial account - re: hello"),
    ],
)
def test_a_listed_message_settles_a_doubt_however_twilio_writes_it(room: Room, sender: str, body: str) -> None:
    room.sender.answers.append(Unknown(reason="no answer"))
    room.texts("hello")
    room.serve()
    listed = Listed(
        sid=MessageSid(a_sid()), to="whatsapp:+358401234567", sender=sender, body=body, status="delivered",
        inbound=False, created=room.now(),
    )  # fmt: skip
    room.sender.listed_to[ANN] = [listed]
    room.later(seconds=70)

    assert room.reconciler.reconcile().settled == 1


def test_a_listed_message_of_another_number_of_ours_is_no_evidence(room: Room) -> None:
    room.sender.answers.append(Unknown(reason="no answer"))
    room.texts("hello")
    room.serve()
    listed = Listed(
        sid=MessageSid(a_sid()), to=ANN, sender=OTHER_NUMBER, body="re: hello", status="delivered", inbound=False,
        created=room.now(),
    )  # fmt: skip
    room.sender.listed_to[ANN] = [listed]
    room.later(seconds=70)

    assert room.reconciler.reconcile().settled == 0


@pytest.mark.parametrize(
    ("address", "other", "same"),
    [
        ("+15551230001", "+15551230001", True),
        ("+15551230001", "+1 (555) 123-0001", True),
        ("whatsapp:+15551230001", "+15551230001", True),
        ("whatsapp:FI.1502576394655843", "whatsapp:+358401234567", True),
        ("+15551230001", "", True),
        ("+15551230001", "+15551230002", False),
    ],
)
def test_only_two_numbers_with_different_digits_are_certainly_not_the_same(
    address: str, other: str, *, same: bool
) -> None:
    assert evidence.may_be_same(address, other) is same


def test_an_rcs_sender_with_its_own_conversations_is_answered_and_stops_only_itself() -> None:
    room = Room(per_number=True)
    agent, person = "rcs:cat_agent_1", f"rcs:{ANN}"
    room.sender.answers.append(refused(63007))
    text = InboundSms(sid=MessageSid(a_sid()), sender=person, to=agent, body="hello")
    room.inbox.texts.accept(text)
    user = f"{person}/{agent}"
    room.worker().serve(who(user))

    assert [(message.to, message.sender) for message in room.sender.asked] == [(person, agent)]
    assert stopped(room) == [Place(Scope.CHANNEL, "rcs:cat_agent_1")]
    room.inbox.texts.accept(a_text("and i?"))
    room.worker().serve(who(f"{ANN}/{OUR_NUMBER}"))
    room.later(seconds=PROBE_SECONDS)
    room.worker().serve(who(user))
    assert room.received == ["re: and i?", "re: hello"]
