"""Whether the marks of killed workers are believed, which prove that a reply was never sent."""

from __future__ import annotations

from datetime import datetime

from journal.store import Journal
from worker.send_marks.proofs import DISTRUSTED


def distrusted_since(journal: Journal) -> datetime | None:
    """Return since when marks are not believed; None: they are. Raises `StoreAway`."""
    return journal.unsettled.watermark(DISTRUSTED)


def trust(journal: Journal) -> None:
    """Believe marks again, after the contradiction was understood. A second call changes nothing."""
    journal.unsettled.forget_watermark(DISTRUSTED)
