"""What a turn asks of the tables: a call is most of what a turn costs a worker."""

from __future__ import annotations

from typing import Any

from conversation.journal import PartState
from conversation.storage import DynamoDBStorage
from tests.builders import ANN, a_text
from tests.room import WHO, Room


def test_a_turn_of_one_part_is_five_calls(dynamodb_url: str) -> None:
    room, asked, storage = Room(), list[str](), DynamoDBStorage("Calls", endpoint_url=dynamodb_url)
    worker = room.worker(journal=storage)
    room.inbox.accept(a_text("a stranger's first text looks for older ones, too"))
    worker.serve(WHO)

    def note(model: Any, **_: object) -> None:
        asked.append(model.name)

    storage._db.client().meta.events.register("before-call.dynamodb", note)
    text = a_text("the second")
    room.inbox.accept(text)
    worker.serve(WHO)

    assert [part.state for part in storage.parts(ANN, text.sid)] == [PartState.SENT]
    # open, file, persist, claim, bind; what was asked to check it aside
    assert asked[:-1] == ["UpdateItem", "UpdateItem", "TransactWriteItems", "TransactWriteItems", "UpdateItem"]
