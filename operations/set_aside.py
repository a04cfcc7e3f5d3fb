"""Items that were set aside: list them, or take one off the list."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from inbox.ports import Inbox
from journal.store import Journal
from operations.errors import NotFound


def listed(journal: Journal, limit: int) -> Iterator[dict[str, Any]]:  # Any: JSON
    """Yield the items that could not be handled, by kind and name."""
    for record in islice(journal.set_aside.all(), limit):
        item = record.item
        yield {
            "kind": item.kind, "name": item.name, "error": item.error, "times": record.times,
            "first_at": record.first_at, "at": record.at,
        }  # fmt: skip


def discard(journal: Journal, inbox: Inbox, name: str) -> None:
    """Take an item off the list, and a delivery report out of Redis. Raises `NotFound`.

    What is not mended is set aside again when it is tried next; a message of Twilio's list is not.
    """
    record = next((record for record in journal.set_aside.all() if record.item.name == name), None)
    if record is None:
        raise NotFound(f"{name} is not set aside")
    if record.item.kind == "report":
        inbox.reports.remove([name])
    journal.set_aside.remove(record.item.kind, name)
