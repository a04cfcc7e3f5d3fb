"""Drain delivery reports in batches and write each onto the reply part that it concerns."""

from __future__ import annotations

from typing import Final

from inbox import payloads
from inbox.payloads import Who
from inbox.ports import Inbox, Receipt
from journal.model import ReplyPart, Reported, part_of_attempt
from journal.ports import Journal
from journal.states import STATUS_RANK, PartState
from runtime import tracing
from runtime.isolation import isolated
from sms.messages import DeliveryReport
from worker import set_aside, telemetry
from worker.delivery_failures import DELIVERED, DeliveryFailures
from worker.send_marks.proofs import distrust
from worker.user_ids import user_ids_of

#: How many reports one read takes; each costs one write.
BATCH: Final = 100
#: A drain ends after this many reads, so that a flood does not occupy a thread for ever.
#: The next report, or the next sweep, starts another.
LOOKS: Final = 50


class Receipts:
    """Drain the reports."""

    def __init__(
        self,
        inbox: Inbox,
        journal_: Journal,
        failures: DeliveryFailures,
        *,
        who_key: bytes,
        per_number: bool = False,
        telemetry: telemetry.Telemetry = telemetry.SILENT,
    ) -> None:
        self._inbox = inbox
        self._journal = journal_
        self._failures = failures
        self._who_key = who_key
        self._per_number = per_number
        self._telemetry = telemetry
        self._set_aside = set_aside.listing(journal_, telemetry, inbox.clock.now)

    def drain(self) -> None:
        """Write every waiting report to the journal.

        A report is removed after its row is written. A second run finds no higher status rank and changes nothing.
        Raises `StoreAway`; the reports that are not yet written stay in the inbox.
        """
        self._inbox.reports.drain_begins()
        for _ in range(LOOKS):
            receipts = self._inbox.reports.read(limit=BATCH)
            if not receipts:
                return
            for receipt in receipts:
                # one that fails stays in Redis, and a later drain tries it again
                with isolated("report", receipt.entry_id, self._set_aside):
                    self._take(receipt)

    def _take(self, receipt: Receipt) -> None:
        report = receipt.report
        with tracing.span("report", after=[report.trace] if report else []):
            outcome = self._write(report)
            self._telemetry.emit(telemetry.report_written(outcome, report.sid if report else None))
            self._inbox.reports.remove([receipt.entry_id])

    def _write(self, report: DeliveryReport | None) -> str:
        if report is None:
            return "unreadable"
        part = self._bind(report)
        if part is None:
            return "foreign"
        if part.proven_unsent == report.attempt_id:
            distrust(self._journal, report.attempt_id, self._inbox.clock.now(), self._telemetry)
        if part.resent == report.attempt_id != part.attempt_id and report.status in DELIVERED:
            self._telemetry.emit(telemetry.repaired("sent twice", part.key))
        telemetry.count_status(report.status)
        self._failures.consider(part)
        if part.unknown_since and part.state is PartState.SENT:
            # the report ended a wait for evidence, so the parts behind this one may go now
            self._inbox.agenda.wake(payloads.who(part.user_id, self._who_key))
        return "bound" if report.status in STATUS_RANK else "unknown status"

    def _bind(self, report: DeliveryReport) -> ReplyPart | None:
        """Write a report onto its part, and return the part; None if no part made this attempt.

        Our own ids come first: the person's hash leads to the row however Twilio writes the person's address. The
        address is used for messages of an earlier release, and if Redis was emptied.
        """
        key = part_of_attempt(report.attempt_id)
        if key is None:
            return None
        reported = Reported(
            attempt_id=report.attempt_id, sid=report.sid, status=report.status, error_code=report.error_code
        )
        ours = self._inbox.people.user_id(Who(report.who)) if report.who else None
        users = user_ids_of(report.to, report.sender, per_number=self._per_number)
        for person in dict.fromkeys((ours, *users)):
            part = person and self._journal.outbox.report(person, key, reported, now=self._inbox.clock.now())
            if part:
                return part
        return None
