"""What became of a reply: delivery reports, drained in batches and written onto the parts that they speak of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from conversation import journal
from conversation.journal import PartState
from conversation.ports import Journal, Reported
from inbox import contract
from inbox.ports import Inbox, moment
from sms.messages import DeliveryReport, user_of
from worker.aftermath import Aftermath

#: How many reports one look takes; each costs one write.
BATCH: Final = 100
#: A drain ends after so many looks, so that a flood does not keep a thread for ever; the next report, or the next sweep, begins another.
LOOKS: Final = 50


class Receipts:
    """Drains the reports. `noted` is told what became of each: bound, foreign or unreadable."""

    def __init__(
        self,
        inbox: Inbox,
        journal_: Journal,
        aftermath: Aftermath,
        *,
        who_key: bytes,
        per_number: bool = False,
        noted: Callable[[str, DeliveryReport | None], None],
    ) -> None:
        self._inbox = inbox
        self._journal = journal_
        self._aftermath = aftermath
        self._who_key = who_key
        self._per_number = per_number
        self._noted = noted

    def drain(self) -> None:
        """Write down every waiting report.

        A report is removed after its row is written; a second execution finds a rank that is no higher and changes nothing.
        Raises `StoreAway` and leaves what is not written where it lies.
        """
        self._inbox.drain_begins()
        for _ in range(LOOKS):
            found = self._inbox.receipts(limit=BATCH)
            if not found:
                return
            for receipt in found:
                self._noted(self._write(receipt.report), receipt.report)
                self._inbox.receipts_done([receipt.entry_id])

    def _write(self, report: DeliveryReport | None) -> str:
        if report is None:
            return "unreadable"
        key = journal.part_of_attempt(report.attempt_id)
        if key is None:
            return "foreign"
        said = Reported(
            attempt_id=report.attempt_id, sid=report.sid, status=report.status, error_code=report.error_code
        )
        person = user_of(report.to, report.sender, per_number=self._per_number)
        part = self._journal.report(person, key, said, now=moment(self._inbox.now_ms()))
        if part is None:
            return "foreign"
        self._aftermath.consider(part)
        if part.unknown_since and part.state is PartState.SENT:
            # evidence ended a wait: what stands behind this part need not wait for the end of patience
            self._inbox.ring(contract.who(person, self._who_key))
        return "bound"
