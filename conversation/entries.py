"""Lines of the full transcript, and their order.

`arrived` is such as `1732312345678-000007`: milliseconds of Redis's clock and a number within them, padded so that text
order is the order of arrival.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Self

#: Entries of a transcript that are read together: some 300 bytes each; DynamoDB answers with a megabyte at most.
PAGE: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of the full transcript, whichever kind of row holds it."""

    key: str
    role: str
    content: str
    arrived: str
    state: str | None = None
    #: Said while a person was in danger.
    serious: bool = False

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:  # Any: DynamoDB's values
        """Read a row of the messages table as a line of the transcript."""
        return cls(
            key=str(row["message_key"]),
            role=str(row.get("role", "user")),
            content=str(row.get("content", "")),
            arrived=str(row.get("arrived", "")),
            state=row.get("state"),
            serious=bool(row.get("serious", False)),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A stretch of a transcript, and where the next one begins; `cursor` None: this was the last."""

    entries: tuple[Entry, ...]
    cursor: str | None


def arrived(stream_id: str) -> str:
    """Pad a stream id such as `1732312345678-7`, so that text order is the order of arrival."""
    milliseconds_, _, sequence = stream_id.partition("-")
    return f"{int(milliseconds_):013d}-{int(sequence or 0):06d}"


def milliseconds(arrived_: str) -> int:
    """Return when a row's text was accepted, in milliseconds of Redis's clock."""
    return int(arrived_.partition("-")[0])


def accepted_at(arrived_: str) -> datetime:
    """Return when a row's text was accepted, by Redis's clock."""
    return datetime.fromtimestamp(milliseconds(arrived_) / 1000, UTC)
