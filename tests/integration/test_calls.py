"""The number of DynamoDB calls of a turn: calls are most of what a turn costs a worker."""

from __future__ import annotations

from conversation.journal import PartState
from conversation.storage import DynamoDBStorage
from tests.builders import ANN, a_text, asked_of
from tests.room import WHO, Room


def test_a_turn_of_one_part_is_five_calls(dynamodb_url: str) -> None:
    room, storage = Room(), DynamoDBStorage("Calls", endpoint_url=dynamodb_url)
    worker = room.worker(journal=storage)
    room.inbox.texts.accept(a_text("a stranger's first text looks for older ones, too"))
    worker.serve(WHO)

    asked = asked_of(storage)
    text = a_text("the second")
    room.inbox.texts.accept(text)
    worker.serve(WHO)

    assert [part.state for part in storage.parts(ANN, text.sid)] == [PartState.SENT]
    # open, file, persist, claim, bind; the last call is this test's own read
    assert asked[:-1] == ["UpdateItem", "UpdateItem", "TransactWriteItems", "TransactWriteItems", "UpdateItem"]
