"""A reply in doubt is sent again only if the operator chose so, and then only under all conditions."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

import pytest

from journal import story
from journal.model import ReplyPart
from journal.states import PartState
from operations.held import HeldReplies
from runtime.settings import Settings, SettingsError
from sms.messages import DeliveryReport, InboundSms, MessageSid
from sms.ports import Listing, OutboundSms, Unknown
from tests.builders import ANN, OUR_NUMBER, a_text
from tests.room import WHO, Room
from worker.receipts import Receipts
from worker.reconcile import absence

BOB: Final = "+15551230002"
AFTER: Final = timedelta(minutes=15)
TERMS: Final = absence.Terms(after=AFTER, max_age=timedelta(hours=6))
LOOK_EVERY: Final = 300


class Doubt:
    """A person whose reply may have been sent, and an operator's choice."""

    def __init__(self, *, created: bool = False, terms: absence.Terms | None = TERMS, **habits: Any) -> None:
        self.room = Room(resend=terms, **habits)
        (self.text,) = self.room.texts("hello")
        self.fail(created=created)

    def fail(self, *, created: bool = False, of: InboundSms | None = None) -> None:
        """Let a worker make an attempt of which the answer is lost; `of`: at the reply to this text."""
        sender = self.room.sender
        sender.answers.append(Unknown(reason="no answer"))
        sender.creates_anyway = created
        self.room.serve()
        sender.creates_anyway = False
        assert self.part_of(of or self.text).state is PartState.UNKNOWN

    @property
    def part(self) -> ReplyPart:
        return self.part_of(self.text)

    def state(self) -> PartState:
        return self.part.state

    def part_of(self, text: InboundSms) -> ReplyPart:
        (part,) = self.room.store.outbox.parts(ANN, text.sid)
        return part

    @property
    def first_sid(self) -> MessageSid:
        return self.room.sender.created[0][0]

    def another_is_sent(self, to: str = BOB) -> None:
        """Let our number send another person something."""
        message = OutboundSms(to=to, sender=OUR_NUMBER, body="another", status_callback="", validity_seconds=3600)
        self.room.sender.send(message, may_begin=lambda: True)

    def look(self, times: int = 1, *, every: float = LOOK_EVERY) -> None:
        for _ in range(times):
            self.room.later(seconds=every)
            self.room.reconciler.reconcile()

    def person_says(self, body: str) -> InboundSms:
        text = a_text(body)
        self.room.inbox.texts.accept(text)
        self.room.later(seconds=61)
        self.room.serve()
        return text

    def kinds(self) -> list[str]:
        return [event.labels["kind"] for event in self.room.telemetry.events if "kind" in event.labels]


def test_by_default_it_waits_for_an_operator() -> None:
    doubt = Doubt(terms=None)
    doubt.another_is_sent()

    doubt.look(13)

    assert doubt.state() is PartState.HELD
    assert doubt.room.received == ["another"]


def test_what_the_list_does_not_show_is_sent_again_and_everything_of_it_is_recorded() -> None:
    doubt = Doubt()
    doubt.room.later(seconds=60)
    doubt.another_is_sent()

    doubt.look(3)
    assert WHO in doubt.room.asked_for("dadacat.answer"), "the person waits for no sweep"
    doubt.room.serve()

    assert doubt.state() is PartState.SENT
    assert [body for body in doubt.room.received if body != "another"] == ["re: hello"]
    assert doubt.kinds().count("resent") == 1
    (moved,) = (event for event in doubt.part.facts["log"] if event.get("evidence") == "absence")
    assert moved["attempt"] == doubt.part.resent != doubt.part.attempt_id
    turn = doubt.room.store.turns.get(ANN, doubt.text.sid)
    assert turn is not None
    told = story.tell(doubt.room.store, turn)
    assert [event.what for event in told.events].count("not on the list") == absence.LOOKS - 1
    assert "after an attempt that may have been sent" in told.verdict


@pytest.mark.parametrize(("looks", "every"), [(2, 3000), (3, 250)], ids=["readings", "age"])
def test_it_takes_three_readings_and_the_age(looks: int, every: float) -> None:
    doubt = Doubt()
    doubt.room.later(seconds=60)
    doubt.another_is_sent()

    doubt.look(looks, every=every)

    assert doubt.state() is PartState.UNKNOWN


def test_readings_within_one_minute_count_once() -> None:
    doubt = Doubt()
    doubt.room.later(seconds=1000)
    doubt.another_is_sent()

    doubt.look(5, every=10)

    assert len(doubt.part.looks) == 1
    assert doubt.state() is PartState.UNKNOWN


def test_readings_before_the_present_doubt_do_not_count() -> None:
    doubt = Doubt()
    key = {"user_id": ANN, "message_key": doubt.part.key}
    names = doubt.room.store.storage.names
    row = doubt.room.tables.get(names.messages, key)
    assert row is not None
    before = [(doubt.room.now() - timedelta(minutes=minutes)).isoformat() for minutes in (20, 10)]
    doubt.room.tables.put_all(names.messages, [{**row, "looks": before}])
    doubt.room.later(seconds=1000)
    doubt.another_is_sent()

    doubt.look(2)

    assert doubt.state() is PartState.UNKNOWN


def test_a_list_that_shows_nothing_younger_proves_nothing() -> None:
    doubt = Doubt()

    doubt.look(10)

    assert (doubt.state(), doubt.part.looks) == (PartState.UNKNOWN, ())


def test_a_list_that_shows_only_older_messages_proves_nothing() -> None:
    doubt = Doubt()
    doubt.another_is_sent()
    doubt.room.later(seconds=300)
    (later,) = doubt.room.texts("and another thing")
    doubt.fail(created=False, of=later)

    doubt.look(10)

    assert doubt.part_of(later).looks == ()
    assert len(doubt.part.looks) == 0, "what is as old as the doubt is not younger"


def test_the_same_words_in_a_message_that_is_another_replys_own_say_nothing() -> None:
    doubt = Doubt()
    again = doubt.person_says("hello")
    assert doubt.part_of(again).content == doubt.part.content

    doubt.look(3)

    assert doubt.part.resent is not None


def test_a_younger_message_of_another_number_proves_nothing() -> None:
    doubt = Doubt()
    doubt.room.later(seconds=60)
    message = OutboundSms(to=ANN, sender="+15005550009", body="another", status_callback="", validity_seconds=3600)
    doubt.room.sender.send(message, may_begin=lambda: True)

    doubt.look(10)

    assert doubt.part.looks == ()


def test_a_list_that_lacks_a_message_that_was_sent_proves_nothing() -> None:
    """Messages to this person were deleted at Twilio, so the one in doubt may have been, too."""
    doubt = Doubt()
    later = doubt.person_says("and another thing")
    assert doubt.part_of(later).state is PartState.SENT
    doubt.room.sender.created.clear()
    doubt.another_is_sent()

    doubt.look(10)

    assert (doubt.state(), doubt.part.looks) == (PartState.UNKNOWN, ())


def test_a_list_with_an_entry_that_cannot_be_read_proves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    doubt = Doubt()
    doubt.room.later(seconds=60)
    doubt.another_is_sent()
    sent_to = doubt.room.sender.sent_to

    def partly(person: str, *, for_the_last: timedelta) -> Listing:
        return replace(sent_to(person, for_the_last=for_the_last), unreadable=(MessageSid("SM1"),))

    monkeypatch.setattr(doubt.room.sender, "sent_to", partly)
    doubt.look(10)

    assert doubt.part.looks == ()


@pytest.mark.parametrize("words", ["re: hello", ""], ids=["same words", "words deleted"])
def test_what_was_once_perhaps_on_the_list_is_never_sent_again(words: str) -> None:
    """The message is deleted at Twilio before it could be told whose it was."""
    doubt = Doubt()
    (other,) = doubt.room.texts("hello")
    doubt.room.later(seconds=61)
    doubt.fail(created=True)
    sid, message = doubt.room.sender.created[-1]
    doubt.room.sender.created[-1] = sid, replace(message, body=words)
    doubt.look(1)
    assert doubt.part.perhaps_listed_at is not None
    doubt.room.sender.created.clear()
    doubt.another_is_sent()

    doubt.look(13)
    doubt.room.serve()

    assert {doubt.state(), doubt.part_of(other).state} == {PartState.HELD}
    assert doubt.room.received == ["another"]


def test_a_person_who_said_stop_gets_nothing() -> None:
    doubt = Doubt()
    doubt.room.later(seconds=60)
    doubt.another_is_sent()
    doubt.person_says("STOP")

    doubt.look(13)

    assert doubt.state() is PartState.HELD
    assert doubt.room.received == ["another"]


def test_a_person_whose_machine_answers_ours_gets_nothing() -> None:
    doubt = Doubt()
    room = doubt.room
    room.later(seconds=60)
    doubt.another_is_sent()
    fence = room.store.conversations.open(ANN, now=room.now()).fence
    room.store.conversations.set_quiet(ANN, until_ms=room.ms + 24 * 3_600_000, fence=fence, now=room.now())

    doubt.look(3)

    assert doubt.state() is PartState.UNKNOWN


def test_a_stop_after_the_decision_is_obeyed_and_the_row_stays_honest() -> None:
    doubt = Doubt()
    doubt.room.later(seconds=60)
    doubt.another_is_sent()
    doubt.look(3)
    assert doubt.state() is PartState.RETRY

    doubt.person_says("STOP")

    assert doubt.state() is PartState.SUPPRESSED
    assert doubt.part.reason == "opted out; an earlier attempt may have been sent"
    assert doubt.room.received == ["another"]


def test_a_stop_after_an_operators_word_leaves_the_row_honest_too() -> None:
    doubt = Doubt(terms=None)
    doubt.look(13)
    operator(doubt).resend(doubt.part.key)

    doubt.person_says("STOP")

    assert doubt.part.reason == "opted out; an earlier attempt may have been sent"
    assert doubt.room.received == []


def operator(doubt: Doubt) -> HeldReplies:
    """Return what an operator may do with the reply."""
    room = doubt.room
    return HeldReplies(journal=room.store, inbox=room.inbox, message_list=room.sender, validity=timedelta(hours=1))


def test_a_reply_that_is_too_old_is_held() -> None:
    doubt = Doubt(terms=replace(TERMS, max_age=timedelta(minutes=20)))
    doubt.room.later(seconds=1300)
    doubt.another_is_sent()

    doubt.look(13)

    assert doubt.state() is PartState.HELD


def test_it_is_not_held_while_it_may_still_be_sent_again() -> None:
    doubt = Doubt()

    doubt.look(24, every=600)

    assert doubt.state() is PartState.UNKNOWN
    doubt.look(13, every=600)
    assert doubt.state() is PartState.HELD, "six hours are over"


def test_it_is_sent_again_once_only() -> None:
    doubt = Doubt()
    doubt.room.later(seconds=60)
    doubt.another_is_sent()
    doubt.look(3)
    doubt.fail()
    doubt.room.later(seconds=60)
    doubt.another_is_sent()

    doubt.look(20)

    assert doubt.state() is PartState.HELD
    assert doubt.kinds().count("resent") == 1


def test_what_an_operator_gave_up_is_not_sent_again() -> None:
    doubt = Doubt(terms=None)
    doubt.look(13)
    operator(doubt).settle(doubt.part.key, was_sent=False)
    doubt.room.resend = TERMS
    doubt.room.reconciler = doubt.room.a_reconciler()
    doubt.another_is_sent()

    doubt.look(10)

    assert doubt.state() is PartState.HELD


def test_what_an_operator_had_sent_again_is_not_sent_a_third_time() -> None:
    doubt = Doubt(terms=None)
    doubt.look(13)
    operator(doubt).resend(doubt.part.key)
    doubt.fail()
    doubt.room.resend = TERMS
    doubt.room.reconciler = doubt.room.a_reconciler()
    doubt.room.later(seconds=60)
    doubt.another_is_sent()

    doubt.look(20)

    assert doubt.state() is PartState.HELD
    assert doubt.room.received == ["another"]


def test_a_report_that_comes_before_it_leaves_keeps_it_from_leaving() -> None:
    doubt = Doubt()
    doubt.room.later(seconds=60)
    doubt.another_is_sent()
    doubt.look(3)

    report(doubt, str(doubt.part.resent))
    doubt.room.serve()

    assert doubt.state() is PartState.SENT
    assert doubt.room.received == ["another"]
    assert "sent twice" not in doubt.kinds()


def test_a_report_that_comes_after_it_left_is_counted_as_a_reply_sent_twice() -> None:
    doubt = Doubt()
    doubt.room.later(seconds=60)
    doubt.another_is_sent()
    doubt.look(3)
    doubt.room.serve()

    report(doubt, str(doubt.part.resent))

    assert doubt.kinds().count("sent twice") == 1


def report(doubt: Doubt, attempt_id: str) -> None:
    """Let the carrier report an attempt as delivered."""
    room = doubt.room
    room.receive(DeliveryReport(sid=MessageSid("SM" + "9" * 32), to=ANN, status="delivered", attempt_id=attempt_id))
    Receipts(room.inbox, room.store, room.aftermath, who_key=b"memory", telemetry=room.telemetry).drain()


def test_a_person_gets_it_although_newer_texts_were_answered_meanwhile_and_no_order_is_claimed() -> None:
    doubt = Doubt()
    later = doubt.person_says("and another thing")
    assert doubt.part_of(later).state is PartState.SENT

    doubt.look(3)
    doubt.room.serve()

    assert doubt.state() is PartState.SENT
    turn = doubt.room.store.turns.get(ANN, doubt.text.sid)
    assert turn is not None
    assert turn.restored_at is not None


def test_the_list_of_a_number_is_read_once_for_all_replies_in_doubt(monkeypatch: pytest.MonkeyPatch) -> None:
    doubt = Doubt()
    (other,) = doubt.room.texts("and another thing")
    doubt.room.later(seconds=61)
    doubt.fail(of=other)
    doubt.room.later(seconds=60)
    doubt.another_is_sent()
    asked: list[str] = []
    sent_from = doubt.room.sender.sent_from

    def counting(number: str, *, since: datetime) -> Listing:
        asked.append(number)
        return sent_from(number, since=since)

    monkeypatch.setattr(doubt.room.sender, "sent_from", counting)
    doubt.look(3)

    assert {doubt.state(), doubt.part_of(other).state} == {PartState.RETRY}
    readings_for_prices = 2  # the first look ever only begins the statement
    assert len(asked) == 3 + readings_for_prices


def test_a_choice_that_could_never_act_is_refused() -> None:
    wrong = {"UNKNOWN_POLICY": "resend", "UNKNOWN_RESEND_AFTER_SECONDS": "3600", "MAX_AGE_SECONDS": "1800"}

    with pytest.raises(SettingsError, match=r"^UNKNOWN_RESEND_AFTER_SECONDS must be"):
        Settings.load(wrong)
