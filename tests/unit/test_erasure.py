"""What `forget` erases stays erased, whatever runs beside it; a text that comes meanwhile is answered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from conversation.models import Message, Role
from inbox import keys, payloads
from inbox.inbox import on_redis
from inbox.people import RedisPeople
from journal.model import Binding, ReplyPart
from journal.states import PartState
from operations.forget import Eraser
from sms.messages import DeliveryReport, MessageSid
from sms.ports import Listed
from tests.builders import ANN, LEASE, OUR_NUMBER, WAKE_AGAIN, WINDOW, a_cat, a_text
from tests.room import CATALOGUE, WHO, Room
from tests.unit.test_memory import Clerk, chat
from worker.lease import LeaseKeeper
from worker.memories import Memories

#: The carrier accepted the message and could not deliver it: the words get a second try.
UNREACHABLE = 30001


class Around:
    """A value in front of another: something happens before its call `path`, such as `turns.file`."""

    def __init__(self, behind: object, path: str, *, before: Callable[[], object]) -> None:
        self._behind, self._before = behind, before
        self._name, _, self._rest = path.partition(".")

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._behind, name)
        if name != self._name:
            return real
        if self._rest:
            return Around(real, self._rest, before=self._before)

        def call(*args: object, **options: object) -> object:
            self._before()
            return real(*args, **options)

        return call


def mark(sid: str) -> str:
    return payloads.who(sid, b"memory")


def forget(room: Room, person: str = ANN, *, inbox: Any = None) -> list[str]:
    """Forget a person; return of how many conversations."""
    inbox = inbox or room.inbox
    eraser = Eraser(
        journal=room.store, inbox=inbox, account=None, who=lambda one: payloads.who(one, b"memory"),
        leases=LeaseKeeper(inbox.leases, every_seconds=5), numbers=[OUR_NUMBER], per_number=room.per_number,
    )  # fmt: skip
    return [receipt.who for receipt in eraser.forget_all(person)]


def rows(room: Room) -> list[str]:
    return [str(row["message_key"]) for row in room.store.archive.rows(ANN)]


def a_failure(part: ReplyPart) -> DeliveryReport:
    assert part.sid
    assert part.attempt_id
    return DeliveryReport(
        sid=MessageSid(part.sid), to=ANN, status="undelivered", attempt_id=part.attempt_id, error_code=UNREACHABLE
    )  # fmt: skip


@pytest.mark.parametrize("texts_again", [False, True])
def test_what_a_summarizer_says_of_an_erased_person_is_not_kept(*, texts_again: bool) -> None:
    room = Room()
    chat(room, "i live in oslo", "and i like tuna")
    room.later(seconds=100 * 3600)
    chat(room, "hello")

    def meanwhile() -> None:
        forget(room)
        if texts_again:
            chat(room, "who am i?")

    clerk = Clerk(meanwhile=meanwhile)
    summarizer = a_cat([clerk], catalogue=CATALOGUE).summarizer
    Memories(room.now, room.store, room.budget(None, room.store), summarizer, WINDOW).refresh(WHO, ANN)

    assert clerk.asked
    conversation = room.store.conversations.get(ANN)
    if texts_again:
        assert conversation is not None
        assert (conversation.memory.summary, conversation.memory.told) == ("", ())
    else:
        assert (conversation, rows(room)) == (None, [])


def test_a_failed_reply_of_an_erased_person_gets_no_second_try() -> None:
    room = Room()
    (text,) = room.texts("my secret")
    room.serve()
    room.receive(a_failure(room.store.outbox.parts(ANN, text.sid)[0]))

    room.aftermath._journal = Around(room.store, "outbox.send_again", before=lambda: forget(room))
    room.receipts.drain()

    assert rows(room) == []


def test_a_second_try_that_an_earlier_release_left_of_an_erased_person_is_deleted() -> None:
    room = Room()
    (text,) = room.texts("my secret")
    room.serve()
    (first,) = room.store.outbox.parts(ANN, text.sid)
    room.store.outbox.bind(first, Binding(state=PartState.SENT, status="undelivered"), now=room.now())
    second = first.second_try(due=room.ms)
    assert room.store.outbox.send_again(second, now=room.now())
    kept = [row for row in room.store.archive.rows(ANN) if row["message_key"] == second.key]
    forget(room)
    room.store.archive.keep(None, kept)

    room.later(seconds=400)
    assert room.reconciler.reconcile().unfinished == 0

    assert rows(room) == []


def test_a_text_that_a_sleeping_worker_files_after_the_erasure_is_deleted_and_not_answered() -> None:
    room = Room()
    room.texts("my secret")

    def forgotten() -> None:
        room.later(seconds=LEASE.total_seconds() + 1)
        forget(room)

    room.serve(journal=Around(room.store, "turns.file", before=forgotten), mark=mark)
    assert len(rows(room)) == 1

    room.later(seconds=400)
    assert room.reconciler.reconcile().unfinished == 1
    room.serve(mark=mark)

    assert (rows(room), room.received) == ([], [])
    assert room.reconciler.reconcile().unfinished == 0


def test_a_text_that_comes_while_redis_is_searched_is_answered() -> None:
    room = Room()
    (old,) = room.texts("hello")
    room.serve(mark=mark)
    room.texts("this one waits")
    late = a_text("a new text, after being forgotten")

    slow: Any = Around(room.redis, "scan_iter", before=lambda: room.inbox.texts.accept(late))
    forget(room, inbox=replace(room.inbox, people=RedisPeople(slow)))

    room.serve(mark=mark)
    assert room.received == ["re: hello", "re: a new text, after being forgotten"]
    # an old text that comes late is still known as one
    room.inbox.texts.accept(old)
    room.serve(mark=mark)
    assert len(room.received) == 2
    assert room.inbox.texts.oldest_waiting_ms() is None


def test_a_text_without_a_name_is_answered_once_the_carriers_list_shows_it() -> None:
    """A `forget` of an earlier release, at the wrong moment, left a text whose person Redis did not know."""
    room = Room()
    room.reconciler.reconcile()
    (text,) = room.texts("hello")
    room.redis.hdel(keys.PEOPLE, WHO)
    room.sender.received.append(
        Listed(sid=text.sid, to=OUR_NUMBER, sender=ANN, body=text.body, status="received", inbound=True,
               created=room.now())
    )  # fmt: skip
    room.serve()
    assert room.received == []

    room.later(seconds=60)
    room.reconciler.reconcile()
    room.serve()

    assert room.received == ["re: hello"]


def test_the_conversations_of_a_time_with_one_for_each_number_are_forgotten_too() -> None:
    pair = f"{ANN}/{OUR_NUMBER}"
    room = Room(per_number=True)
    room.texts("my secret")
    room.worker().serve(payloads.who(pair, b"memory"))
    room.per_number = False
    inbox = on_redis(room.redis, who_key=b"memory", lease=LEASE, wake_again=WAKE_AGAIN)
    room.serve(inbox=inbox)
    inbox.texts.accept(a_text("hi again"))
    room.serve(inbox=inbox)

    assert forget(room, inbox=inbox) == [payloads.who(user, b"memory") for user in (ANN, pair)]

    assert list(room.store.archive.users()) == []
    assert list(room.store.archive.rows(pair)) == []


def test_every_row_of_a_person_has_an_end_if_retention_is_set() -> None:
    room = Room(retention=timedelta(days=30))
    chat(room, "i live in oslo", "STOP", "START", "and i like tuna")
    (text,) = room.texts("hello")
    room.serve()
    room.receive(a_failure(room.store.outbox.parts(ANN, text.sid)[0]))
    room.receipts.drain()
    room.store.storage.append(ANN, Message(role=Role.USER, content="by the way", key="msg#1#1"), now=room.now())
    room.later(seconds=100 * 3600)
    summarizer = a_cat([Clerk()], catalogue=CATALOGUE).summarizer
    Memories(room.now, room.store, room.budget(None, room.store), summarizer, WINDOW).refresh(WHO, ANN)

    kinds = {key.partition("#")[0] for key in rows(room)}
    assert kinds == {"in", "out", "msg", "memo"}
    assert any(key.endswith("r") for key in rows(room)), "a second try"
    assert [row["message_key"] for row in room.store.archive.rows(ANN) if "expires" not in row] == []
    assert "expires" in (room.store.archive.item(ANN) or {})
