"""Items that were set aside: what the reconciler or a drain could not handle, listed for the operator.

Rows of the messages table, under the `user_id` `#aside`:

    <kind>#<name>   kind name error first_at at times

No row names a person.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from boto3.dynamodb.conditions import Key

from conversation.storage import DynamoDBStorage
from conversation.table import Delete, IfMissing, Plus, Query, Update, each
from journal.model import AsideRecord, row_key
from runtime.isolation import BadItem

_ASIDE: Final = "#aside"


class Aside:
    """The list of items that were set aside."""

    def __init__(self, storage: DynamoDBStorage) -> None:
        self._tables = storage.tables
        self._names = storage.names

    def add(self, item: BadItem, *, now: datetime) -> None:
        """List an item, or record that it failed once more."""
        stamp = now.isoformat()
        values = {"kind": item.kind, "name": item.name, "error": item.error, "at": stamp}
        counts = {"first_at": IfMissing(stamp), "times": Plus(1)}
        key = self._key(item.kind, item.name)
        self._tables.update(Update(table=self._names.messages, key=key, set={**values, **counts}))

    def all(self) -> Iterator[AsideRecord]:
        """Yield every item on the list, by kind and name."""
        for row in each(self._tables, Query(table=self._names.messages, where=Key("user_id").eq(_ASIDE))):
            item = BadItem(kind=str(row["kind"]), name=str(row["name"]), error=str(row["error"]))
            yield AsideRecord(item=item, first_at=str(row["first_at"]), at=str(row["at"]), times=int(row["times"]))

    def remove(self, kind: str, name: str) -> None:
        """Take an item off the list. A second call changes nothing."""
        self._tables.delete(Delete(table=self._names.messages, key=self._key(kind, name)))

    def remove_mended(self, kinds: frozenset[str], *, before: datetime) -> None:
        """Take the items of these kinds off the list that did not fail again since then.

        The caller has tried all of them meanwhile.
        """
        for record in list(self.all()):
            if record.item.kind in kinds and datetime.fromisoformat(record.at) < before:
                self.remove(record.item.kind, record.item.name)

    def _key(self, kind: str, name: str) -> dict[str, str]:
        return row_key(_ASIDE, f"{kind}#{name}")
