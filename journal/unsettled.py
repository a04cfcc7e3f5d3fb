"""What the reconciler reads: unsettled rows, known texts, and how far the carrier's list was read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

from boto3.dynamodb.conditions import Attr, Key

from conversation import schema
from conversation.contention import holds
from conversation.errors import ConditionFailed, UnreadableRow
from conversation.storage import DynamoDBStorage
from conversation.table import READ_BATCH, Append, Delete, Query, Update, each
from journal import codec
from journal.model import ReplyPart, RowName, in_key, row_key
from journal.outbox import newest_rows
from journal.states import PartState

_END_OF_TIME: Final = datetime.max.replace(tzinfo=UTC)
#: The `user_id` of the rows that hold watermarks; no telephone is called that.
_RECONCILER: Final = "#reconciler"


class Unsettled:
    """The sparse index, and the reconciler's own rows."""

    def __init__(self, storage: DynamoDBStorage) -> None:
        self._tables = storage.tables
        self._names = storage.names

    def rows(self, bucket: str, *, limit: int, before: datetime | None = None) -> Iterator[RowName]:
        """Return every row of a bucket, or those that are unsettled since before a moment, oldest first.

        `limit` rows are read at a time. The index is eventually consistent: it finds work and never proves that there
        is none.
        """
        query = Query(
            table=self._names.messages,
            index=schema.UNSETTLED,
            where=Key("unsettled").eq(bucket) & Key("since").lt((before or _END_OF_TIME).isoformat()),
            limit=limit,
            consistent=False,
        )
        return (RowName(user_id=row["user_id"], key=row["message_key"]) for row in each(self._tables, query))

    def known(self, texts: Sequence[tuple[str, str]]) -> frozenset[str]:
        """Return the sids of those texts, pairs of `user_id` and sid, that have a row; read consistently."""
        keys = [row_key(user_id, in_key(sid)) for user_id, sid in texts]
        batches = (keys[start : start + READ_BATCH] for start in range(0, len(keys), READ_BATCH))
        rows = (row for batch in batches for row in self._tables.get_all(self._names.messages, batch, ["message_key"]))
        return frozenset(row["message_key"].removeprefix("in#") for row in rows)

    def sent_parts(self, user_id: str, *, limit: int) -> dict[str, ReplyPart]:
        """Return the parts among a person's newest rows by their sids, without rows that cannot be read."""
        found: dict[str, ReplyPart] = {}
        for row in newest_rows(self._tables, self._names, user_id, limit):
            with suppress(UnreadableRow):
                part = codec.decode(ReplyPart, row)
                found |= {part.sid: part} if part.sid else {}
        return found

    def note_look(self, part: ReplyPart, *, shown: bool, now: datetime) -> None:
        """Record that the carrier's list was read whole: whether it shows a message that may be this part's.

        Nothing is written if the outcome of this attempt is known by now.
        """
        stamp = now.isoformat()
        update = Update(
            table=self._names.messages,
            key=row_key(part.user_id, part.key),
            set={"perhaps_listed_at": stamp} if shown else {"looks": Append(stamp)},
            when=Attr("state").eq(str(PartState.UNKNOWN)) & Attr("attempt_id").eq(part.attempt_id),
        )
        holds(self._tables, update)

    def drop_orphan(self, row: RowName) -> None:
        """Delete a second try that was not sent, and whose turn is gone: its person was erased."""
        unsent = Attr("again").eq(True) & Attr("state").eq(str(PartState.NEW))
        with suppress(ConditionFailed):
            self._tables.delete(Delete(table=self._names.messages, key=row.as_key, when=unsent))

    def watermark(self, name: str) -> datetime | None:
        """Return up to when, by the carrier's clock, its list was read for `name`; None before the first look."""
        row = self._tables.get(self._names.messages, row_key(_RECONCILER, name))
        return datetime.fromisoformat(row["at"]) if row else None

    def set_watermark(self, name: str, moment: datetime) -> None:
        """Record how far the carrier's list was read. An earlier time than the recorded one changes nothing."""
        stamp = moment.astimezone(UTC).isoformat()
        update = Update(
            table=self._names.messages,
            key=row_key(_RECONCILER, name),
            set={"at": stamp},
            when=Attr("at").not_exists() | Attr("at").lt(stamp),
        )
        holds(self._tables, update)

    def forget_watermark(self, name: str) -> None:
        """Delete a record of `set_watermark`. A second call changes nothing."""
        self._tables.delete(Delete(table=self._names.messages, key=row_key(_RECONCILER, name)))
