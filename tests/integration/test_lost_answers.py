"""A write took effect and its answer was lost: the client sends it again and recognises it as its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from chaos.proxy import CuttingProxy, Exchange, When
from conversation.storage import DynamoDBStorage
from journal.model import Binding, FrozenReply, RowName, Turn
from journal.states import PartState, TurnState
from journal.store import Journal
from tests.builders import ANN, NOW, NOW_MS, a_turn


class Lossy:
    """A store behind a proxy that can lose the next answer."""

    def __init__(self, url: str) -> None:
        address = urlsplit(url)
        assert address.port is not None
        self.proxy = CuttingProxy("dynamodb", ("127.0.0.1", address.port), http=True)
        self.proxy.start()
        self.lost: list[Exchange] = []
        table = f"Lossy{uuid4().hex[:8]}"
        self.store = Journal.on(DynamoDBStorage(table, endpoint_url=f"http://127.0.0.1:{self.proxy.port}"))
        self.store.storage.ensure_tables()

    def losing(self, write: Callable[[], bool]) -> bool:
        """Lose the first answer of `write`, and return its result."""
        self.proxy.cut(1, When.AFTER, self.lost.append)
        result = write()
        assert len(self.lost) == 1, "no answer was lost"
        return result


@pytest.fixture
def lossy(dynamodb_url: str) -> Iterator[Lossy]:
    one = Lossy(dynamodb_url)
    yield one
    one.proxy.stop()


def a_dead_turn(store: Journal) -> Turn:
    turn = store.turns.file(a_turn("poison"), now=NOW).turn
    fence = store.conversations.open(ANN, now=NOW).fence
    store.turns.settle(turn, TurnState.DEAD, reason="not finished in 5 tries", fence=fence, now=NOW)
    return turn


def test_a_revived_turn(lossy: Lossy) -> None:
    turn = a_dead_turn(lossy.store)

    assert lossy.losing(lambda: lossy.store.dead_letters.revive(RowName(user_id=ANN, key=turn.key), now=NOW))
    assert not lossy.store.dead_letters.revive(RowName(user_id=ANN, key=turn.key), now=NOW)


def test_a_discarded_turn(lossy: Lossy) -> None:
    turn = a_dead_turn(lossy.store)

    assert lossy.losing(lambda: lossy.store.dead_letters.discard(RowName(user_id=ANN, key=turn.key), now=NOW))
    assert not lossy.store.dead_letters.discard(RowName(user_id=ANN, key=turn.key), now=NOW)


def test_a_revived_part_whose_turn_is_to_be_tried_anew(lossy: Lossy) -> None:
    store = lossy.store
    conversation, turn = (
        store.conversations.open(ANN, now=NOW),
        store.turns.retry(store.turns.file(a_turn(), now=NOW).turn),
    )
    answer = FrozenReply(conversation=conversation, turns=(turn,), parts=("prrt",), token="t")
    fence = store.turns.persist(answer, now=NOW).fence
    part = store.outbox.claim(answer.new_parts()[0], fence=fence, attempt_id="SM1-0-a", now=NOW)
    store.outbox.bind(part, Binding(state=PartState.FAILED, error_code=21211, reason="no telephone"), now=NOW)
    tried = store.turns.get(ANN, turn.sid)
    assert tried is not None
    assert tried.tries

    assert lossy.losing(lambda: store.dead_letters.revive(RowName(user_id=ANN, key=part.key), now=NOW))

    anew = store.turns.get(ANN, turn.sid)
    assert anew is not None
    assert anew.tries == 0


def test_a_second_try(lossy: Lossy) -> None:
    store = lossy.store
    conversation, turn = store.conversations.open(ANN, now=NOW), store.turns.file(a_turn(), now=NOW).turn
    answer = FrozenReply(conversation=conversation, turns=(turn,), parts=("prrt",), token="t")
    fence = store.turns.persist(answer, now=NOW).fence
    part = store.outbox.claim(answer.new_parts()[0], fence=fence, attempt_id="SM1-0-a", now=NOW)
    sent = store.outbox.bind(part, Binding(state=PartState.SENT, sid="SMout", status="queued"), now=NOW)
    second = sent.second_try(due=NOW_MS + 60_000)

    assert lossy.losing(lambda: store.outbox.send_again(second, now=NOW))
    assert not store.outbox.send_again(second, now=NOW)
    assert [one.again for one in store.outbox.parts(ANN, turn.sid)] == [False, True]


def test_a_conversation_that_was_unmade(lossy: Lossy) -> None:
    conversation = lossy.store.conversations.open(ANN, now=NOW)

    assert lossy.losing(lambda: lossy.store.conversations.delete_if_untouched(ANN, fence=conversation.fence))
    assert lossy.store.storage.get(ANN) is None


def test_a_text_that_was_filed_and_a_part_that_was_claimed(lossy: Lossy) -> None:
    store, filed = lossy.store, a_turn()
    conversation = store.conversations.open(ANN, now=NOW)
    assert lossy.losing(lambda: store.turns.file(filed, now=NOW).turn.sid == filed.sid)
    answer = FrozenReply(conversation=conversation, turns=(filed,), parts=("prrt",), token="t")
    fence = store.turns.persist(answer, now=NOW).fence
    lossy.lost.clear()

    def claimed() -> bool:
        part = store.outbox.claim(answer.new_parts()[0], fence=fence, attempt_id="SM1-0-a", now=NOW)
        return (part.state, part.attempt_id) == (PartState.SENDING, "SM1-0-a")

    assert lossy.losing(claimed)
