"""Held parts: they may have been sent, and no evidence came. Only an operator's word moves them.

    word word_at   what the operator said of the attempt, `resend`, `sent` or `not sent`, and when

Each write names the attempt of which the operator spoke. A command that is repeated, or that comes late, finds another
attempt or another state, and changes nothing: one word sends a part once. Evidence that comes later is accepted still.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from boto3.dynamodb.conditions import Attr

from conversation.contention import wins
from conversation.storage import DynamoDBStorage
from conversation.table import READ_BATCH, Append, Query, Update, each
from journal import listing, states
from journal.dead_letters import clear_tries, keep
from journal.model import ALL_BUCKETS, ReplyPart, RowName, row_key
from journal.states import PartState
from journal.unsettled import Unsettled

#: What an operator may say of a held part.
RESEND, SENT, NOT_SENT = "resend", "sent", "not sent"


class Held:
    """Held parts in the sparse index, and what an operator says of them."""

    def __init__(self, storage: DynamoDBStorage) -> None:
        self._tables = storage.tables
        self._names = storage.names
        self._unsettled = Unsettled(storage)

    def listed(self) -> Iterator[RowName]:
        """Return the rows that may be held or of unknown outcome, those that are held first."""
        for part in (states.HELD_PARTS, *ALL_BUCKETS):
            rows = self._unsettled.rows(part, limit=READ_BATCH)
            yield from (row for row in rows if row.is_part)

    def searched(self) -> Iterator[RowName]:
        """Return every held row, by reading all rows: an earlier release did not list them."""
        held = Attr("state").eq(str(PartState.HELD))
        query = Query(table=self._names.messages, only=held, attributes=("user_id", "message_key", "word"))
        rows = (row for row in each(self._tables, query) if row.get("word") != NOT_SENT)
        return (RowName(user_id=row["user_id"], key=row["message_key"]) for row in rows)

    def resend(self, part: ReplyPart, *, now: datetime) -> bool:
        """Have a held part sent once more; False, and nothing changed, if it is not held after this attempt."""
        values = {
            "state": str(PartState.RETRY),
            **listing.listed(part.user_id, now),
            "revived_at": now.isoformat(),
            "due": 0,
            "unknown_since": 0,
        }
        if not wins(self._tables, self._said(part, RESEND, values, now=now)):
            return False
        row = RowName(user_id=part.user_id, key=part.key)
        clear_tries(self._tables, self._names, row)
        keep(self._tables, self._names, row, now)
        return True

    def settle(self, part: ReplyPart, *, was_sent: bool, now: datetime) -> bool:
        """Record that a held part was sent, or was not; False, and nothing changed, if it is not held.

        If it was not sent it stays HELD and leaves the list: a report that says otherwise still counts.
        """
        state = PartState.SENT if was_sent else PartState.HELD
        word = SENT if was_sent else NOT_SENT
        return wins(self._tables, self._said(part, word, {"state": str(state)}, now=now))

    def _said(self, part: ReplyPart, word: str, values: dict[str, Any], *, now: datetime) -> Update:
        stamp = now.isoformat()
        event = {"at": stamp, "state": values["state"], "attempt": part.attempt_id, "word": word}
        return Update(
            table=self._names.messages,
            key=row_key(part.user_id, part.key),
            set={
                **values,
                "word": word,
                "word_at": stamp,
                "reason": f"the operator said: {word}",
                "log": Append(event),
            },
            remove=tuple(name for name in listing.ATTRIBUTES if name not in values),
            when=Attr("state").eq(str(PartState.HELD)) & Attr("attempt_id").eq(part.attempt_id),
        )
