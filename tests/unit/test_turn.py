"""The path of a text through the worker, with in-memory stores: what a person gets, whatever fails."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, cast

import pytest

from conversation.errors import StoreAway
from inbox import payloads
from inbox.errors import InboxAway
from inbox.ports import Place
from journal.model import Binding, RowName
from journal.states import MAX_DELIVERY_TRIES, STATUS_RANK, PartState, TurnState
from operations.dead_letters import DeadLetters
from runtime.host import Host
from scripts.pages import tables
from sms.errors import CarrierAway
from sms.memory import InMemorySender
from sms.messages import DeliveryReport, InboundSms, Media, MessageSid
from sms.ports import Fetched, Listed, Listing, NotCreated, Scope, Sent, Unknown
from tests.builders import ANN, OUR_NUMBER, PROBE_EVERY, a_text, place_of, refused
from tests.room import WHO, Died, Dying, Room
from worker import delivery
from worker.lease import LeaseKeeper
from worker.put_back import text_of
from worker.receipts import Receipts


@pytest.fixture
def room() -> Room:
    return Room()


def dies_of(room: Room, words: str) -> Callable[[], None]:
    """Return what kills a worker that thinks about these words."""

    def die() -> None:
        if words in room.parrot.heard[-1].texts:
            raise Died

    return die


def deaths_until_served(room: Room) -> list[int]:
    """Serve every half minute until no text waits; return when workers died, in milliseconds."""
    deaths = []
    while room.inbox.texts.oldest_waiting_ms() is not None:
        try:
            room.serve()
        except Died:
            deaths.append(room.ms)
        room.later(seconds=30)
    return deaths


def test_one_text_gets_one_reply_and_leaves_the_inbox(room: Room) -> None:
    (text,) = room.texts("hello")

    room.serve()

    assert room.received == ["re: hello"]
    assert (room.state(text), room.part(text)) == (TurnState.ANSWERED, PartState.SENT)
    assert room.inbox.texts.oldest_waiting_ms() is None
    room.serve()
    assert room.received == ["re: hello"]


def test_each_text_gets_its_own_reply_in_order(room: Room) -> None:
    room.texts("one", "two", "three")

    room.serve()

    assert room.received == ["re: one", "re: two", "re: three"]


def test_texts_that_come_together_get_one_reply() -> None:
    room = Room(policy="coalesce")
    first, second = room.texts("one", "two")

    room.serve()

    assert room.received == ["re: one + two"]
    assert (room.state(first), room.state(second)) == (TurnState.ANSWERED, TurnState.ANSWERED)


def test_a_text_that_comes_while_the_cat_thinks_forms_the_next_turn() -> None:
    room = Room(policy="coalesce")
    room.texts("one")
    late = ["two"]

    def meanwhile() -> None:
        while late:
            room.texts(late.pop())

    room.parrot.meanwhile = meanwhile

    room.serve()

    assert room.received == ["re: one", "re: two"]


def test_only_the_newest_is_answered_where_that_is_the_policy() -> None:
    room = Room(policy="latest")
    old, new = room.texts("old", "new")

    room.serve()

    assert room.received == ["re: new"]
    assert (room.state(old), room.state(new)) == (TurnState.SILENT, TurnState.ANSWERED)


def test_the_cat_hears_what_was_said_before(room: Room) -> None:
    room.texts("my name is Ann")
    room.serve()
    room.texts("who am i?")
    room.serve()

    assert list(room.parrot.heard[-1].history) == [
        {"role": "user", "content": "my name is Ann"},
        {"role": "assistant", "content": "re: my name is ann"},
    ]


def test_the_same_webhook_again_changes_nothing(room: Room) -> None:
    (text,) = room.texts("hello")
    room.serve()

    room.inbox.texts.accept(text)
    room.serve()

    assert room.received == ["re: hello"]
    assert room.inbox.texts.oldest_waiting_ms() is None


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("call", ["conversations.open", "turns.file", "turns.persist", "outbox.claim", "outbox.bind"])
def test_a_worker_that_dies_at_the_journal_leaves_one_reply_at_most_and_says_so(call: str, *, after: bool) -> None:
    room = Room()
    (text,) = room.texts("hello")

    room.dies(journal=Dying(room.store, call, after=after))
    room.serve()
    room.later(seconds=61)
    room.serve()

    if (call, after) == ("outbox.claim", True):
        # it may have been sent: there is no second SMS, and the journal records the doubt
        assert room.received == []
        assert room.part(text) is PartState.UNKNOWN
    elif (call, after) == ("outbox.bind", False):
        assert room.received == ["re: hello"]
        assert room.part(text) is PartState.UNKNOWN
    else:
        assert room.received == ["re: hello"]
        assert room.part(text) is PartState.SENT
    assert room.inbox.texts.oldest_waiting_ms() is None


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(("part", "call"), [("texts", "waiting"), ("texts", "remove"), ("leases", "close")])
def test_a_worker_that_dies_at_the_inbox_leaves_one_reply(part: str, call: str, *, after: bool) -> None:
    room = Room()
    (text,) = room.texts("hello")

    room.dies(inbox=replace(room.inbox, **{part: Dying(getattr(room.inbox, part), call, after=after)}))
    room.serve()

    assert room.received == ["re: hello"]
    assert room.part(text) is PartState.SENT
    assert room.inbox.texts.oldest_waiting_ms() is None


@pytest.mark.parametrize("call", ["conversations.open", "turns.file", "turns.persist", "outbox.claim"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_while_the_store_is_away_the_text_waits(call: str, *, after: bool) -> None:
    room = Room()
    (text,) = room.texts("hello")

    room.serve(journal=Dying(room.store, call, after=after, error=StoreAway("away")))
    assert room.inbox.texts.oldest_waiting_ms() is not None
    room.later(seconds=6)
    assert room.inbox.agenda.due(limit=1)[0] == [WHO]
    room.serve()

    if (call, after) == ("outbox.claim", True):
        # the in-memory store cannot be read between the two; the real one recognises its claim
        assert room.part(text) is PartState.UNKNOWN
    else:
        assert room.received == ["re: hello"]


def test_a_dead_workers_try_is_counted_and_the_seventh_is_the_last(room: Room) -> None:
    (text,) = room.texts("poison")
    room.texts("hello")
    room.parrot.meanwhile = dies_of(room, "poison")

    deaths = deaths_until_served(room)

    assert room.state(text) is TurnState.DEAD
    assert room.received == ["re: hello"]
    assert len(deaths) == 7
    pauses = [later - earlier for earlier, later in pairwise(deaths)]
    assert pauses == sorted(pauses)
    assert sum(pauses) > 30 * 60


def test_workers_that_die_of_something_else_for_half_an_hour_cost_no_reply(room: Room) -> None:
    room.texts("hello")
    ends_ms = room.ms + 30 * 60_000

    def die() -> None:
        if room.ms < ends_ms:
            raise Died

    room.parrot.meanwhile = die
    deaths_until_served(room)

    assert room.received == ["re: hello"]


def test_a_new_text_does_not_shorten_the_pause_of_the_text_before_it(room: Room) -> None:
    room.texts("poison")
    room.parrot.meanwhile = dies_of(room, "poison")
    for _ in range(3):
        room.dies()
    room.serve()
    tries = len(room.parrot.heard)

    room.texts("hello")
    room.serve()

    assert (len(room.parrot.heard), room.received) == (tries, [])


def test_a_person_whose_text_waits_after_deaths_is_opted_out_at_once(room: Room) -> None:
    (text,) = room.texts("poison")
    room.parrot.meanwhile = dies_of(room, "poison")
    for _ in range(3):
        room.dies()
    room.serve()

    room.texts("STOP")
    room.serve()
    room.later(seconds=3600)
    room.serve()

    assert room.received == []
    assert room.state(text) is TurnState.SILENT


def test_a_bug_does_not_keep_the_person_waiting_for_a_lease(room: Room) -> None:
    room.texts("hello")

    with pytest.raises(RuntimeError):
        room.serve(journal=Dying(room.store, "turns.persist", after=False, error=RuntimeError("a bug")))

    assert room.inbox.leases.take(WHO) is not None


def test_a_sleeper_that_wakes_persists_nothing(room: Room) -> None:
    room.texts("hello")

    def sleep_and_be_overtaken() -> None:
        room.parrot.meanwhile = lambda: None
        room.later(seconds=21)
        room.serve()

    room.parrot.meanwhile = sleep_and_be_overtaken
    room.serve()

    assert room.received == ["re: hello"]


def test_what_was_proven_not_created_is_sent_again_later(room: Room) -> None:
    room.texts("hello")
    room.sender.answers.append(refused(20429))

    room.serve()
    assert room.received == []
    room.serve()
    assert room.received == []
    room.later(seconds=5)
    room.serve()

    assert room.received == ["re: hello"]
    assert len({message.status_callback for message in room.sender.asked}) == 2


def test_a_reply_under_way_holds_back_the_next(room: Room) -> None:
    room.texts("one", "two")
    room.sender.answers.append(refused(20429))

    room.serve()
    assert room.received == []
    room.later(seconds=5)
    room.serve()

    assert room.received == ["re: one", "re: two"]


def test_an_unknown_outcome_is_never_sent_again_and_holds_back_for_a_while_only(room: Room) -> None:
    (text, _) = room.texts("one", "two")
    room.sender.answers.append(Unknown(reason="read timeout"))

    room.serve()
    room.later(seconds=30)
    room.serve()
    assert len(room.sender.asked) == 1
    room.later(seconds=31)
    room.serve()

    assert [message.body for message in room.sender.asked] == ["re: one", "re: two"]
    assert room.part(text) is PartState.UNKNOWN


def test_a_report_ends_the_wait_for_an_unknown_outcome(room: Room) -> None:
    (text, _) = room.texts("one", "two")
    room.sender.answers.append(Unknown(reason="reset"))
    room.sender.creates_anyway = True
    room.serve()
    part = room.store.outbox.parts(ANN, text.sid)[0]
    assert part.attempt_id is not None

    room.receive(DeliveryReport(sid=MessageSid("SMout"), to=ANN, status="sent", attempt_id=part.attempt_id))
    room.receipts.drain()
    room.serve()

    assert room.received == ["re: one", "re: two"]
    assert room.part(text) is PartState.SENT


def test_an_unknown_outcome_without_evidence_is_held(room: Room) -> None:
    (text,) = room.texts("hello")
    room.sender.answers.append(Unknown(reason="reset"))
    room.serve()

    room.later(seconds=3700)
    room.reconciler.reconcile()

    assert room.part(text) is PartState.HELD
    room.serve()
    assert len(room.sender.asked) == 1


def test_a_person_who_opted_out_at_the_carrier_is_left_in_peace(room: Room) -> None:
    (first,) = room.texts("one")
    room.sender.answers.append(refused(21610))
    room.serve()
    (second,) = room.texts("two")
    room.serve()

    assert room.received == []
    assert (room.part(first), room.state(second)) == (PartState.FAILED, TurnState.SILENT)


def test_stop_is_obeyed_until_start(room: Room) -> None:
    texts = room.texts("STOP", "hello?", "start", "hello!")

    room.serve()

    assert room.received == ["re: hello!"]
    assert [room.state(text) for text in texts] == [TurnState.SILENT] * 3 + [TurnState.ANSWERED]


def test_reset_forgets(room: Room) -> None:
    room.texts("my name is Ann")
    room.serve()
    room.texts("reset")
    room.serve()
    room.texts("who am i?")
    room.serve()

    assert room.received[0] == "re: my name is ann"
    assert room.received[1]
    assert not any("Ann" in line["content"] for line in room.parrot.heard[-1].history)


def test_a_visit_does_not_wait_for_the_slow_claims_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "GATE_SECONDS", 0.01)
    gate = threading.Semaphore(0)
    room = Room()
    (text,) = room.texts("hello")

    room.serve(host=Host(semaphore=lambda _: gate))

    assert room.state(text) is TurnState.ANSWERED
    assert room.received == []
    room.later(seconds=6)
    gate.release()
    room.serve(host=Host(semaphore=lambda _: gate))
    assert room.received == ["re: hello"]
    assert gate.acquire(blocking=False)


@pytest.mark.parametrize("sender", [OUR_NUMBER, "12345", "BANK"])
def test_machines_are_not_answered(sender: str) -> None:
    room = Room()
    room.inbox.texts.accept(a_text("hello", sender=sender))

    room.worker().serve(payloads.who(sender, b"memory"))

    assert room.sender.asked == []
    assert room.inbox.texts.oldest_waiting_ms() is None


def test_a_text_too_old_to_answer_is_stale(room: Room) -> None:
    (text,) = room.texts("hello")
    room.later(seconds=21_700)

    room.serve()

    assert room.received == []
    assert room.state(text) is TurnState.STALE


def test_a_reply_too_old_to_send_is_suppressed(room: Room) -> None:
    (text,) = room.texts("hello")
    room.sender.answers.append(refused(21611))
    room.serve()
    room.later(seconds=21_700)

    room.serve()

    assert room.received == []
    assert room.part(text) is PartState.SUPPRESSED
    assert room.inbox.texts.oldest_waiting_ms() is None


def test_a_worker_that_is_told_to_stop_leaves_the_rest_to_another(room: Room) -> None:
    room.texts("one", "two")

    def stop() -> None:
        room.stopping = True

    room.parrot.meanwhile = stop
    room.serve()
    assert room.received == ["re: one"]
    assert room.asked_for(payloads.ANSWER_TASK)[-1] == WHO

    room.stopping = False
    room.parrot.meanwhile = lambda: None
    room.serve()
    assert room.received == ["re: one", "re: two"]


def test_a_carrier_that_is_away_is_not_claimed_for(room: Room) -> None:
    (text,) = room.texts("hello")
    room.sender.away = True

    room.serve()
    assert room.part(text) is PartState.NEW
    room.sender.away = False
    room.later(seconds=6)
    room.serve()

    assert room.received == ["re: hello"]


@pytest.mark.parametrize("call", ["conversations.open", "turns.file", "turns.persist", "outbox.claim"])
def test_after_redis_was_emptied_what_was_filed_is_found_again(call: str) -> None:
    room = Room()
    (text,) = room.texts("hello")
    room.dies(journal=Dying(room.store, call, after=True))
    room.redis.flushall()
    room.later(seconds=61)

    found = room.reconciler.reconcile().unfinished
    room.serve()
    room.later(seconds=61)
    room.serve()

    if call == "conversations.open":
        # the text was never filed: only Twilio's own list has it
        assert found == 0
    elif call == "outbox.claim":
        assert (room.received, room.part(text)) == ([], PartState.UNKNOWN)
    else:
        assert room.received == ["re: hello"]


@pytest.mark.parametrize("back", ["by the reconciler", "by Twilio's second post"])
@pytest.mark.parametrize("call", ["turns.file", "turns.persist"])
def test_a_text_that_came_back_says_so_before_it_is_answered_behind_its_successor(call: str, back: str) -> None:
    room = Room()
    (first,) = room.texts("first")
    room.dies(journal=Dying(room.store, call, after=True))
    room.redis.flushall()
    (second,) = room.texts("second")
    room.serve()
    room.later(seconds=61)

    if back == "by the reconciler":
        room.reconciler.reconcile()
    else:
        room.inbox.texts.accept(first)
    with pytest.raises(Died):
        room.serve(sender=Dying(room.sender, "send", after=False))

    turns = [room.store.turns.get(ANN, text.sid) for text in (first, second)]
    assert [turn.restored_at is not None for turn in turns if turn is not None] == [True, False]


def test_a_text_that_comes_back_keeps_twilios_verdict(room: Room) -> None:
    """Twilio answered a custom word, which only its verdict tells from any other text."""
    told = a_text("tell me more", opt_out_type="HELP")
    room.inbox.texts.accept(told)
    room.dies(journal=Dying(room.store, "turns.settle", after=False))
    room.redis.flushall()

    room.later(seconds=61)
    room.reconciler.reconcile()
    room.serve()

    assert room.state(told) is TurnState.SILENT
    assert room.received == []


def test_a_poisonous_text_does_not_take_its_neighbours_with_it() -> None:
    room = Room(policy="coalesce")
    poison, innocent = room.texts("poison", "hello")

    room.parrot.meanwhile = dies_of(room, "poison")
    deaths_until_served(room)

    assert (room.state(poison), room.state(innocent)) == (TurnState.DEAD, TurnState.ANSWERED)
    assert room.received == ["re: hello"]


def lost_answers(room: Room, *bodies: str) -> list[InboundSms]:
    """Let the carrier create each text's reply, and lose its answer."""
    texts = []
    for body in bodies:
        texts += room.texts(body)
        room.sender.answers.append(Unknown(reason="read timeout"))
        room.sender.creates_anyway = True
        room.serve()
        room.later(seconds=61)
        room.serve()
    return texts


def test_the_carriers_list_settles_an_unknown_outcome(room: Room) -> None:
    (text,) = lost_answers(room, "hello")
    assert room.part(text) is PartState.UNKNOWN

    report = room.reconciler.reconcile()

    assert report.settled == 1
    part = room.store.outbox.parts(ANN, text.sid)[0]
    assert (part.state, part.sid) == (PartState.SENT, room.sender.created[0][0])
    assert room.received == ["re: hello"]


def test_evidence_counts_however_long_the_look_at_the_list_has_taken(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    (text,) = lost_answers(room, "hello")
    room.later(seconds=3700)
    sent_to = room.sender.sent_to

    def slow(person: str, *, for_the_last: timedelta) -> Listing:
        listing = sent_to(person, for_the_last=for_the_last)
        room.later(seconds=120)
        return replace(listing, read_at=room.now())

    monkeypatch.setattr(room.sender, "sent_to", slow)
    room.reconciler.reconcile()

    assert room.part(text) is PartState.SENT


def test_a_list_that_lags_settles_it_later_and_never_means_absence(room: Room) -> None:
    (text,) = lost_answers(room, "hello")
    room.sender.hidden = {sid for sid, _ in room.sender.created}

    assert room.reconciler.reconcile().settled == 0
    assert room.part(text) is PartState.UNKNOWN
    room.sender.hidden.clear()
    assert room.reconciler.reconcile().settled == 1
    assert room.part(text) is PartState.SENT


def test_an_entry_that_is_another_parts_own_is_no_evidence(room: Room) -> None:
    (first,) = room.texts("hello")
    room.serve()
    (second,) = room.texts("hello")
    room.sender.answers.append(Unknown(reason="reset"))
    room.serve()
    room.later(seconds=61)

    assert room.reconciler.reconcile().settled == 0
    assert (room.part(first), room.part(second)) == (PartState.SENT, PartState.UNKNOWN)


def test_with_fewer_entries_than_doubts_no_one_is_bound(room: Room) -> None:
    first, second = lost_answers(room, "hello", "hello")
    room.sender.hidden = {room.sender.created[0][0]}

    assert room.reconciler.reconcile().settled == 0
    room.sender.hidden.clear()
    assert room.reconciler.reconcile().settled == 2
    bound = [room.store.outbox.parts(ANN, text.sid)[0].sid for text in (first, second)]
    assert bound == [sid for sid, _ in room.sender.created]


def test_a_text_whose_webhook_never_came_is_found_in_the_list_and_answered_once(room: Room) -> None:
    room.reconciler.reconcile()
    room.later(seconds=60)
    room.heard_of("hello?")
    room.later(seconds=300)

    report = room.reconciler.reconcile()
    room.serve()
    room.reconciler.reconcile()
    room.serve()

    assert (report.missed, report.late) == (1, 1)
    assert room.received == ["re: hello?"]


def test_what_came_before_the_first_look_is_not_ours_to_answer(room: Room) -> None:
    room.heard_of("ages ago")
    room.later(seconds=3600)

    room.reconciler.reconcile()
    room.later(seconds=300)

    assert room.reconciler.reconcile().missed == 0


def test_a_text_that_redis_lost_for_hours_is_as_old_as_it_is(room: Room) -> None:
    (text,) = room.texts("hello")
    room.dies(journal=Dying(room.store, "turns.persist", after=False))
    room.redis.flushall()
    room.later(seconds=7 * 3600)
    room.reconciler.reconcile()

    room.serve()

    assert room.state(text) is TurnState.STALE
    assert len(room.parrot.heard) == 1, "the model was asked when it was new"


def test_a_dead_letter_that_is_replayed_late_is_answered(room: Room) -> None:
    (text,) = room.texts("hello")
    for _ in range(8):
        with suppress(ZeroDivisionError):
            room.serve(journal=Dying(room.store, "turns.persist", after=False, error=ZeroDivisionError("a bug")))
        room.later(seconds=2000)
    room.later(seconds=8 * 3600)
    assert room.state(text) is TurnState.DEAD

    assert DeadLetters(room.store, room.inbox).replay(text.sid)
    room.serve()

    assert room.received == ["re: hello"]


def test_a_missed_text_that_is_too_old_is_stale(room: Room) -> None:
    room.reconciler.reconcile()
    sid = room.heard_of("hello?")
    room.later(seconds=21_700)

    assert room.reconciler.reconcile(since=timedelta(hours=24)).missed == 1
    room.serve()

    turn = room.store.turns.get(ANN, sid)
    assert turn is not None
    assert turn.state is TurnState.STALE
    assert room.received == []


def test_texts_whose_webhook_came_are_not_accepted_again(room: Room) -> None:
    room.reconciler.reconcile()
    (text,) = room.texts("hello")
    room.sender.received.append(
        Listed(
            sid=text.sid, to=OUR_NUMBER, sender=ANN, body="hello", status="received", inbound=True, created=room.now()
        )
    )
    room.serve()
    room.later(seconds=300)

    assert room.reconciler.reconcile().missed == 0
    assert room.received == ["re: hello"]


def test_a_wrong_account_stops_all_sending_keeps_every_turn_and_one_probe_opens_the_way(room: Room) -> None:
    (first,) = room.texts("one")
    wrong = refused(20003)
    room.sender.answers.append(wrong)
    room.serve()
    assert room.stopped.startswith("authentication failed")

    (second,) = room.texts("two")
    for _ in range(3):
        room.later(seconds=PROBE_EVERY.total_seconds() / 4)
        room.serve()
    assert len(room.sender.asked) == 1
    assert room.inbox.texts.oldest_waiting_ms() is not None

    room.sender.answers.append(wrong)
    room.later(seconds=61)
    room.serve()
    assert (len(room.sender.asked), bool(room.stopped)) == (2, True)

    room.later(seconds=61)
    room.serve()
    assert room.received == ["re: one", "re: two"]
    assert not room.stopped
    assert (room.part(first), room.part(second)) == (PartState.SENT, PartState.SENT)


def test_a_store_that_throttles_again_and_again_kills_no_text(room: Room) -> None:
    (text,) = room.texts("hello")
    for _ in range(8):
        room.serve(journal=Dying(room.store, "turns.persist", after=False, error=StoreAway("throttled")))
        room.later(seconds=6)

    room.serve()

    assert room.received == ["re: hello"]
    assert room.state(text) is TurnState.ANSWERED


def test_yes_opens_the_way_after_stop_and_is_a_word_otherwise(room: Room) -> None:
    room.texts("yes", "STOP", "yes", "hello")

    room.serve()

    assert room.received == ["re: yes", "re: hello"]


def test_a_text_that_waits_behind_another_is_not_missed(room: Room) -> None:
    room.reconciler.reconcile()
    texts = room.texts("one", "two")
    room.sender.answers.append(refused(21611))
    room.serve()
    room.sender.received += [
        Listed(
            sid=text.sid, to=OUR_NUMBER, sender=ANN, body=text.body, status="received", inbound=True, created=room.now()
        )
        for text in texts
    ]
    room.later(seconds=120)

    assert room.reconciler.reconcile().missed == 0


class Broken(InMemorySender):
    """A sender with a bug that shows before anything is claimed."""

    def warm(self) -> None:
        raise RuntimeError("a bug")


def test_a_bug_that_keeps_a_reply_from_being_sent_blocks_no_one_for_ever(room: Room) -> None:
    (text,) = room.texts("hello")
    with pytest.raises(RuntimeError, match="a bug"):
        room.serve(sender=Broken())
    for _ in range(MAX_DELIVERY_TRIES):
        room.later(seconds=6)
        with suppress(RuntimeError):
            room.serve(sender=Broken())

    room.texts("and now?")
    room.serve()

    assert room.received == ["re: and now?"]
    assert room.part(text) is PartState.FAILED
    assert [row.key for row in room.store.dead_letters.list()] == [f"out#{text.sid}#0"]
    turn = room.store.turns.get(ANN, text.sid)
    assert turn is not None
    assert "RuntimeError: a bug" in (turn.error or "")

    room.store.dead_letters.revive(RowName(user_id=ANN, key=f"out#{text.sid}#0"), now=room.now())
    room.inbox.texts.accept(text)
    room.serve()
    assert room.received == ["re: and now?", "re: hello"]


def reported(room: Room, text: InboundSms, status: str, code: int | None = None) -> None:
    """Report a status for the first part of the reply to a text, and write it to the journal."""
    part = room.store.outbox.parts(ANN, text.sid)[0]
    assert part.attempt_id is not None
    assert part.sid is not None
    room.receive(
        DeliveryReport(sid=MessageSid(part.sid), to=ANN, status=status, attempt_id=part.attempt_id, error_code=code)
    )
    room.receipts.drain()


def test_what_failed_on_its_way_is_tried_once_more_and_no_oftener(room: Room) -> None:
    (text,) = room.texts("hello")
    room.serve()

    reported(room, text, "undelivered", 30022)
    reported(room, text, "undelivered", 30022)
    room.serve()
    assert room.received == ["re: hello"]
    room.later(seconds=60)
    room.serve()
    assert room.received == ["re: hello", "re: hello"]

    first, second = room.store.outbox.parts(ANN, text.sid)
    assert (first.state, first.status, first.error_code) == (PartState.SENT, "undelivered", 30022)
    assert (second.key, second.state) == (f"{first.key}r", PartState.SENT)
    room.receive(
        DeliveryReport(
            sid=MessageSid(second.sid or ""),
            to=ANN,
            status="failed",
            attempt_id=second.attempt_id or "",
            error_code=30022,
        )
    )
    room.receipts.drain()
    room.later(seconds=600)
    room.serve()
    assert len(room.received) == 2
    assert room.inbox.texts.oldest_waiting_ms() is None


def test_a_daily_limit_is_waited_out_and_holds_no_one_up(room: Room) -> None:
    room.reconciler.reconcile()
    (text,) = room.texts("hello")
    room.serve()
    room.sender.fates[room.sender.created[0][0]] = ("failed", 30023)
    reported(room, text, "failed", 30023)

    room.texts("and now?")
    room.serve()
    assert room.received == ["re: hello", "re: and now?"]
    room.later(seconds=3600)
    room.reconciler.reconcile()
    room.serve()
    assert len(room.received) == 2

    room.later(seconds=24 * 3600)
    room.reconciler.reconcile()
    room.serve()
    assert room.received == ["re: hello", "re: and now?", "re: hello"]


def test_what_was_refused_by_the_telephone_is_not_tried_again(room: Room) -> None:
    (text,) = room.texts("hello")
    room.serve()

    reported(room, text, "undelivered", 30005)
    room.later(seconds=600)
    room.serve()

    assert room.received == ["re: hello"]
    assert len(room.store.outbox.parts(ANN, text.sid)) == 1


def test_a_worker_that_dies_before_it_rings_for_a_second_try_leaves_it_to_the_reconciler(room: Room) -> None:
    room.reconciler.reconcile()
    (text,) = room.texts("hello")
    room.serve()
    room.sender.fates[room.sender.created[0][0]] = ("undelivered", 30022)
    after = room.an_aftermath(replace(room.inbox, texts=Dying(room.inbox.texts, "accept", after=False)))
    room.receipts = Receipts(room.inbox, room.store, after, who_key=b"memory")

    with pytest.raises(Died):
        reported(room, text, "undelivered", 30022)
    room.later(seconds=180)
    room.reconciler.reconcile()
    room.serve()

    assert room.received == ["re: hello", "re: hello"]


def test_a_fate_that_no_callback_told_and_the_price_come_from_the_list(room: Room) -> None:
    room.reconciler.reconcile()
    (text,) = room.texts("hello")
    room.serve()
    (sid, _), *_ = room.sender.created
    room.sender.unpriced.add(sid)
    room.later(seconds=30)

    report = room.reconciler.reconcile()
    part = room.store.outbox.parts(ANN, text.sid)[0]
    assert (report.reported, report.charged) == (1, 0)
    assert (part.status, part.price) == ("delivered", None)

    room.sender.unpriced.clear()
    # an hour later the price is there: the last look stopped at the first message without one
    room.later(seconds=3600)
    assert room.reconciler.reconcile().charged == 1
    part = room.store.outbox.parts(ANN, text.sid)[0]
    assert (part.segments, part.price, part.price_unit) == (1, "-0.00750", "USD")
    assert room.reconciler.reconcile().charged == 0


def test_a_failure_that_no_callback_told_is_tried_again_too(room: Room) -> None:
    room.reconciler.reconcile()
    room.texts("hello")
    room.serve()
    (sid, _), *_ = room.sender.created
    room.sender.fates[sid] = ("failed", 30001)
    room.later(seconds=30)

    room.reconciler.reconcile()
    room.later(seconds=60)
    room.serve()

    assert room.received == ["re: hello", "re: hello"]


def test_two_machines_are_told_apart_from_people_by_the_carrier(room: Room) -> None:
    room.sender.answers.append(refused(14107))
    first, second = room.texts("beep", "beep")

    room.serve()
    assert room.received == []
    assert (room.part(first), room.state(second)) == (PartState.FAILED, TurnState.SILENT)

    room.later(seconds=3700)
    room.texts("hello, i am a person")
    room.serve()
    assert room.received == ["re: hello, i am a person"]


def test_a_person_who_opted_out_at_the_carrier_gets_nothing_more_in_the_same_visit(room: Room) -> None:
    room.sender.answers.append(refused(21610))
    _, second = room.texts("one", "two")

    room.serve()

    assert len(room.sender.asked) == 1
    assert room.state(second) is TurnState.SILENT


@pytest.fixture
def verse() -> Room:
    """Return a room with a cat that answers in three messages."""
    room = Room()
    room.max_parts = 3
    room.parrot.words = "the box\nthe cat\nthe lid"
    return room


def test_a_reply_in_several_parts_is_sent_in_order(verse: Room) -> None:
    verse.texts("a poem")

    verse.serve()

    assert verse.received == ["the box", "the cat", "the lid"]


@pytest.mark.parametrize("call", ["outbox.claim", "outbox.bind"])
@pytest.mark.parametrize("nth", [1, 2, 3])
def test_a_reply_in_parts_goes_on_at_the_part_that_is_missing(verse: Room, call: str, nth: int) -> None:
    verse.texts("a poem")

    verse.dies(journal=Dying(verse.store, call, after=call == "outbox.bind", nth=nth))
    verse.serve()

    assert verse.received == ["the box", "the cat", "the lid"]
    assert verse.inbox.texts.oldest_waiting_ms() is None


def test_a_part_in_doubt_holds_the_next_back_until_patience_is_over(verse: Room) -> None:
    verse.sender.answers.extend([Sent(sid=MessageSid("SMa"), status="queued"), Unknown(reason="a reset")])
    verse.texts("a poem")

    verse.serve()
    assert verse.received == ["the box"]
    verse.later(seconds=61)
    verse.serve()

    assert verse.received == ["the box", "the lid"]


def test_of_a_long_backlog_only_the_newest_is_answered_where_that_is_the_policy() -> None:
    room = Room(policy="latest")
    *old, new = room.texts(*(f"text {n}" for n in range(45)))

    room.serve()

    assert room.received == ["re: text 44"]
    assert {room.state(text) for text in old} == {TurnState.SILENT}
    assert room.state(new) is TurnState.ANSWERED
    assert room.inbox.texts.oldest_waiting_ms() is None


def test_an_outcome_is_written_down_before_anything_else_is_asked_of_redis(room: Room) -> None:
    """Redis is away briefly while Twilio refuses a message: the refusal is proof, and no doubt remains."""
    room.sender.answers.append(refused(20003))
    (text,) = room.texts("hello")
    circuit = room.circuit
    dying = Dying(circuit, "open", after=False, error=InboxAway("redis"))
    room.circuit = dying  # type: ignore[assignment]  # wraps the circuit

    room.serve()
    assert room.part(text) is PartState.RETRY
    room.circuit = circuit
    room.later(seconds=61)
    room.serve()

    assert room.received == ["re: hello"]


@pytest.mark.parametrize("call", ["passage"])
def test_a_redis_that_blinks_again_and_again_kills_no_reply(room: Room, call: str) -> None:
    (text,) = room.texts("hello")
    circuit = room.circuit
    for _ in range(14):
        dying = Dying(circuit, call, after=False, error=InboxAway("redis"))
        room.circuit = dying  # type: ignore[assignment]  # wraps the circuit
        room.serve()
        room.later(seconds=6)
    room.circuit = circuit

    room.serve()

    assert room.received == ["re: hello"]
    assert room.part(text) is PartState.SENT


def test_a_visit_that_cannot_tell_redis_that_it_ends_tries_again(room: Room) -> None:
    (text,) = room.texts("hello")
    away = Dying(room.inbox.leases, "release_until", after=False, error=InboxAway("redis"))

    room.serve(
        inbox=replace(room.inbox, leases=away),
        journal=Dying(room.store, "turns.persist", after=False, error=StoreAway("throttled")),
    )
    lease = room.inbox.leases.take(WHO)

    assert lease is not None
    assert not lease.after_death
    assert room.state(text) is TurnState.FILED


@pytest.mark.parametrize(
    ("refusal", "reason"),
    [
        (
            refused(14107),
            "two machines seem to talk to each other",
        ),
        (refused(21610), "opted out"),
    ],
)
def test_the_rest_of_a_reply_is_not_sent_to_a_person_who_is_to_get_nothing(
    verse: Room, refusal: NotCreated, reason: str
) -> None:
    verse.sender.answers.append(refusal)
    (text,) = verse.texts("a poem")

    verse.serve()

    assert verse.received == []
    first, *others = verse.store.outbox.parts(ANN, text.sid)
    assert first.state is PartState.FAILED
    assert [(part.state, part.reason) for part in others] == [(PartState.SUPPRESSED, reason)] * 2


def test_a_second_try_is_not_sent_to_a_person_who_opted_out_meanwhile(room: Room) -> None:
    room.reconciler.reconcile()
    (text,) = room.texts("hello")
    room.serve()
    reported(room, text, "failed", 30023)
    room.texts("STOP")
    room.serve()

    room.later(seconds=25 * 3600)
    room.reconciler.reconcile()
    room.serve()

    assert room.received == ["re: hello"]
    assert room.store.outbox.parts(ANN, text.sid)[1].state is PartState.SUPPRESSED


def test_a_stop_acts_at_once_though_a_reply_before_it_waits_for_its_retry(room: Room) -> None:
    room.sender.answers.append(refused(21611))
    (text,) = room.texts("hello")
    room.serve()
    room.texts("STOP")

    room.later(seconds=1)
    room.serve()
    room.later(seconds=3600)
    room.serve()

    assert room.received == []
    assert room.part(text) is PartState.SUPPRESSED
    assert room.inbox.texts.oldest_waiting_ms() is None


def test_an_old_stop_that_is_brought_again_means_nothing(room: Room) -> None:
    stop, *_ = room.texts("STOP", "START")
    room.serve()

    room.inbox.texts.accept(stop)
    room.texts("hello")
    room.serve()

    assert room.received == ["re: hello"]


def test_of_a_backlog_with_something_else_behind_it_the_newest_is_answered() -> None:
    room = Room(policy="latest")
    *_, newest = room.texts(*(f"text {n}" for n in range(20)))
    room.texts("HELP")

    room.serve()

    assert room.received == ["re: text 19"]
    assert room.state(newest) is TurnState.ANSWERED


@pytest.mark.parametrize(
    ("code", "place"),
    [
        (30002, Place(Scope.ACCOUNT)),
        (63051, Place(Scope.CHANNEL, f"sms:{OUR_NUMBER}")),
        (30018, Place(Scope.DESTINATION, WHO)),
        # it may lie with this one person's network
        (30034, Place(Scope.DESTINATION, WHO)),
    ],
)
def test_a_failure_that_concerns_more_than_one_message_stops_its_scope(room: Room, code: int, place: Place) -> None:
    (text,) = room.texts("hello")
    room.serve()

    reported(room, text, "undelivered", code)
    room.texts("and now?")
    room.serve()

    assert [(place_of(stop), stop.people) for stop in room.circuit.stopped()] == [(place, 1)]
    assert [str(alarm) for alarm, _ in room.alarms] == ["sending stopped"]
    assert room.received == ["re: hello"]


def test_an_opt_out_that_a_callback_tells_is_heeded(room: Room) -> None:
    (text,) = room.texts("hello")
    room.serve()

    reported(room, text, "failed", 21610)
    (second,) = room.texts("and now?")
    room.serve()

    assert room.received == ["re: hello"]
    assert room.state(second) is TurnState.SILENT


def test_a_failure_that_no_table_knows_is_an_alarm(room: Room) -> None:
    (text,) = room.texts("hello")
    room.serve()

    reported(room, text, "failed", 39999)

    assert room.alarms == [("carrier objects", "Twilio error 39999")]


def test_a_reply_that_no_one_waits_for_any_more_is_not_tried_again(room: Room) -> None:
    (text,) = room.texts("hello")
    room.serve()
    room.later(seconds=9 * 3600)

    reported(room, text, "undelivered", 30036)
    room.later(seconds=120)
    room.serve()

    assert room.received == ["re: hello"]
    assert len(room.store.outbox.parts(ANN, text.sid)) == 1


def test_waiting_for_a_retry_is_no_duplicate(room: Room) -> None:
    room.sender.answers.append(refused(20429))
    (text,) = room.texts("hello")
    for _ in range(3):
        room.serve()
        room.later(seconds=10)

    turn = room.store.turns.get(ANN, text.sid)
    assert turn is not None
    assert "duplicates" not in turn.facts
    assert room.received == ["re: hello"]


def test_a_holder_who_doubts_what_its_claimant_proves_meanwhile_is_only_late(room: Room) -> None:
    """A is in its POST and lost its lease; B reads SENDING; A binds RETRY; B binds UNKNOWN."""
    (text,) = room.texts("hello")
    room.sender.answers.append(refused(20429))

    class Between:
        """The outbox as B sees it: A writes between B's read and B's write."""

        done = False

        def __getattr__(self, name: str) -> Any:
            return getattr(room.store.outbox, name)

        def bind(self, part: Any, binding: Any, *, now: datetime) -> Any:
            if not self.done and binding.state is PartState.UNKNOWN:
                self.done = True
                room.store.outbox.bind(part, Binding(state=PartState.RETRY, due=room.ms + 1000), now=now)
            return room.store.outbox.bind(part, binding, now=now)

    room.dies(journal=Dying(room.store, "outbox.bind", after=False))
    room.serve(journal=replace(room.store, outbox=cast("Any", Between())))

    assert room.part(text) is PartState.RETRY
    room.later(seconds=10)
    room.serve()
    assert room.received == ["re: hello"]


def test_what_failed_while_its_visit_lasts_has_its_second_try_all_the_same(room: Room) -> None:
    (text, _) = room.texts("hello", "and?")

    def meanwhile() -> None:
        if len(room.parrot.heard) == 2:
            reported(room, text, "undelivered", 30022)

    room.parrot.meanwhile = meanwhile
    room.serve()
    room.later(seconds=60)
    room.serve()

    assert room.received == ["re: hello", "re: and?", "re: hello"]


def test_a_dead_letter_that_is_replayed_days_later_is_sent(room: Room) -> None:
    room.sender.answers.append(refused(21211))
    (text,) = room.texts("hello")
    room.serve()
    room.later(seconds=48 * 3600)

    room.store.dead_letters.revive(RowName(user_id=ANN, key=f"out#{text.sid}#0"), now=room.now())
    room.inbox.texts.accept(replace(text, repaired=True))
    room.serve()

    assert room.received == ["re: hello"]


class AnAlbum:
    """An album with one picture, or with one that cannot be fetched."""

    def __init__(self, fetched: Fetched | None) -> None:
        self._fetched = fetched

    def fetch(self, media: Media, *, seconds: float) -> Fetched:
        del media, seconds
        if self._fetched is None:
            raise CarrierAway("gone")
        return self._fetched


@pytest.mark.parametrize(
    ("fetched", "shown"),
    [
        (Fetched(content_type="image/png", data=b"cat"), [b"cat"]),
        (Fetched(content_type="text/html", data=b"<html>"), []),
        (None, []),
    ],
)
def test_a_picture_is_shown_where_it_can_be_had(room: Room, fetched: Fetched | None, shown: list[bytes]) -> None:
    media = (
        Media(url="https://api.twilio.com/ME1", content_type="image/png"),
        Media(url="x", content_type="video/mp4"),
    )
    room.inbox.texts.accept(a_text("look", media=media))

    room.serve(media=AnAlbum(fetched))

    (heard,) = room.parrot.heard
    assert (heard.pictures, heard.things) == (1, ["(a picture)", "(a video)"])
    assert [picture.data for picture in heard.shown] == shown
    assert room.received == ["re: look"]


def test_one_worker_at_a_time_reconciles(room: Room) -> None:
    (text,) = [room.heard_of("hello?")]
    leases = LeaseKeeper(room.inbox.leases, every_seconds=5)
    other = room.a_reconciler()
    seen: list[object] = []
    real = room.sender.received_by

    def meanwhile(*args: Any, **options: Any) -> Any:
        seen.append(other.reconcile_alone(leases))
        return real(*args, **options)

    room.sender.received_by = meanwhile  # type: ignore[method-assign]
    room.store.unsettled.set_watermark("watermark", room.now() - timedelta(hours=1))
    room.later(seconds=60)

    report = room.reconciler.reconcile_alone(leases)

    assert report is not None
    assert report.missed == 1
    assert seen
    assert set(seen) == {None}
    # the next reconciliation runs
    room.sender.received_by = real  # type: ignore[method-assign]
    assert other.reconcile_alone(leases) is not None
    assert text


def test_a_reconciliation_that_fails_leaves_its_place(room: Room) -> None:
    leases = LeaseKeeper(room.inbox.leases, every_seconds=5)

    def away(*_: Any, **__: Any) -> Any:
        raise CarrierAway("no list")

    real = room.sender.received_by
    room.sender.received_by = away  # type: ignore[method-assign]
    with pytest.raises(CarrierAway):
        room.reconciler.reconcile_alone(leases)

    room.sender.received_by = real  # type: ignore[method-assign]
    assert room.reconciler.reconcile_alone(leases) is not None


def test_a_text_that_comes_back_when_its_reply_is_sent_is_not_excused_from_order(room: Room) -> None:
    """The reconciler saw the part unsent and put the text back just after the send: it was never late."""
    (text,) = room.texts("hello")
    room.serve()
    turn = room.store.turns.get(ANN, text.sid)
    assert turn is not None
    room.later(seconds=1)

    assert room.inbox.texts.accept(text_of(turn))
    room.serve()

    after = room.store.turns.get(ANN, text.sid)
    assert after is not None
    assert after.restored_at is None
    assert room.received == ["re: hello"]


@pytest.mark.parametrize("policy", ["each", "coalesce"])
def test_between_a_start_and_a_stop_that_wait_together_nothing_is_sent(policy: str) -> None:
    room = Room(policy=policy)
    room.texts("STOP")
    room.serve()

    room.texts("START", "hello", "STOP")
    room.serve()
    assert room.received == []

    room.texts("START", "hello")
    room.serve()
    assert room.received == ["re: hello"]


def test_every_attribute_that_is_stored_is_in_the_reference(room: Room) -> None:
    room.sender.answers.append(refused(20429))
    (text,) = room.texts("hello")
    room.serve()
    room.later(seconds=600)
    room.serve()
    reported(room, text, "undelivered", 30022)
    room.texts("STOP")
    room.later(seconds=600)
    room.serve()

    _, items, every_row, turns, parts, *_ = tables.markdown().split("\n## ")
    dated = {f"{name.lower()}_at" for name in (*PartState, *STATUS_RANK)}
    of_a_row = {"in": every_row + turns, "out": every_row + parts}
    stored = [(name, items) for item in room.store.archive.items() for name in item]
    for row in room.store.archive.rows(ANN):
        stored += [(name, of_a_row[row["message_key"].partition("#")[0]]) for name in row if name not in dated]
    assert sorted(name for name, section in stored if f"`{name}`" not in section) == []
    assert {"fence", "settled_at", "attempts", "again"} <= {name for name, _ in stored}
