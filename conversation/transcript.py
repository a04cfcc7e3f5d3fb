"""The full transcript: rows of everything that was said, and reading them page by page.

Rows of the messages table, keyed by (`user_id`, `message_key`):

    in#<MessageSid>, out#<MessageSid>#<n>   texts and reply parts, written by the journal package
    msg#<time>#<random>                     a message that was added without a sid
    old#<n>#<digest>                        a message that left the window and had no row of its own

The local index `by_arrival` orders them.
"""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from itertools import islice
from typing import Any, Final

from boto3.dynamodb.conditions import Attr, Key

from conversation import schema, window
from conversation.entries import PAGE, Entry, Page, arrived
from conversation.models import Conversation, Message, in_milliseconds
from conversation.table import PUT_BATCH, Query, Row, Tables, Update, each

#: The state of a row that no worker acts on.
SETTLED: Final = "SETTLED"


def message_row(names: schema.Names, user_id: str, message: Message, *, now: datetime) -> Update:
    """Create the row of a message that has a key and no sid. Raises `ValueError` without a key."""
    if message.key is None:
        raise ValueError("a message needs a key: it is what makes a second call harmless")
    return new_row(
        names,
        user_id,
        message.key,
        {
            "role": str(message.role),
            "content": message.content,
            "arrived": arrived(str(in_milliseconds(message.timestamp or now))),
            "state": SETTLED,
            **names.expiry(now),
        },
    )


def new_row(names: schema.Names, user_id: str, key: str, attributes: Mapping[str, Any]) -> Update:
    """Create a row of the messages table. The update's condition fails if the row exists."""
    return Update(
        table=names.messages,
        key={"user_id": user_id, "message_key": key},
        set=attributes,
        when=Attr("user_id").not_exists(),
    )


def carry_over(tables: Tables, names: schema.Names, conversation: Conversation, cut: window.Cut) -> None:
    """Copy messages that leave the window, and have no row, into the messages table.

    `conversation`: as it was read, before the window is cut. The idempotency key is the message's number and digest:
    writers that carry over the same messages write the same rows.
    """
    said_at = window.times([*cut.evicted, *cut.conversation.messages])
    unjournaled = [
        (message, moment) for message, moment in zip(cut.evicted, said_at, strict=False) if message.key is None
    ]
    rows = [
        {
            "user_id": conversation.user_id,
            "message_key": f"old#{number:08d}#{_digest(message)}",
            "arrived": f"{in_milliseconds(moment or conversation.created_at):013d}-{number:06d}",
            "role": str(message.role),
            "content": message.content,
            "state": SETTLED,
            "original": json.dumps(message.to_json(), ensure_ascii=False),
            **names.expiry(conversation.updated_at),
        }
        for number, (message, moment) in enumerate(unjournaled, conversation.carried)
    ]
    for start in range(0, len(rows), PUT_BATCH):
        tables.put_all(names.messages, rows[start : start + PUT_BATCH])


def _digest(message: Message) -> str:
    return hashlib.blake2b(json.dumps(message.to_json(), sort_keys=True).encode(), digest_size=6).hexdigest()


def by_arrival(names: schema.Names, user_id: str) -> Query:
    """Return the query of a person's rows in the order of their arrival."""
    return Query(table=names.messages, index=schema.BY_ARRIVAL, where=Key("user_id").eq(user_id))


class Transcript:
    """Reads the rows of one person in the order of their arrival."""

    def __init__(self, tables: Tables, names: schema.Names) -> None:
        self._tables = tables
        self._names = names

    def page(self, user_id: str, *, cursor: str | None = None, limit: int = PAGE) -> Page:
        """Return the full transcript, oldest first, a page at a time."""
        rows = by_arrival(self._names, user_id)
        page = self._tables.query(replace(rows, limit=limit, after=from_cursor(cursor) if cursor else None))
        return Page(entries=_entries(page.rows), cursor=to_cursor(page.end) if page.end else None)

    def newest(self, user_id: str, limit: int) -> tuple[Entry, ...]:
        """Return the newest entries, oldest first."""
        query = replace(by_arrival(self._names, user_id), newest_first=True, limit=min(limit, PAGE))
        return _entries(islice(filter(_is_shown, each(self._tables, query)), limit))

    def between(self, user_id: str, *, after_ms: int, before_ms: int, limit: int) -> tuple[Entry, ...]:
        """Return the newest entries that arrived after one moment and before another, oldest first.

        Empty if the second moment does not lie behind the first.
        """
        if before_ms <= after_ms:
            return ()  # DynamoDB refuses a range that ends before it begins
        begin = f"{after_ms + 1:013d}-" if after_ms else "0"
        where = Key("user_id").eq(user_id) & Key("arrived").between(begin, f"{before_ms:013d}-")
        query = replace(by_arrival(self._names, user_id), where=where, newest_first=True, limit=limit)
        return _entries(self._tables.query(query).rows)


def _entries(rows: Iterable[Row]) -> tuple[Entry, ...]:
    # rows with one `arrived` are a text and its reply; by key, `in#` stands before `out#`
    ordered = sorted(filter(_is_shown, rows), key=lambda row: (row["arrived"], row["message_key"]))
    return tuple(map(Entry.from_row, ordered))


def _is_shown(row: Row) -> bool:
    """Whether a row is a line of the transcript."""
    # a second try repeats the words; what has expired, DynamoDB deletes within days
    return not row.get("again") and ("expires" not in row or row["expires"] >= time.time())


def to_cursor(key: Mapping[str, Any]) -> str:
    """Return a page's end as an opaque string."""
    return base64.urlsafe_b64encode(json.dumps(key).encode()).decode()


def from_cursor(cursor: str) -> dict[str, str]:
    """Return the page's end that `to_cursor` made a string of."""
    key = json.loads(base64.urlsafe_b64decode(cursor))
    assert isinstance(key, dict)
    return key
