"""Find lost wake-up tasks, unfinished work, and messages that only the carrier knows of.

The reconciler puts unfinished work back into the inbox and enqueues a wake-up task. The visit then decides, with
consistent reads and under its fence, whether there is anything to do. Finding the same work twice costs a visit and
changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from inbox.errors import InboxAway
from inbox.payloads import Who
from inbox.ports import Inbox
from journal import model
from journal.ports import Journal
from journal.states import PartState
from runtime.isolation import isolated
from sms.ports import MessageList
from worker import delivery_failures, retry_policy, set_aside, telemetry
from worker.lease import LeaseKeeper
from worker.put_back import put_back
from worker.reconcile import absence, findings, sent_messages
from worker.reconcile.doubts import Doubtful, Doubts
from worker.reconcile.missed_texts import MissedTexts

#: For how many people a sweep enqueues wake-up tasks at a time: a longer list would hold Redis up.
SWEEP_LIMIT: Final = 200
#: A sweep goes on as long as the queue is shorter. Many workers take so many tasks until the next sweep, and a person
#: who is woken twice, because the first task still waits, costs a visit.
QUEUE_FULL: Final = 5000
#: How many rows of a bucket are read at a time.
ROWS: Final = 200
#: Items of these kinds are all tried by each reconciliation: one that did not fail again is mended.
LOOKED_AT: Final = frozenset({"row", "person"})
#: Items of these kinds are tried again within seconds or with the next task: one that failed this long ago is mended.
TRIED_OFTEN: Final = frozenset({"report", "memory", "step", "text"})
MENDED_AFTER: Final = 2 * retry_policy.SET_ASIDE_PAUSE


@dataclass(frozen=True, slots=True)
class Sweep:
    """The result of a sweep."""

    rung: int
    #: Redis was emptied since the last sweep: the journal must be searched for what the inboxes held.
    emptied: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """The settings that shape a reconciliation."""

    #: How long Twilio may hold a message; a part whose outcome is unknown for longer is held.
    validity: timedelta
    #: Our own numbers, such as `+15005550006`; the list is searched for texts to them.
    numbers: Sequence[str]
    who: Callable[[str], Who]
    #: A row unsettled for less than this belongs to a visit in progress.
    unsettled_after: timedelta
    #: The buckets of the unsettled index that are read.
    buckets: Sequence[str] = model.ALL_BUCKETS
    #: Each of our numbers has its own conversation with a person.
    per_number: bool = False
    #: After which time rows are deleted; None: they stay.
    kept: timedelta | None = None
    #: When absence from the carrier's list counts; None: never.
    resend: absence.Terms | None = None
    #: Asks the carrier to delete the words of a message with a final status; None: the carrier keeps them.
    redact: Callable[[str], bool] | None = None


class Reconciler:
    """Find lost work."""

    def __init__(
        self,
        inbox: Inbox,
        journal_: Journal,
        message_list: MessageList,
        failures: delivery_failures.DeliveryFailures,
        terms: Terms,
        *,
        telemetry: telemetry.Telemetry = telemetry.SILENT,
    ) -> None:
        self._inbox = inbox
        self._journal = journal_
        self._terms = terms
        self._telemetry = telemetry
        #: What becomes of an item that cannot be handled.
        self.set_aside = set_aside.listing(journal_, telemetry, inbox.clock.now)
        self._doubts = Doubts(
            inbox, journal_, message_list, failures, terms.resend, numbers=terms.numbers, validity=terms.validity,
            who=terms.who, telemetry=telemetry, set_aside=self.set_aside,
        )  # fmt: skip
        self._sent_messages = sent_messages.SentMessages(
            journal_, message_list, failures, numbers=terms.numbers, per_number=terms.per_number,
            validity=terms.validity, redact=terms.redact, set_aside=self.set_aside,
        )  # fmt: skip
        self._missed = MissedTexts(
            inbox, journal_, message_list, self._sent_messages, numbers=terms.numbers, per_number=terms.per_number,
            kept=terms.kept, telemetry=telemetry, set_aside=self.set_aside,
        )  # fmt: skip

    def sweep(self) -> Sweep:
        """Enqueue a wake-up task for each person who is due and not being served, until the queue is full.

        Those who have waited longest come first. However full the queue is, some are woken: their tasks may be lost.
        """
        agenda, rung, emptied = self._inbox.agenda, 0, False
        for _ in range(QUEUE_FULL // SWEEP_LIMIT):
            due, is_new = agenda.due(limit=SWEEP_LIMIT)
            agenda.wake(*due)
            rung, emptied = rung + len(due), emptied or is_new
            if len(due) < SWEEP_LIMIT or agenda.queued() >= QUEUE_FULL:
                break
        return Sweep(rung=rung, emptied=emptied)

    def reconcile_alone(self, leases: LeaseKeeper) -> findings.Report | None:
        """Reconcile; return None if another worker is reconciling.

        After an outage a queue may hold dozens of these tasks. Each takes as long as reading the carrier's list, and
        together they would occupy every thread.
        """
        duty = self._inbox.leases.take_duty("reconcile")
        if duty is None:
            return None
        with leases.kept(duty):
            try:
                return self.reconcile()
            finally:
                with suppress(InboxAway):  # then the duty expires by itself
                    self._inbox.leases.leave_duty(duty)

    def reconcile(
        self, *, since: timedelta | None = None, progress: Callable[[findings.Step], None] = lambda _: None
    ) -> findings.Report:
        """Find unfinished rows in the journal, and messages that only the carrier knows of.

        `since`: look at least this far back for missed texts, and always from the end of the last look.
        `progress` receives every step.
        Raises `CarrierAway` if the list cannot be read; the journal's unfinished rows are handled by then.
        """
        now = self._now()
        done, total = 0, len(self._terms.buckets) + 2 * len(self._terms.numbers)

        def passed(what: str) -> None:
            nonlocal done
            done += 1
            progress(findings.Step(what, done, total))

        report = findings.Report()
        doubtful = self._read_journal(report, now, passed)
        total += len(doubtful)
        self._doubts.read(doubtful, report, now, passed)
        self._journal.set_aside.remove_mended(LOOKED_AT, before=now)
        self._journal.set_aside.remove_mended(TRIED_OFTEN, before=now - MENDED_AFTER)
        self._missed.retry(now)
        self._missed.read(report, since, passed)
        self._sent_messages.read(report, now, passed)
        return report

    def _read_journal(self, report: findings.Report, now: datetime, passed: Callable[[str], None]) -> Doubtful:
        """Put unfinished work back, and return each person's parts of unknown outcome."""
        doubtful: Doubtful = {}
        for bucket in self._terms.buckets:
            for row in self._unsettled(bucket, now):
                with isolated("row", row.key, self.set_aside):
                    part = self._part(row)
                    if part is not None and part.state is PartState.UNKNOWN:
                        doubtful.setdefault(row.user_id, []).append(part)
                    else:
                        report.unfinished += self._restore(row)
            passed("the journal")
        return doubtful

    def _unsettled(self, bucket: str, now: datetime) -> Iterator[model.RowName]:
        return self._journal.unsettled.rows(bucket, before=now - self._terms.unsettled_after, limit=ROWS)

    def _part(self, row: model.RowName) -> model.ReplyPart | None:
        return row.among(self._journal.outbox.parts(row.user_id, row.sid)) if row.is_part else None

    def _restore(self, row: model.RowName) -> int:
        """Put the text of an unfinished turn back into the inbox, unless it already waits there.

        The visit that opens the turn marks it as restored.
        """
        turn = self._journal.turns.get(row.user_id, row.sid)
        if turn is None and row.is_part:
            self._journal.unsettled.drop_orphan(row)
        if not put_back(self._inbox.texts, turn):
            return 0
        self._telemetry.emit(telemetry.repaired("unfinished", row.key))
        return 1

    def _now(self) -> datetime:
        return self._inbox.clock.now()
