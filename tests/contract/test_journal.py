"""Every journal makes each move once, under the fence, and only along the table of moves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import boto3
import pytest

from conversation import schema
from conversation.entries import arrived
from conversation.errors import Fenced, IllegalMove
from conversation.memory_table import MemoryTables
from conversation.models import Conversation, Memory, Message, Role
from conversation.storage import DynamoDBStorage
from conversation.table import PUT_BATCH as BATCH
from journal import archive, model
from journal.model import (
    STILL_STOPPED,
    Binding,
    Charge,
    FrozenReply,
    ReplyPart,
    Reported,
    RowName,
    Turn,
    new_attempt_id,
    out_key,
    part_of_attempt,
    stop_mark,
)
from journal.states import PartState, TurnState
from journal.store import Journal
from runtime.isolation import BadItem
from tests.builders import ANN, NOW, NOW_MS, OUR_NUMBER, a_turn


def a_fence(store: Journal) -> int:
    """Open the conversation as one more worker does."""
    return store.conversations.open(ANN, now=NOW).fence


def answered(
    store: Journal, conversation: Conversation, *turns: Turn, words: str = "prrt", token: str = "t1"
) -> FrozenReply:
    answer = FrozenReply(conversation=conversation, turns=turns, parts=(words,), token=token, facts={"engine": "dada"})
    store.turns.persist(answer, now=NOW)
    return answer


def a_persisted_part(store: Journal) -> tuple[Conversation, ReplyPart]:
    conversation = store.conversations.open(ANN, now=NOW)
    turn = store.turns.file(a_turn(), now=NOW).turn
    answer = answered(store, conversation, turn)
    return conversation, answer.new_parts()[0]


def a_claimed_part(store: Journal, attempt_id: str = "") -> tuple[Conversation, ReplyPart]:
    conversation, part = a_persisted_part(store)
    attempt_id = attempt_id or new_attempt_id(part)
    return conversation, store.outbox.claim(part, fence=conversation.fence, attempt_id=attempt_id, now=NOW)


def said(attempt_id: str, sid: str, status: str, code: int | None = None) -> Reported:
    return Reported(attempt_id=attempt_id, sid=sid, status=status, error_code=code)


def test_opening_raises_the_fence_and_returns_what_was_said(store: Journal) -> None:
    store.storage.append(ANN, Message(role=Role.USER, content="hello", timestamp=NOW, key="msg#1"), now=NOW)

    first = store.conversations.open(ANN, now=NOW)
    second = store.conversations.open(ANN, now=NOW)

    assert second.fence == first.fence + 1
    assert [message.content for message in second.messages] == ["hello"]


def test_a_text_is_filed_once_and_the_second_call_returns_its_row(store: Journal) -> None:
    turn = a_turn("hello")

    first, second = store.turns.file(turn, now=NOW), store.turns.file(turn, now=NOW)

    assert (first.fresh, second.fresh) == (True, False)
    assert second.turn.content == "hello"
    assert second.turn.state is TurnState.FILED
    assert second.turn.tries == 1


def test_a_try_is_counted_only_while_the_turn_is_open(store: Journal) -> None:
    turn = store.turns.file(a_turn(), now=NOW).turn
    assert store.turns.retry(turn).tries == 2

    store.turns.settle(turn, TurnState.SILENT, reason="keyword stop", fence=a_fence(store), now=NOW)

    after = store.turns.retry(replace(turn, tries=2))
    assert (after.state, after.tries, after.reason) == (TurnState.SILENT, 2, "keyword stop")


def test_a_try_that_was_counted_before_is_not_counted_down(store: Journal) -> None:
    turn = store.turns.file(a_turn(), now=NOW).turn
    store.turns.retry(store.turns.retry(turn))

    assert store.turns.retry(turn).tries == 3


def test_what_is_noted_of_a_row_that_is_gone_makes_no_row(store: Journal) -> None:
    turn, part = a_turn(), a_claimed_part(store)[1]
    missing = replace(part, turn=turn.sid)

    store.turns.note_error(turn, "Traceback: a bug")
    store.outbox.charge(missing, Charge(segments=1, price="-0.00750", unit="USD"))

    assert store.turns.get(ANN, turn.sid) is None
    assert store.outbox.parts(ANN, turn.sid) == ()


def test_a_settled_turn_is_not_answered(store: Journal) -> None:
    conversation = store.conversations.open(ANN, now=NOW)
    turn = store.turns.file(a_turn(), now=NOW).turn
    store.turns.settle(turn, TurnState.SILENT, reason="keyword stop", fence=conversation.fence, now=NOW)

    with pytest.raises(Fenced):
        answered(store, conversation, turn)

    assert store.outbox.parts(ANN, turn.sid) == ()


def test_a_worker_that_was_overtaken_settles_nothing(store: Journal) -> None:
    outdated = a_fence(store)
    turn = store.turns.file(a_turn(), now=NOW).turn
    current = a_fence(store)

    with pytest.raises(Fenced):
        store.turns.settle(turn, TurnState.SILENT, reason="opted out", fence=outdated, now=NOW)
    kept = store.turns.get(ANN, turn.sid)
    assert kept is not None
    assert kept.state is TurnState.FILED

    store.turns.settle(turn, TurnState.SILENT, reason="opted out", fence=current, now=NOW)
    with pytest.raises(Fenced):
        store.turns.settle(turn, TurnState.SILENT, reason="opted out", fence=outdated, now=NOW)


def test_a_settled_turn_is_not_settled_again(store: Journal) -> None:
    turn = store.turns.file(a_turn(), now=NOW).turn
    fence = a_fence(store)
    store.turns.settle(turn, TurnState.STALE, reason="too old", fence=fence, now=NOW)
    store.turns.settle(turn, TurnState.DEAD, reason="a bug", fence=fence, now=NOW)

    kept = store.turns.get(ANN, turn.sid)

    assert kept is not None
    assert (kept.state, kept.reason) == (TurnState.STALE, "too old")


def test_an_answer_freezes_words_window_and_turn_together(store: Journal) -> None:
    conversation = store.conversations.open(ANN, now=NOW)
    turn = store.turns.file(a_turn("hello"), now=NOW).turn

    answer = answered(store, conversation, turn, words="prrt. hello.")

    part = store.outbox.parts(ANN, turn.sid)[0]
    assert (part.state, part.content, part.sender) == (PartState.NEW, "prrt. hello.", OUR_NUMBER)
    kept = store.turns.get(ANN, turn.sid)
    assert kept is not None
    assert (kept.state, kept.token, kept.parts, kept.turn) == (TurnState.ANSWERED, answer.token, 1, turn.sid)
    fresh = store.storage.get(ANN)
    assert fresh is not None
    assert [m.content for m in fresh.messages] == ["hello", "prrt. hello."]
    assert [e.content for e in store.storage.page(ANN).entries] == ["hello", "prrt. hello."]


def test_one_reply_answers_several_texts_and_bears_the_first_ones_sid(store: Journal) -> None:
    conversation = store.conversations.open(ANN, now=NOW)
    first, second = (
        store.turns.file(a_turn(body, at=place), now=NOW).turn for place, body in enumerate(("one", "two"))
    )

    answered(store, conversation, first, second)

    kept = store.turns.get(ANN, second.sid)
    assert kept is not None
    assert kept.turn == first.sid
    assert [part.key for part in store.outbox.parts(ANN, first.sid)] == [out_key(first.sid, 0)]


def test_an_answer_whose_confirmation_was_lost_is_recognised_as_mine(store: Journal) -> None:
    conversation = store.conversations.open(ANN, now=NOW)
    turn = store.turns.file(a_turn(), now=NOW).turn
    answered(store, conversation, turn, token="mine")

    answered(store, conversation, turn, token="mine")

    assert len(store.outbox.parts(ANN, turn.sid)) == 1
    kept = store.storage.get(ANN)
    assert kept is not None
    assert len(kept.messages) == 2


def test_another_workers_answer_is_not_overwritten(store: Journal) -> None:
    conversation = store.conversations.open(ANN, now=NOW)
    turn = store.turns.file(a_turn(), now=NOW).turn
    answered(store, conversation, turn, words="the first", token="theirs")

    with pytest.raises(Fenced):
        answered(store, conversation, turn, words="the second", token="mine")

    assert store.outbox.parts(ANN, turn.sid)[0].content == "the first"


def test_a_worker_that_slept_through_its_lease_cannot_persist(store: Journal) -> None:
    sleeper = store.conversations.open(ANN, now=NOW)
    turn = store.turns.file(a_turn(), now=NOW).turn
    store.conversations.open(ANN, now=NOW)

    with pytest.raises(Fenced):
        answered(store, sleeper, turn)

    assert store.outbox.parts(ANN, turn.sid) == ()
    kept = store.turns.get(ANN, turn.sid)
    assert kept is not None
    assert kept.state is TurnState.FILED


def test_a_writer_of_the_window_alone_is_merged_with(store: Journal) -> None:
    conversation = store.conversations.open(ANN, now=NOW)
    turn = store.turns.file(a_turn("hello"), now=NOW).turn
    store.storage.append(ANN, Message(role=Role.USER, content="meanwhile", timestamp=NOW, key="msg#1"), now=NOW)

    answered(store, conversation, turn)

    kept = store.storage.get(ANN)
    assert kept is not None
    assert [m.content for m in kept.messages] == ["meanwhile", "hello", "prrt"]


def test_forgetting_begins_the_window_anew_and_keeps_the_record(store: Journal) -> None:
    store.storage.append(ANN, Message(role=Role.USER, content="a secret", timestamp=NOW, key="msg#1"), now=NOW)
    conversation = store.conversations.open(ANN, now=NOW)
    turn = store.turns.file(a_turn("reset", at=1), now=NOW).turn

    store.turns.persist(
        FrozenReply(conversation=conversation, turns=(turn,), parts=("who?",), token="t", forget=True), now=NOW
    )

    kept = store.storage.get(ANN)
    assert kept is not None
    assert [m.content for m in kept.messages] == ["reset", "who?"]
    assert "a secret" in [e.content for e in store.storage.page(ANN).entries]


def test_superseded_texts_are_settled_in_the_same_moment(store: Journal) -> None:
    conversation = store.conversations.open(ANN, now=NOW)
    old, new = (store.turns.file(a_turn(body, at=place), now=NOW).turn for place, body in enumerate(("old", "new")))

    store.turns.persist(
        FrozenReply(conversation=conversation, turns=(new,), silent=(old,), parts=("prrt",), token="t"), now=NOW
    )

    kept = store.turns.get(ANN, old.sid)
    assert kept is not None
    assert (kept.state, kept.reason) == (TurnState.SILENT, "superseded")


def test_a_claim_is_had_once(store: Journal) -> None:
    conversation, part = a_persisted_part(store)
    store.outbox.claim(part, fence=conversation.fence, attempt_id="SM1-0-a", now=NOW)

    with pytest.raises(Fenced):
        store.outbox.claim(part, fence=conversation.fence, attempt_id="SM1-0-b", now=NOW)

    assert store.outbox.parts(ANN, part.turn)[0].attempt_id == "SM1-0-a"


def test_a_claim_whose_confirmation_was_lost_is_still_mine(store: Journal) -> None:
    conversation, part = a_persisted_part(store)
    store.outbox.claim(part, fence=conversation.fence, attempt_id="SM1-0-a", now=NOW)

    again = store.outbox.claim(part, fence=conversation.fence, attempt_id="SM1-0-a", now=NOW)

    assert (again.state, again.attempt_id) == (PartState.SENDING, "SM1-0-a")


def attempted(store: Journal, part: ReplyPart, names: Sequence[str], outcome: Binding) -> ReplyPart:
    """Claim and bind the part once for each name of an attempt; return it."""
    conversation = store.conversations.open(ANN, now=NOW)
    for name in names:
        claimed = store.outbox.claim(part, fence=conversation.fence, attempt_id=f"SM1-0-{name}", now=NOW)
        store.outbox.bind(claimed, outcome, now=NOW)
        (part,) = store.outbox.parts(ANN, part.turn)
    return part


def test_a_reply_that_is_refused_for_days_keeps_its_row_small(store: Journal) -> None:
    _, part = a_persisted_part(store)
    suspended = Binding(state=PartState.RETRY, reason="the account is suspended")

    part = attempted(store, part, [f"{number:016x}" for number in range(150)], suspended)

    log, attempts = part.facts["log"], set(part.facts["attempts"])
    assert sum(len(str(event)) for event in log) < 32_000
    assert {f"SM1-0-{0:016x}", f"SM1-0-{149:016x}"} <= attempts
    assert len(attempts) < 60
    assert part.tries == 150
    assert [event["state"] for event in log[-2:]] == ["SENDING", "RETRY"]


def test_an_attempt_that_made_a_message_stays_known_in_a_long_log(store: Journal) -> None:
    _, part = a_persisted_part(store)
    part = attempted(store, part, [f"{number:016x}" for number in range(20)], Binding(state=PartState.RETRY))
    part = attempted(store, part, ["made"], Binding(state=PartState.RETRY, sid="SMout"))

    part = attempted(store, part, [f"{number:016x}" for number in range(20, 90)], Binding(state=PartState.RETRY))

    assert f"SM1-0-{10:016x}" not in part.facts["attempts"]
    assert part.was_created_by("SM1-0-made")
    assert "SM1-0-made" in part.facts["attempts"]


def test_a_claim_that_another_worker_doubts_is_still_mine(store: Journal) -> None:
    """The other worker never sends under this attempt id, so its claimant may."""
    conversation, part = a_claimed_part(store, "SM1-0-a")
    doubted = Binding(state=PartState.UNKNOWN, unknown_since=NOW_MS, reason="its sender died")
    store.outbox.bind(part, doubted, now=NOW)
    store.conversations.open(ANN, now=NOW)

    again = store.outbox.claim(part, fence=conversation.fence, attempt_id="SM1-0-a", now=NOW)

    assert (again.state, again.attempt_id) == (PartState.UNKNOWN, "SM1-0-a")
    assert store.outbox.bind(again, Binding(state=PartState.SENT, sid="SMout"), now=NOW).state is PartState.SENT


def test_a_copy_of_a_claim_under_a_new_request_token_takes_no_effect_after_its_attempt_is_over(store: Journal) -> None:
    conversation, part = a_claimed_part(store, "SM1-0-a")
    store.outbox.bind(part, Binding(state=PartState.RETRY, reason="busy"), now=NOW)

    with pytest.raises(Fenced):
        store.outbox.claim(part, fence=conversation.fence, attempt_id="SM1-0-a", now=NOW)

    (kept,) = store.outbox.parts(ANN, part.turn)
    assert (kept.state, kept.tries) == (PartState.RETRY, 1)


@pytest.mark.parametrize("doubted", [False, True])
def test_an_attempt_that_is_proven_unsent_is_due_again_and_no_copy_of_its_claim_takes_effect(
    store: Journal, *, doubted: bool
) -> None:
    conversation, part = a_claimed_part(store, "SM1-0-a")
    if doubted:
        store.outbox.bind(part, Binding(state=PartState.UNKNOWN, unknown_since=NOW_MS), now=NOW)

    proven = store.outbox.prove_unsent(ANN, part.key, attempt_id="SM1-0-a", fence=conversation.fence, now=NOW)

    assert proven is not None
    assert (proven.state, proven.proven_unsent, proven.due) == (PartState.RETRY, "SM1-0-a", NOW_MS)
    assert a_fence(store) == conversation.fence + 2, "the proof raised it once"


def test_a_claim_that_has_not_landed_when_it_is_proven_unsent_never_lands(store: Journal) -> None:
    conversation, part = a_persisted_part(store)
    for _ in range(2):
        store.outbox.prove_unsent(ANN, part.key, attempt_id="SM1-0-a", fence=conversation.fence, now=NOW)

    with pytest.raises(Fenced):
        store.outbox.claim(part, fence=conversation.fence, attempt_id="SM1-0-a", now=NOW)

    assert store.outbox.parts(ANN, part.turn)[0].state is PartState.NEW
    assert a_fence(store) == conversation.fence + 2, "the second proof raised nothing"


def test_a_proof_of_one_attempt_moves_no_other_and_no_part_that_is_settled(store: Journal) -> None:
    conversation, part = a_claimed_part(store, "SM1-0-a")

    other = store.outbox.prove_unsent(ANN, part.key, attempt_id="SM1-0-b", fence=conversation.fence, now=NOW)
    store.outbox.bind(part, Binding(state=PartState.SENT, sid="SMout"), now=NOW)
    settled = store.outbox.prove_unsent(ANN, part.key, attempt_id="SM1-0-a", fence=conversation.fence, now=NOW)

    assert other is not None
    assert (other.state, other.proven_unsent) == (PartState.SENDING, None)
    assert settled is not None
    assert (settled.state, settled.proven_unsent) == (PartState.SENT, None)


def test_a_held_part_shows_a_proof_once_and_stays_held(store: Journal) -> None:
    conversation, part = a_claimed_part(store, "SM1-0-a")
    part = store.outbox.bind(part, Binding(state=PartState.UNKNOWN, unknown_since=NOW_MS), now=NOW)
    store.outbox.bind(part, Binding(state=PartState.HELD, reason="no evidence in time"), now=NOW)

    for _ in range(2):
        held = store.outbox.prove_unsent(ANN, part.key, attempt_id="SM1-0-a", fence=conversation.fence, now=NOW)

    assert held is not None
    assert (held.state, held.proven_unsent) == (PartState.HELD, "SM1-0-a")
    assert sum(event.get("evidence") == "mark" for event in held.facts["log"]) == 1


def test_a_look_at_the_carriers_list_is_noted_while_the_attempt_is_in_doubt(store: Journal) -> None:
    _, part = a_claimed_part(store, "SM1-0-a")
    store.unsettled.note_look(part, shown=False, now=NOW)
    part = store.outbox.bind(part, Binding(state=PartState.UNKNOWN, unknown_since=NOW_MS), now=NOW)
    for minutes in (5, 10):
        store.unsettled.note_look(part, shown=False, now=NOW + timedelta(minutes=minutes))
    store.unsettled.note_look(part, shown=True, now=NOW + timedelta(minutes=15))
    store.unsettled.note_look(replace(part, attempt_id="SM1-0-b"), shown=False, now=NOW)

    (noted,) = store.outbox.parts(ANN, part.turn)
    assert list(noted.looks) == [(NOW + timedelta(minutes=minutes)).isoformat() for minutes in (5, 10)]
    assert noted.perhaps_listed_at == (NOW + timedelta(minutes=15)).isoformat()


def test_what_is_sent_again_names_the_attempt_once(store: Journal) -> None:
    conversation, part = a_claimed_part(store, "SM1-0-a")
    part = store.outbox.bind(part, Binding(state=PartState.UNKNOWN, unknown_since=NOW_MS), now=NOW)
    again = Binding(state=PartState.RETRY, due=NOW_MS, resent="SM1-0-a", evidence="absence")

    resent = store.outbox.bind(part, again, now=NOW)
    claimed = store.outbox.claim(resent, fence=conversation.fence, attempt_id="SM1-0-b", now=NOW)
    doubted = store.outbox.bind(claimed, Binding(state=PartState.UNKNOWN, unknown_since=NOW_MS), now=NOW)
    late = store.outbox.bind(part, again, now=NOW)

    assert (resent.state, resent.resent) == (PartState.RETRY, "SM1-0-a")
    assert (late.state, late.attempt_id) == (PartState.UNKNOWN, "SM1-0-b"), (
        "a reader that read long ago changes nothing"
    )
    assert doubted.resent == "SM1-0-a"


def test_a_worker_that_slept_through_its_lease_cannot_claim(store: Journal) -> None:
    conversation, part = a_persisted_part(store)
    store.conversations.open(ANN, now=NOW)

    with pytest.raises(Fenced):
        store.outbox.claim(part, fence=conversation.fence, attempt_id="SM1-0-a", now=NOW)

    assert store.outbox.parts(ANN, part.turn)[0].state is PartState.NEW


def test_an_outcome_is_bound_to_its_attempt(store: Journal) -> None:
    _, part = a_claimed_part(store)

    bound = store.outbox.bind(part, Binding(state=PartState.SENT, sid="SMout", status="queued"), now=NOW)

    assert (bound.state, bound.sid, bound.status) == (PartState.SENT, "SMout", "queued")
    assert list(store.unsettled.rows(model.bucket(ANN), before=NOW + timedelta(hours=1), limit=10)) == []


def test_an_outcome_of_an_attempt_that_no_longer_stands_changes_nothing(store: Journal) -> None:
    conversation, part = a_claimed_part(store, "SM1-0-first")
    store.outbox.bind(part, Binding(state=PartState.RETRY, due=5, reason="429"), now=NOW)
    second = store.outbox.claim(part, fence=conversation.fence, attempt_id="SM1-0-second", now=NOW)

    store.outbox.bind(part, Binding(state=PartState.FAILED, reason="late"), now=NOW)

    kept = store.outbox.parts(ANN, part.turn)[0]
    assert (kept.state, kept.attempt_id, kept.tries) == (PartState.SENDING, "SM1-0-second", 2)
    assert second.tries == 2


def test_a_report_that_overtakes_the_answer_binds_the_part(store: Journal) -> None:
    _, part = a_claimed_part(store, "SM1-0-a")

    store.outbox.report(ANN, part.key, said("SM1-0-a", "SMout", "delivered"), now=NOW)
    late = store.outbox.bind(part, Binding(state=PartState.SENT, sid="SMout", status="queued"), now=NOW)

    assert (late.state, late.sid, late.status) == (PartState.SENT, "SMout", "delivered")


def test_an_unknown_part_is_settled_by_a_report_of_any_of_its_attempts(store: Journal) -> None:
    conversation, part = a_claimed_part(store, "SM1-0-first")
    store.outbox.bind(part, Binding(state=PartState.RETRY, due=1), now=NOW)
    part = store.outbox.claim(part, fence=conversation.fence, attempt_id="SM1-0-second", now=NOW)
    store.outbox.bind(part, Binding(state=PartState.UNKNOWN, unknown_since=7, reason="reset"), now=NOW)

    reported = store.outbox.report(ANN, part.key, said("SM1-0-first", "SMout", "sent"), now=NOW)

    assert reported is not None
    assert (reported.state, reported.sid, reported.status) == (PartState.SENT, "SMout", "sent")


def test_a_status_never_goes_back(store: Journal) -> None:
    _, part = a_claimed_part(store, "SM1-0-a")
    store.outbox.bind(part, Binding(state=PartState.SENT, sid="SMout", status="queued"), now=NOW)

    seen = []
    for status in ("delivered", "sent", "queued", "delivered"):
        reported = store.outbox.report(ANN, part.key, said("SM1-0-a", "SMout", status), now=NOW)
        assert reported is not None
        seen.append(reported.status)

    assert seen == ["delivered"] * 4


def test_a_report_for_an_attempt_that_never_was_is_no_ones(store: Journal) -> None:
    _, part = a_claimed_part(store, "SM1-0-a")

    def report(key: str, attempt_id: str) -> ReplyPart | None:
        return store.outbox.report(ANN, key, said(attempt_id, "SMx", "sent"), now=NOW)

    assert report(part.key, "SM1-0-forged") is None
    assert report("out#SMnone#0", "SMnone-0-a") is None
    assert store.outbox.parts(ANN, part.turn)[0].state is PartState.SENDING


def test_a_failed_part_is_not_revived_by_a_report(store: Journal) -> None:
    _, part = a_claimed_part(store, "SM1-0-a")
    store.outbox.bind(part, Binding(state=PartState.FAILED, error_code=21211, reason="no telephone"), now=NOW)

    reported = store.outbox.report(ANN, part.key, said("SM1-0-a", "SMout", "sent"), now=NOW)

    assert reported is not None
    assert reported.state is PartState.FAILED


def test_a_part_that_was_never_attempted_can_be_suppressed(store: Journal) -> None:
    _, part = a_persisted_part(store)

    bound = store.outbox.bind(part, Binding(state=PartState.SUPPRESSED, reason="too old to send"), now=NOW)

    assert (bound.state, bound.reason) == (PartState.SUPPRESSED, "too old to send")


def test_what_is_unsettled_is_found_until_it_is_settled(store: Journal) -> None:
    bucket = model.bucket(ANN)
    conversation = store.conversations.open(ANN, now=NOW)
    turn = store.turns.file(a_turn(), now=NOW).turn

    def listed() -> list[str]:
        return [row.key for row in store.unsettled.rows(bucket, before=NOW + timedelta(seconds=1), limit=10)]

    assert listed() == [turn.key]
    answer = answered(store, conversation, turn)
    part = answer.new_parts()[0]
    assert listed() == [part.key]
    claimed = store.outbox.claim(part, fence=conversation.fence, attempt_id="SM1-0-a", now=NOW)
    assert listed() == [part.key]
    store.outbox.bind(claimed, Binding(state=PartState.SENT, sid="SMout", status="queued"), now=NOW)
    assert listed() == []
    assert list(store.unsettled.rows(bucket, before=NOW, limit=10)) == []


def test_opting_out_is_noted_under_the_fence(store: Journal) -> None:
    conversation = store.conversations.open(ANN, now=NOW)
    store.conversations.set_active(ANN, active=False, fence=conversation.fence, now=NOW)

    kept = store.storage.get(ANN)
    assert kept is not None
    assert not kept.is_active
    with pytest.raises(Fenced):
        store.conversations.set_active(ANN, active=True, fence=conversation.fence + 1, now=NOW)


def test_the_newest_parts_come_first(store: Journal) -> None:
    conversation = store.conversations.open(ANN, now=NOW)
    for place in range(3):
        turn = store.turns.file(a_turn(at=place), now=NOW).turn
        conversation = store.turns.persist(
            FrozenReply(conversation=conversation, turns=(turn,), parts=(f"words {place}",), token=f"t{place}"), now=NOW
        )

    assert [part.content for part in store.outbox.newest_parts(ANN, limit=100)] == ["words 2", "words 1", "words 0"]


def test_it_is_known_which_texts_have_a_row(store: Journal) -> None:
    turns = [store.turns.file(a_turn(at=place), now=NOW).turn for place in range(3)]

    known = store.unsettled.known(
        [*((ANN, turn.sid) for turn in turns), (ANN, "SMnever"), ("+15559999999", turns[0].sid)]
    )

    assert known == {turn.sid for turn in turns}
    assert store.unsettled.known([]) == frozenset()


def test_the_watermark_only_rises(store: Journal) -> None:
    assert store.unsettled.watermark("received") is None
    store.unsettled.set_watermark("received", NOW)
    store.unsettled.set_watermark("received", NOW - timedelta(hours=1))
    assert store.unsettled.watermark("received") == NOW
    store.unsettled.set_watermark("received", NOW + timedelta(hours=1))
    assert store.unsettled.watermark("received") == NOW + timedelta(hours=1)


def dead(store: Journal) -> list[str]:
    return [row.key for row in store.dead_letters.list()]


def test_a_dead_turn_is_listed_brought_back_once_and_listed_no_more(store: Journal) -> None:
    turn = store.turns.file(a_turn("poison"), now=NOW).turn
    store.turns.note_error(turn, "Traceback: a bug")
    store.turns.settle(turn, TurnState.DEAD, reason="not finished in 5 tries", fence=a_fence(store), now=NOW)
    assert dead(store) == [turn.key]
    assert list(store.unsettled.rows(model.bucket(ANN), before=NOW + timedelta(hours=1), limit=10)) == []

    assert store.dead_letters.revive(RowName(user_id=ANN, key=turn.key), now=NOW) is True
    assert store.dead_letters.revive(RowName(user_id=ANN, key=turn.key), now=NOW) is False

    kept = store.turns.get(ANN, turn.sid)
    assert kept is not None
    assert (kept.state, kept.tries, kept.reason, kept.error) == (TurnState.FILED, 0, None, "Traceback: a bug")
    assert dead(store) == []
    assert [row.key for row in store.unsettled.rows(model.bucket(ANN), before=NOW + timedelta(hours=1), limit=10)] == [
        turn.key
    ]


def a_held_part(store: Journal) -> ReplyPart:
    _, part = a_claimed_part(store)
    store.outbox.bind(part, Binding(state=PartState.UNKNOWN, unknown_since=NOW_MS, reason="reset"), now=NOW)
    return store.outbox.bind(part, Binding(state=PartState.HELD, reason="no evidence in time"), now=NOW)


def test_a_held_part_is_listed_and_sent_again_once_for_the_attempt_that_was_named(store: Journal) -> None:
    part = a_held_part(store)
    assert [row.key for row in store.held.listed()] == [part.key]
    assert [row.key for row in store.held.searched()] == [part.key]
    assert dead(store) == []

    assert store.held.resend(replace(part, attempt_id="SM1-0-another"), now=NOW) is False
    assert store.held.resend(part, now=NOW) is True
    assert store.held.resend(part, now=NOW) is False

    (again,) = store.outbox.parts(ANN, part.turn)
    assert (again.state, again.due, again.unknown_since, again.revived_at) == (PartState.RETRY, 0, 0, NOW.isoformat())
    assert [row.key for row in store.unsettled.rows(model.bucket(ANN), before=NOW + timedelta(hours=1), limit=10)] == [
        part.key
    ]
    claimed = store.outbox.claim(again, fence=a_fence(store), attempt_id=new_attempt_id(again), now=NOW)
    assert claimed.state is PartState.SENDING


@pytest.mark.parametrize(("was_sent", "state"), [(True, PartState.SENT), (False, PartState.HELD)])
def test_a_word_settles_a_held_part_and_a_late_report_still_counts(
    store: Journal, *, was_sent: bool, state: PartState
) -> None:
    part = a_held_part(store)

    assert store.held.settle(part, was_sent=was_sent, now=NOW) is True

    (settled,) = store.outbox.parts(ANN, part.turn)
    assert settled.state is state
    assert list(store.held.listed()) == list(store.held.searched()) == []
    assert part.attempt_id is not None
    report = Reported(attempt_id=part.attempt_id, sid="SM7", status="delivered")
    reported = store.outbox.report(ANN, part.key, report, now=NOW)
    assert reported is not None
    assert (reported.state, reported.sid) == (PartState.SENT, "SM7")


def test_what_is_set_aside_is_counted_and_leaves_the_list_when_it_is_mended(store: Journal) -> None:
    bad = BadItem(kind="row", name="in#SM1", error="no state like that")
    store.set_aside.add(bad, now=NOW)
    store.set_aside.add(bad, now=NOW + timedelta(minutes=5))
    store.set_aside.add(BadItem(kind="message", name="SM2", error="gone"), now=NOW)

    message, row = store.set_aside.all()
    assert (row.item, row.times, row.first_at) == (bad, 2, NOW.isoformat())
    store.set_aside.remove_mended(frozenset({"row"}), before=NOW + timedelta(minutes=5))
    assert len(list(store.set_aside.all())) == 2
    store.set_aside.remove_mended(frozenset({"row"}), before=NOW + timedelta(minutes=6))
    assert [record.item.kind for record in store.set_aside.all()] == [message.item.kind] == ["message"]


def test_a_dead_turn_can_be_let_rest(store: Journal) -> None:
    turn = store.turns.file(a_turn(), now=NOW).turn
    store.turns.settle(turn, TurnState.DEAD, reason="a bug", fence=a_fence(store), now=NOW)

    assert store.dead_letters.discard(RowName(user_id=ANN, key=turn.key), now=NOW) is True
    assert store.dead_letters.discard(RowName(user_id=ANN, key=turn.key), now=NOW) is False
    assert store.dead_letters.revive(RowName(user_id=ANN, key=turn.key), now=NOW) is False

    kept = store.turns.get(ANN, turn.sid)
    assert kept is not None
    assert kept.state is TurnState.SILENT
    assert dead(store) == []


def test_a_part_refused_for_good_is_a_dead_letter_too(store: Journal) -> None:
    conversation, part = a_claimed_part(store, "SM1-0-a")
    store.outbox.bind(part, Binding(state=PartState.FAILED, error_code=21211, reason="no telephone"), now=NOW)
    assert dead(store) == [part.key]

    assert store.dead_letters.revive(RowName(user_id=ANN, key=part.key), now=NOW) is True

    revived = store.outbox.parts(ANN, part.turn)[0]
    assert (revived.state, revived.due) == (PartState.RETRY, 0)
    again = store.outbox.claim(revived, fence=conversation.fence, attempt_id="SM1-0-b", now=NOW)
    assert again.state is PartState.SENDING
    assert dead(store) == []


def test_what_is_no_dead_letter_is_left_alone(store: Journal) -> None:
    turn = store.turns.file(a_turn(), now=NOW).turn

    assert store.dead_letters.revive(RowName(user_id=ANN, key=turn.key), now=NOW) is False
    assert store.dead_letters.discard(RowName(user_id=ANN, key=turn.key), now=NOW) is False
    assert store.dead_letters.revive(RowName(user_id=ANN, key="in#SMnever"), now=NOW) is False

    kept = store.turns.get(ANN, turn.sid)
    assert kept is not None
    assert kept.state is TurnState.FILED


def test_found_again_is_counted(store: Journal) -> None:
    turn = store.turns.file(a_turn(), now=NOW).turn
    store.turns.note_duplicates(ANN, turn.sid, 1, now=NOW)
    store.turns.note_duplicates(ANN, turn.sid, 2, now=NOW + timedelta(seconds=1))
    store.turns.note_duplicates(ANN, "SMnever", 1, now=NOW)

    kept = store.turns.get(ANN, turn.sid)
    assert kept is not None
    assert kept.facts["duplicates"] == 3
    assert kept.facts["duplicate_at"] == (NOW + timedelta(seconds=1)).isoformat()
    assert store.turns.get(ANN, "SMnever") is None


def test_a_restored_text_is_marked(store: Journal) -> None:
    turn = store.turns.file(a_turn(), now=NOW).turn
    store.turns.note_restored(turn, now=NOW)

    kept = store.turns.get(ANN, turn.sid)
    assert kept is not None
    assert kept.restored_at == NOW.isoformat()


def test_segments_and_price_are_noted_once(store: Journal) -> None:
    _, part = a_claimed_part(store)
    bound = store.outbox.bind(part, Binding(state=PartState.SENT, sid="SMout", status="queued", segments=2), now=NOW)
    assert (bound.segments, bound.price) == (2, None)

    store.outbox.charge(bound, Charge(segments=2, price="-0.01500", unit="USD"))
    store.outbox.charge(bound, Charge(segments=9, price="-9.00000", unit="EUR"))

    kept = store.outbox.parts(ANN, part.turn)[0]
    assert (kept.segments, kept.price, kept.price_unit) == (2, "-0.01500", "USD")


def test_a_second_try_is_written_once_and_listed_when_it_is_due(store: Journal) -> None:
    _, part = a_claimed_part(store)
    sent = store.outbox.bind(part, Binding(state=PartState.SENT, sid="SMout", status="queued"), now=NOW)
    due = NOW + timedelta(hours=24)
    second = sent.second_try(due=int(due.timestamp() * 1000))

    assert store.outbox.send_again(second, now=NOW) is True
    assert store.outbox.send_again(replace(second, due=0), now=NOW) is False

    first, again = store.outbox.parts(ANN, part.turn)
    assert (first.state, first.sid, again.again) == (PartState.SENT, "SMout", True)
    assert (again.state, again.due, again.content, again.sid) == (PartState.NEW, second.due, first.content, None)

    def listed(at: datetime) -> list[str]:
        return [row.key for row in store.unsettled.rows(model.bucket(ANN), before=at, limit=10)]

    assert second.key not in listed(due - timedelta(minutes=1))
    assert second.key in listed(due + timedelta(minutes=1))
    # a second try adds no line to the transcript
    assert [entry.role for entry in store.storage.page(ANN).entries] == ["user", "assistant"]


def test_a_second_try_is_claimed_and_reported_by_its_own_attempt(store: Journal) -> None:
    conversation, part = a_claimed_part(store)
    sent = store.outbox.bind(part, Binding(state=PartState.SENT, sid="SMone", status="queued"), now=NOW)
    second = sent.second_try(due=int(NOW.timestamp() * 1000))
    store.outbox.send_again(second, now=NOW)
    attempt = new_attempt_id(second)

    claimed = store.outbox.claim(second, fence=conversation.fence, attempt_id=attempt, now=NOW)
    store.outbox.report(ANN, part_of_attempt(attempt) or "", said(attempt, "SMtwo", "delivered"), now=NOW)

    first, again = store.outbox.parts(ANN, part.turn)
    assert (claimed.key, again.state, again.sid) == (second.key, PartState.SENT, "SMtwo")
    assert first.sid == "SMone"


def test_a_person_is_kept_quiet_under_the_fence_only(store: Journal) -> None:
    old = store.conversations.open(ANN, now=NOW)
    new = store.conversations.open(ANN, now=NOW)
    with pytest.raises(Fenced):
        store.conversations.set_quiet(ANN, until_ms=5, fence=old.fence, now=NOW)

    store.conversations.set_quiet(ANN, until_ms=1_700_000_000_000, fence=new.fence, now=NOW)

    assert store.conversations.open(ANN, now=NOW).quiet_until == 1_700_000_000_000


def test_a_move_that_stands_in_no_table_is_an_error(store: Journal) -> None:
    _, part = a_persisted_part(store)

    with pytest.raises(IllegalMove, match="from NEW to SENT"):
        store.outbox.bind(part, Binding(state=PartState.SENT, sid="SMnever"), now=NOW)
    with pytest.raises(IllegalMove, match="FILED"):
        store.turns.settle(a_turn(), TurnState.FILED, reason="", fence=a_fence(store), now=NOW)

    assert store.outbox.parts(ANN, part.turn)[0].state is PartState.NEW


def test_what_the_carrier_says_of_an_opt_out_needs_no_fence(store: Journal) -> None:
    store.conversations.set_active(ANN, active=False, fence=None, now=NOW)  # without a conversation nothing happens
    assert store.storage.get(ANN) is None
    store.conversations.open(ANN, now=NOW)

    store.conversations.set_active(ANN, active=False, fence=None, now=NOW)

    assert store.conversations.open(ANN, now=NOW).is_active is False


def test_a_replayed_part_begins_anew(store: Journal) -> None:
    _, part = a_claimed_part(store)
    store.outbox.bind(part, Binding(state=PartState.FAILED, error_code=21211, reason="no telephone"), now=NOW)
    turn = store.turns.get(ANN, part.turn)
    assert turn is not None
    store.turns.retry(turn)
    store.turns.note_error(turn, "Traceback")

    assert store.dead_letters.revive(RowName(user_id=ANN, key=part.key), now=NOW) is True

    turn = store.turns.get(ANN, part.turn)
    assert turn is not None
    assert (turn.tries, turn.error) == (0, None)
    assert store.outbox.parts(ANN, part.turn)[0].revived_at == NOW.isoformat()


def test_a_memory_takes_the_place_of_the_one_that_was_read(store: Journal) -> None:
    conversation = store.conversations.open(ANN, now=NOW)
    first = Memory(summary="likes tuna", told=("my name is ann",), through=5)

    assert store.conversations.remember(conversation, first)
    assert not store.conversations.remember(conversation, first)

    read = store.storage.get(ANN)
    assert read is not None
    assert read.memory == first
    assert store.conversations.remember(read, Memory(summary="and sardines", through=6))


def test_a_memory_does_not_keep_others_from_writing(store: Journal) -> None:
    conversation = store.conversations.open(ANN, now=NOW)
    turn = store.turns.file(a_turn(), now=NOW).turn
    store.conversations.remember(conversation, Memory(through=5))

    answered(store, conversation, turn)

    read = store.storage.get(ANN)
    assert read is not None
    assert (read.memory.through, len(read.messages)) == (5, 2)


def test_what_was_forgotten_is_not_remembered_by_who_read_it_before(store: Journal) -> None:
    conversation = store.conversations.open(ANN, now=NOW)
    turn = store.turns.file(a_turn("reset", at=700), now=NOW).turn

    store.turns.persist(
        FrozenReply(conversation=conversation, turns=(turn,), parts=("who?",), token="t", forget=True), now=NOW
    )

    assert not store.conversations.remember(conversation, Memory(summary="a secret", through=5))
    read = store.storage.get(ANN)
    assert read is not None
    assert (read.memory.summary, read.memory.told) == ("", ())
    # no message from before the reset is ever folded in again
    assert read.memory.through == NOW_MS + 700
    assert [message.content for message in read.messages] == ["reset", "who?"]


def test_resetting_forgets_the_memory_too(store: Journal) -> None:
    conversation = store.conversations.open(ANN, now=NOW)
    store.conversations.remember(conversation, Memory(summary="a secret", through=5))

    reset = store.storage.reset(ANN, now=NOW)

    assert reset.memory == Memory(through=NOW_MS)
    assert store.storage.get(ANN) == reset


def test_talk_is_read_newest_first_and_told_in_order(store: Journal) -> None:
    conversation = store.conversations.open(ANN, now=NOW)
    for number in range(5):
        turn = store.turns.file(a_turn(f"text {number}", at=number * 1000), now=NOW).turn
        answered(store, conversation, turn, words=f"reply {number}", token=f"t{number}")
        conversation = store.storage.get(ANN) or conversation

    entries = store.transcript.between(ANN, after_ms=NOW_MS, before_ms=NOW_MS + 4000, limit=100)
    newest = store.transcript.between(ANN, after_ms=0, before_ms=NOW_MS + 4000, limit=3)

    assert [entry.content for entry in entries] == [
        "text 1", "reply 1", "text 2", "reply 2", "text 3", "reply 3",
    ]  # fmt: skip
    assert [entry.content for entry in newest] == ["reply 2", "text 3", "reply 3"]
    latest = store.transcript.newest(ANN, 3)
    assert [entry.content for entry in latest] == ["reply 3", "text 4", "reply 4"]
    assert [entry.content for entry in store.transcript.newest(ANN, 100)][::9] == ["text 0", "reply 4"]


def test_costs_are_those_of_replies_messages_and_memories(store: Journal) -> None:
    conversation = store.conversations.open(ANN, now=NOW)
    one, two = (store.turns.file(a_turn(text, at=at), now=NOW).turn for at, text in enumerate(("one", "two")))
    answer = FrozenReply(
        conversation=conversation, turns=(one, two), parts=("a", "b"), expected=((1, 100), (2, 200)), token="t",
        facts={"engine": "openai:x", "model_cost": 7, "tokens_in": 30, "tokens_out": 4},
    )  # fmt: skip
    conversation = store.turns.persist(answer, now=NOW)
    first, _ = answer.new_parts()
    store.outbox.charge(first, Charge(segments=3, price="-0.00750", unit="USD"))
    facts = {"engine": "openai:x", "model_cost": 9, "tokens_in": 60, "tokens_out": 8}
    store.costs.record_memory(conversation.user_id, facts, now=NOW)
    store.conversations.remember(conversation, Memory(through=1))

    spent = list(store.costs.since(NOW, print))

    assert {cost.engine for cost in spent} == {"openai:x"}
    assert sum(cost.replies for cost in spent) == 1
    assert sum(cost.model for cost in spent) == 16
    assert sum(cost.tokens_in for cost in spent) == 90
    assert sorted((cost.sms, cost.segments, cost.reported) for cost in spent if cost.segments) == [
        (200, 2, False),
        (7500, 3, True),
    ]
    assert list(store.costs.since(NOW + timedelta(seconds=1), print)) == []


def test_what_a_second_try_costs_stands_under_whose_words_it_carries(store: Journal) -> None:
    conversation = store.conversations.open(ANN, now=NOW)
    turn = store.turns.file(a_turn(), now=NOW).turn
    answer = FrozenReply(
        conversation=conversation, turns=(turn,), parts=("a",), expected=((1, 100),), token="t",
        facts={"engine": "dada"},
    )  # fmt: skip
    store.turns.persist(answer, now=NOW)
    (part,) = store.outbox.parts(ANN, turn.sid)
    failed = store.outbox.bind(part, Binding(state=PartState.FAILED, reason="unreachable"), now=NOW)
    assert store.outbox.send_again(failed.second_try(due=NOW_MS + 60_000), now=NOW)

    assert [(cost.engine, cost.sms) for cost in store.costs.since(NOW, print) if cost.sms] == [("dada", 100)]


def test_costs_are_read_a_page_at_a_time_and_each_row_once(store: Journal) -> None:
    conversation = store.conversations.open(ANN, now=NOW)
    for number in range(60):
        facts = {"engine": "openai:x", "model_cost": 1, "tokens_in": number}
        store.costs.record_memory(conversation.user_id, facts, now=NOW)

    pages = [store.costs.page(since=NOW)]
    while pages[-1].cursor is not None:
        pages.append(store.costs.page(since=NOW, cursor=pages[-1].cursor))

    assert sorted(cost.tokens_in for page in pages for cost in page.costs) == list(range(60))
    # the costs are recorded, and the memory is unchanged
    now = store.storage.get(ANN)
    assert now is not None
    assert now.memory == Memory()


def test_talk_of_no_time_is_nothing(store: Journal) -> None:
    assert store.transcript.between(ANN, after_ms=NOW_MS, before_ms=NOW_MS, limit=10) == ()
    assert store.transcript.between(ANN, after_ms=NOW_MS, before_ms=NOW_MS - 5, limit=10) == ()


def test_what_was_not_sent_costs_nothing(store: Journal) -> None:
    conversation = store.conversations.open(ANN, now=NOW)
    turn = store.turns.file(a_turn(), now=NOW).turn
    answer = FrozenReply(
        conversation=conversation, turns=(turn,), parts=("a",), expected=((1, 100),), token="t",
        facts={"engine": "dada"},
    )  # fmt: skip
    store.turns.persist(answer, now=NOW)
    (part,) = answer.new_parts()
    assert sum(cost.sms for cost in store.costs.since(NOW, print)) == 100

    store.outbox.bind(part, Binding(state=PartState.SUPPRESSED, reason="opted out"), now=NOW)

    assert sum(cost.sms for cost in store.costs.since(NOW, print)) == 0


def test_replies_are_counted_however_many_parts_they_have(store: Journal) -> None:
    conversation = store.conversations.open(ANN, now=NOW)
    for number in range(3):
        turn = store.turns.file(a_turn(at=number), now=NOW).turn
        answer = FrozenReply(conversation=conversation, turns=(turn,), parts=("a", "b"), token=f"t{number}")
        conversation = store.turns.persist(answer, now=NOW)

    read = store.storage.get(ANN)
    assert read is not None
    assert read.replies == 3


def test_forgetting_empties_window_and_memory_under_the_fence(store: Journal) -> None:
    conversation = store.conversations.open(ANN, now=NOW)
    turn = store.turns.file(a_turn("a secret"), now=NOW).turn
    conversation = store.turns.persist(
        FrozenReply(conversation=conversation, turns=(turn,), parts=("prrt",), token="t"), now=NOW
    )
    store.conversations.remember(conversation, Memory(summary="a secret", through=5))

    forgotten = store.conversations.forget(ANN, through_ms=NOW_MS + 9, fence=conversation.fence, now=NOW)

    assert (forgotten.messages, forgotten.memory) == ((), Memory(through=NOW_MS + 9))
    assert store.storage.get(ANN) == forgotten
    # the journal keeps its record
    assert [entry.content for entry in store.storage.page(ANN).entries] == ["a secret", "prrt"]
    store.conversations.open(ANN, now=NOW)
    with pytest.raises(Fenced):
        store.conversations.forget(ANN, through_ms=NOW_MS + 9, fence=conversation.fence, now=NOW)


def test_marks_of_who_was_forgotten_are_kept_for_a_while(store: Journal) -> None:
    assert store.tombstones.of("ann", now=NOW) == frozenset()
    store.tombstones.add("ann", ["one"], until=NOW + timedelta(days=30))
    store.tombstones.add("ann", ["two"], until=NOW + timedelta(days=30))
    store.tombstones.add("ann#stop", ["stop"], until=NOW + timedelta(days=3650))
    store.tombstones.add("ben", ["three"], until=NOW + timedelta(days=30))

    assert store.tombstones.of("ann", now=NOW) == {"one", "two", "stop"}
    assert store.tombstones.of("ann", now=NOW + timedelta(days=31)) == {"stop"}


def test_a_conversation_that_was_only_opened_can_be_unmade(store: Journal) -> None:
    first = store.conversations.open(ANN, now=NOW)
    second = store.conversations.open(ANN, now=NOW)
    assert not store.conversations.delete_if_untouched(ANN, fence=first.fence)
    assert store.conversations.delete_if_untouched(ANN, fence=second.fence)
    assert store.storage.get(ANN) is None
    assert store.conversations.delete_if_untouched(ANN, fence=second.fence)


def test_a_conversation_in_which_something_was_said_cannot_be_unmade(store: Journal) -> None:
    conversation = store.conversations.open(ANN, now=NOW)
    turn = store.turns.file(a_turn(), now=NOW).turn
    store.turns.persist(FrozenReply(conversation=conversation, turns=(turn,), parts=("a",), token="t"), now=NOW)

    assert not store.conversations.delete_if_untouched(ANN, fence=conversation.fence)
    assert store.storage.get(ANN) is not None


def test_a_conversation_in_which_a_person_said_stop_cannot_be_unmade(store: Journal) -> None:
    conversation = store.conversations.open(ANN, now=NOW)
    store.conversations.set_active(ANN, active=False, fence=conversation.fence, now=NOW)

    assert not store.conversations.delete_if_untouched(ANN, fence=conversation.fence)


def test_a_kept_stop_is_lifted_and_the_other_marks_stay(store: Journal) -> None:
    store.tombstones.add("ann", ["one"], until=NOW + timedelta(days=30))
    store.tombstones.add(stop_mark("ann"), [STILL_STOPPED], until=NOW + timedelta(days=3650))

    store.tombstones.lift_stop("ann")
    store.tombstones.lift_stop("ann")

    assert store.tombstones.of("ann", now=NOW) == {"one"}


def test_a_reset_wakes_up_or_lets_sleep(store: Journal) -> None:
    conversation = store.conversations.open(ANN, now=NOW)
    store.conversations.set_active(ANN, active=False, fence=conversation.fence, now=NOW)

    assert not store.storage.reset(ANN, now=NOW, wake=False).is_active
    assert store.storage.reset(ANN, now=NOW).is_active


def test_who_is_born_again_is_known_by_it(store: Journal) -> None:
    conversation = store.conversations.open(ANN, now=NOW)
    store.conversations.set_returned(ANN, fence=conversation.fence, now=NOW)

    again = store.conversations.open(ANN, now=NOW)
    assert again.returned_after_erasure
    with pytest.raises(Fenced):
        store.conversations.set_returned(ANN, fence=conversation.fence, now=NOW)
    # and a reply does not undo it
    turn = store.turns.file(a_turn(), now=NOW).turn
    store.turns.persist(FrozenReply(conversation=again, turns=(turn,), parts=("a",), token="t"), now=NOW)
    assert store.conversations.open(ANN, now=NOW).returned_after_erasure


def test_a_person_who_never_gets_a_reply_is_not_kept_for_good() -> None:
    store = Journal.on(
        DynamoDBStorage(tables=MemoryTables(schema.conversations(), schema.messages()), retention=timedelta(days=30))
    )

    def expires() -> object:
        (item,) = store.archive.items()
        return item.get("expires")

    conversation = store.conversations.open(ANN, now=NOW)
    assert expires() == int((NOW + timedelta(days=30)).timestamp())

    # a STOP is kept, whatever comes after it
    store.conversations.set_active(ANN, active=False, fence=conversation.fence, now=NOW)
    conversation = store.conversations.open(ANN, now=NOW)
    assert expires() is None

    store.conversations.set_active(ANN, active=True, fence=conversation.fence, now=NOW + timedelta(days=1))
    assert expires() == int((NOW + timedelta(days=31)).timestamp())


def test_what_is_past_its_time_is_shown_to_no_one(dynamodb_url: str) -> None:
    name = f"T{uuid4().hex[:12]}"
    storage = DynamoDBStorage(
        name, messages_table_name=f"{name}M", endpoint_url=dynamodb_url, retention=timedelta(days=30)
    )
    store = Journal.on(storage)
    now = datetime.now(UTC)
    for days, sid in ((31, "SMold"), (1, "SMnew")):
        at = now - timedelta(days=days)
        conversation = store.conversations.open(ANN, now=at)
        turn = store.turns.file(
            replace(a_turn(sid, sid=sid), arrived=arrived(str(int(at.timestamp() * 1000)))), now=at
        ).turn
        store.turns.persist(
            FrozenReply(conversation=conversation, turns=(turn,), parts=(f"re: {sid}",), token=sid), now=at
        )

    assert [entry.content for entry in store.storage.page(ANN).entries] == ["SMnew", "re: SMnew"]
    (item,) = store.archive.items()
    assert item["expires"] == int((now - timedelta(days=1) + timedelta(days=30)).timestamp())
    # a STOP stays, however long there are no messages
    conversation = store.conversations.open(ANN, now=now)
    store.conversations.set_active(ANN, active=False, fence=conversation.fence, now=now)
    store.storage.reset(ANN, now=now, wake=False)
    (item,) = store.archive.items()
    assert "expires" not in item
    client = boto3.client("dynamodb", endpoint_url=dynamodb_url, region_name="us-east-1")
    for table in (name, f"{name}M"):
        ttl = client.describe_time_to_live(TableName=table)["TimeToLiveDescription"]
        assert (ttl["TimeToLiveStatus"], ttl["AttributeName"]) == ("ENABLED", "expires")
    client.close()


def test_an_archive_longer_than_a_page_is_walked_through_whole(dynamodb_url: str) -> None:
    name = f"T{uuid4().hex[:12]}"
    store = Journal.on(DynamoDBStorage(name, messages_table_name=f"{name}M", endpoint_url=dynamodb_url))
    people = [f"+1555000{number:04d}" for number in range(archive.ITEMS_A_PAGE + 5)]
    for person in people:
        store.conversations.open(person, now=NOW)
    many = archive.ROWS_A_PAGE + 5
    texts = [{"user_id": people[0], "message_key": f"in#SM{number:06d}"} for number in range(many)]
    for at in range(0, many, BATCH):
        store.archive.keep(None, texts[at : at + BATCH])

    assert sorted(item["user_id"] for item in store.archive.items()) == people
    assert [row["message_key"] for row in store.archive.rows(people[0])] == [row["message_key"] for row in texts]
