"""Measure what a turn costs the tables as the conversation grows.

Ours is compared with one item per conversation (the blob), which is read, appended to and put back whole.
Conversations have 10, 100, 1,000 and 10,000 texts, in the embedded DynamoDB; the blob uses stock boto3.
Our turn is open, file, persist, claim, bind; the blob's is get, append, put.
Counted are calls, bytes of requests and milliseconds. A blob of more than 400 KB is refused, as DynamoDB refuses it
(https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html).
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from unittest.mock import patch

import boto3
from botocore.exceptions import ClientError
from urllib3 import HTTPConnectionPool

from benchmarks import load, turns
from benchmarks.report import Goal, Study
from conversation.entries import arrived
from conversation.models import in_milliseconds
from conversation.storage import DynamoDBStorage
from conversation.table import PUT_BATCH as BATCH
from journal.model import Binding, FrozenReply, Turn, new_attempt_id
from journal.states import PartState, TurnState
from journal.store import Journal

LENGTHS: Final = (10, 100, 1_000, 10_000)
#: Most calls of a one-part turn, without status callbacks.
MOST_CALLS: Final = 5
#: Most bytes of a turn in the longest conversation, as a multiple of the shortest one with a full window.
FLAT: Final = 1.2
OURS, BLOB = "ours", "get, append, put"
WORDS: Final = "the umbrella has opinions about tuesday, and nobody asked the moon whether it minds."


@dataclass(slots=True)
class Counted:
    """Number and size of requests."""

    calls: int = 0
    sent: int = 0


@contextmanager
def counted() -> Iterator[Counted]:
    """Count requests over urllib3, which boto3 uses."""
    total, urlopen = Counted(), HTTPConnectionPool.urlopen

    def count_urllib3(
        pool: HTTPConnectionPool, method: str, url: str, body: Any = None, **options: Any
    ) -> Any:  # Any: urllib3's own
        total.calls += 1
        total.sent += len(body or b"")
        return urlopen(pool, method, url, body=body, **options)

    with patch.object(HTTPConnectionPool, "urlopen", count_urllib3):
        yield total


#: Writes of one turn to the index of unsettled rows, whose keys are shared by all people.
#: The text is added by filing and removed by persisting. Its part is added by persisting, changed by the claim and by
#: the binding, and removed by its delivery.
INDEX_WRITES: Final = 6


def units(item: Mapping[str, Any]) -> int:
    """Return the write units of putting or changing an item: one per KB of the whole item, names included.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html.
    """
    return math.ceil(_size(item) / 1024)


def _size(value: Any) -> int:
    if isinstance(value, Mapping):
        return sum(len(name) + _size(one) for name, one in value.items())
    if isinstance(value, list | set):
        return 3 + sum(1 + _size(one) for one in value)
    return len(str(value).encode())


def units_of_a_turn(conversation: Mapping[str, Any], text: Mapping[str, Any], part: Mapping[str, Any]) -> int:
    """Return the write units of a turn of one part.

    A transaction counts twice. Each change of a row counts once more in the local index. `INDEX_WRITES` is added.
    """
    opened, filed, settled = units(conversation), units(text), units(part)
    persisted = 2 * (opened + filed + settled)
    claimed = 2 * (opened + settled)
    bound, delivered = settled, settled
    local = 2 * filed + 4 * settled
    return opened + filed + persisted + claimed + bound + delivered + local + INDEX_WRITES


class Ours:
    """One conversation, stored in our two tables."""

    def __init__(self, url: str, user: str) -> None:
        storage = DynamoDBStorage(endpoint_url=url, region_name="us-east-1")
        self._journal, self._names, self._user, self._number = Journal.on(storage), storage.names, user, 0

    def turn(self) -> None:
        """Store one text and its reply of one part."""
        self._number += 1
        now, sid = datetime.now(UTC), f"SM{self._number:032x}"
        conversation = self._journal.conversations.open(self._user, now=now)
        filed = self._journal.turns.file(
            Turn(
                user_id=self._user, sid=sid, state=TurnState.FILED, content=WORDS, to=load.NUMBER,
                arrived=arrived(f"{in_milliseconds(now)}-{self._number}"),
            ),
            now=now,
        )  # fmt: skip
        answer = FrozenReply(
            conversation=conversation, turns=[filed.turn], parts=[WORDS], token=sid, facts={"engine": "dada"}
        )
        self._journal.turns.persist(answer, now=now)
        [part] = answer.new_parts()
        claimed = self._journal.outbox.claim(part, fence=conversation.fence, attempt_id=new_attempt_id(part), now=now)
        self._journal.outbox.bind(
            claimed, Binding(state=PartState.SENT, sid=f"SM9{self._number:031x}", status="queued"), now=now
        )

    def units(self) -> int:
        """Return the write units of the last turn."""
        conversations, rows = self._names.conversations, self._names.messages
        sid, read = f"SM{self._number:032x}", self._journal.storage.tables.get
        key = {"user_id": self._user}
        stored = [
            read(conversations, key),
            read(rows, {**key, "message_key": f"in#{sid}"}),
            read(rows, {**key, "message_key": f"out#{sid}#0"}),
        ]
        conversation, text, part = (row for row in stored if row is not None)
        return units_of_a_turn(conversation, text, part)

    def lengthen(self, texts: int) -> None:
        """Grow the conversation to `texts` texts: older rows are written directly, and the window is filled."""
        while self._number * 2 < min(texts, 100):
            self.turn()
        row = {"user_id": self._user, "role": "user", "content": WORDS, "state": "SETTLED"}
        for at in range(0, texts - self._number * 2, BATCH):
            rows = [
                {**row, "message_key": f"old#{texts}#{n}", "arrived": f"{n:013d}-000000"}
                for n in range(at, min(at + BATCH, texts))
            ]
            self._journal.archive.keep(None, rows)


class Blob:
    """One conversation, stored in one item."""

    def __init__(self, url: str, user: str) -> None:
        self._user = user
        resource = boto3.resource("dynamodb", endpoint_url=url, region_name="us-east-1")
        self._table = resource.Table("PlainConversations")

    def turn(self) -> None:
        """Get, append twice, put. Raises `ClientError` if the item is too large."""
        item = self._table.get_item(Key={"user_id": self._user}).get("Item")
        messages = json.loads(str(item["messages"])) if item else []
        self._put([*messages, *self._exchange()])

    def units(self) -> int:
        """Return the write units of the last turn."""
        return units(self._table.get_item(Key={"user_id": self._user})["Item"])

    def lengthen(self, texts: int) -> None:
        """Grow the conversation to `texts` texts."""
        self._put(self._exchange() * (texts // 2))

    def _exchange(self) -> list[dict[str, str]]:
        at = datetime.now(UTC).isoformat()
        return [{"role": role, "content": WORDS, "timestamp": at} for role in ("user", "assistant")]

    def _put(self, messages: list[dict[str, str]]) -> None:
        text = json.dumps(messages)
        if len(text) > 400 * 1024:
            raise ClientError(
                {"Error": {"Code": "ValidationException", "Message": "Item size has exceeded"}}, "PutItem"
            )
        self._table.put_item(Item={"user_id": self._user, "messages": text})


def study(*, quick: bool = False) -> Study:
    """Run the study."""
    results = Study(
        name="growth",
        title="What a turn costs the tables, by the conversation's length",
        command="scripts/bench growth",
    )
    lengths = LENGTHS[:2] if quick else LENGTHS
    with turns.house(thinks=0) as at:
        url = at.env["AWS_ENDPOINT_URL"]
        turns.local_credentials()
        turns.plain_table(url)
        for length in lengths:
            both: dict[str, Ours | Blob] = {
                OURS: Ours(url, f"+1555{length:07d}"), BLOB: Blob(url, f"+1555{length:07d}")
            }  # fmt: skip
            for name, one in both.items():
                try:
                    one.lengthen(length)
                    one.turn()
                except ClientError:
                    results.notes.append(f"{name}: refused at {length:,} texts, more than 400 KB")
                    continue
            for _ in range(2 if quick else 10):
                for name, one in both.items():
                    with counted() as requests:
                        started_at, cpu_before = time.perf_counter(), time.process_time()
                        try:
                            one.turn()
                        except ClientError:
                            continue
                        milliseconds = 1000 * (time.perf_counter() - started_at)
                    if name == BLOB and length == LENGTHS[-1]:
                        continue  # after the refusal the item starts empty: it has not this length
                    for what, value in (
                        ("bytes sent", requests.sent),
                        ("ms", milliseconds),
                        ("ms of the client's CPU", 1000 * (time.process_time() - cpu_before)),
                        ("calls", requests.calls),
                        ("write units", one.units()),
                    ):
                        results.add(f"{what} a turn, {length:,} texts", name, value)
    results.add("writes a turn into the index of the unsettled", OURS, INDEX_WRITES)
    _goals(results, lengths)
    return results


def _goals(results: Study, lengths: tuple[int, ...]) -> None:
    full, last = lengths[1], lengths[-1]
    sent = {length: results.median(f"bytes sent a turn, {length:,} texts", OURS) for length in lengths}
    blob = {length: results.median(f"bytes sent a turn, {length:,} texts", BLOB) for length in lengths[:3]}
    results.goals.append(
        Goal(
            goal="a turn's bytes do not grow with the conversation",
            figure=", ".join(f"{sent[length]:,.0f} at {length:,}" for length in lengths)
            + f"; the blob's: {', '.join(f'{size:,.0f} at {length:,}' for length, size in blob.items())}",
            ratio=f"{sent[last] / sent[full]:.2f}",
            met=sent[last] / sent[full] <= FLAT,
        )
    )
    calls = max(max(results.samples[f"calls a turn, {length:,} texts"][OURS]) for length in lengths)
    results.goals.append(
        Goal(goal="at most 5 DynamoDB calls for a turn of one part", figure=f"{calls:.0f}", met=calls <= MOST_CALLS)
    )
