"""How far the carrier's lists were read: a watermark for each of our numbers.

A process that knows fewer numbers moves no watermark of the others. The watermark without a number is that of an
earlier release, which still reads and writes it. It counts for a number that has none of its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from journal.ports import Journal


@dataclass(frozen=True, slots=True)
class Watermarks:
    """The watermarks of one list."""

    journal: Journal
    #: The name in the journal of the watermark without a number.
    name: str

    def of(self, number: str) -> datetime | None:
        """Return up to when this number's list was read; None before its first look."""
        marks = self.journal.unsettled
        return marks.watermark(self._key(number)) or marks.watermark(self.name)

    def move(self, read_to: Iterable[tuple[str, datetime]]) -> None:
        """Record up to when the list of each of these numbers was read."""
        moments = []
        for number, moment in read_to:
            self.journal.unsettled.set_watermark(self._key(number), moment)
            moments.append(moment)
        self.journal.unsettled.set_watermark(self.name, min(moments))

    def _key(self, number: str) -> str:
        return f"{self.name} {number}"
