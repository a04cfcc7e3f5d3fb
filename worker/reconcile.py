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
from inbox.times import moment
from journal import model
from journal.ports import Journal
from journal.states import PartState
from runtime.isolation import isolated
from sms.addresses import address_of
from sms.ports import MessageList
from worker import absence, delivery_failures, evidence, retry_policy, set_aside, statement, telemetry
from worker.lease import LeaseKeeper
from worker.missed import MissedTexts
from worker.resend import Resends

#: For how many people one sweep enqueues a wake-up task.
SWEEP_LIMIT: Final = 200
#: How many rows of a bucket are read at a time.
ROWS: Final = 200
#: Items of these kinds are all tried by each reconciliation: one that did not fail again is mended.
LOOKED_AT: Final = frozenset({"row", "person"})
#: Items of these kinds are tried again within seconds or with the next task: one that failed this long ago is mended.
TRIED_OFTEN: Final = frozenset({"report", "memory", "step", "text"})
MENDED_AFTER: Final = 2 * retry_policy.SET_ASIDE_PAUSE

_Doubtful = dict[str, list[model.ReplyPart]]


@dataclass(frozen=True, slots=True)
class Sweep:
    """The result of a sweep."""

    rung: int
    #: Redis was emptied since the last sweep: the journal must be searched for what the inboxes held.
    emptied: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The findings of one reconciliation, as counts."""

    #: Turns and parts whose text was put back into the inbox.
    unfinished: int = 0
    #: Parts of unknown outcome that the carrier's list settled.
    settled: int = 0
    #: Parts of unknown outcome that are sent again, because the carrier's list did not show them.
    resent: int = 0
    #: Parts of unknown outcome that are held from now on: only a person may send them again.
    held: int = 0
    #: Texts whose webhook never arrived.
    missed: int = 0
    #: Those of the missed texts that were found more than a minute after they were sent.
    late: int = 0
    #: Messages whose final status the list showed before any callback reported it.
    reported: int = 0
    #: Messages whose segments and price were recorded.
    charged: int = 0


@dataclass(frozen=True, slots=True)
class Step:
    """The progress of a reconciliation; `total` may grow while it runs."""

    what: str
    done: int
    total: int


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
        aftermath: delivery_failures.DeliveryFailures,
        terms: Terms,
        *,
        telemetry: telemetry.Telemetry = telemetry.SILENT,
    ) -> None:
        self._inbox = inbox
        self._journal = journal_
        self._message_list = message_list
        self._aftermath = aftermath
        self._terms = terms
        self._telemetry = telemetry
        #: What becomes of an item that cannot be handled.
        self.set_aside = set_aside.listing(journal_, telemetry, inbox.clock.now)
        self._resends: Resends | None = None
        if terms.resend is not None:
            self._resends = Resends(
                inbox, journal_, message_list, terms.resend, numbers=terms.numbers, telemetry=telemetry
            )
        self._statement = statement.Statement(
            journal_, message_list, aftermath, numbers=terms.numbers, per_number=terms.per_number,
            redact=terms.redact, set_aside=self.set_aside,
        )  # fmt: skip
        self._missed = MissedTexts(
            inbox, journal_, message_list, self._statement, numbers=terms.numbers, per_number=terms.per_number,
            telemetry=telemetry, set_aside=self.set_aside,
        )  # fmt: skip

    def sweep(self) -> Sweep:
        """Enqueue a wake-up task for each person who is due and not being served."""
        due, emptied = self._inbox.agenda.due(limit=SWEEP_LIMIT)
        for who in due:
            self._inbox.agenda.wake(who)
        return Sweep(rung=len(due), emptied=emptied)

    def reconcile_alone(self, leases: LeaseKeeper) -> Report | None:
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

    def reconcile(self, *, since: timedelta | None = None, progress: Callable[[Step], None] = lambda _: None) -> Report:
        """Find unfinished rows in the journal, and messages that only the carrier knows of.

        `since`: look this far back for missed texts, instead of from the end of the last look.
        `progress` receives every step.
        Raises `CarrierAway` if the list cannot be read; the journal's unfinished rows are handled by then.
        """
        now = self._now()
        done, total = 0, len(self._terms.buckets) + 2 * len(self._terms.numbers)

        def passed(what: str) -> None:
            nonlocal done
            done += 1
            progress(Step(what, done, total))

        unfinished, doubtful = self._read_journal(now, passed)
        total += len(doubtful)
        settled, resent, held = self._read_evidence(doubtful, now, passed)
        self._journal.aside.remove_mended(LOOKED_AT, before=now)
        self._journal.aside.remove_mended(TRIED_OFTEN, before=now - MENDED_AFTER)
        self._missed.retry(now)
        missed, late = self._missed.read(since, passed)
        reported, charged = self._statement.read(now, passed)
        return Report(
            unfinished=unfinished,
            settled=settled,
            resent=resent,
            held=held,
            missed=missed,
            late=late,
            reported=reported,
            charged=charged,
        )

    # The journal

    def _read_journal(self, now: datetime, passed: Callable[[str], None]) -> tuple[int, _Doubtful]:
        """Put unfinished work back; return how much, and each person's parts of unknown outcome."""
        unfinished = 0
        doubtful: _Doubtful = {}
        for bucket in self._terms.buckets:
            for row in self._unsettled(bucket, now):
                with isolated("row", row.key, self.set_aside):
                    part = self._part(row)
                    if part is not None and part.state is PartState.UNKNOWN:
                        doubtful.setdefault(row.user_id, []).append(part)
                    else:
                        unfinished += self._restore(row)
            passed("the journal")
        return unfinished, doubtful

    def _unsettled(self, bucket: str, now: datetime) -> Iterator[model.RowName]:
        return self._journal.unsettled.rows(bucket, before=now - self._terms.unsettled_after, limit=ROWS)

    def _part(self, row: model.RowName) -> model.ReplyPart | None:
        if not row.is_part:
            return None
        return next((part for part in self._journal.outbox.parts(row.user_id, row.sid) if part.key == row.key), None)

    def _restore(self, row: model.RowName) -> int:
        """Put the text of an unfinished turn back into the inbox, unless it already waits there.

        The visit that opens the turn marks it as restored.
        """
        turn = self._journal.turns.get(row.user_id, row.sid)
        if turn is None or turn.is_unreadable:
            return 0
        if not self._inbox.texts.accept(delivery_failures.text_of(turn)):
            return 0
        self._telemetry.emit(telemetry.repaired("unfinished", row.key))
        return 1

    def _now(self) -> datetime:
        return self._inbox.clock.now()

    # The carrier's list

    def _read_evidence(self, doubtful: _Doubtful, now: datetime, passed: Callable[[str], None]) -> tuple[int, int, int]:
        """Settle parts of unknown outcome, have them sent again, or hold them; return how many of each."""
        settled = resent = held = 0
        if self._resends is not None:
            self._resends.begin()
        for person, parts in sorted(doubtful.items()):
            with isolated("person", self._terms.who(person), self.set_aside):
                more = self._settle_unknown(person, parts)
                settled, resent = settled + more[0], resent + more[1]
            passed("replies in doubt")
        for part in (part for parts in doubtful.values() for part in parts):
            with isolated("row", part.key, self.set_aside):
                held += self._hold(part, now)
        return settled, resent, held

    def _settle_unknown(self, person: str, doubtful: Sequence[model.ReplyPart]) -> tuple[int, int]:
        """Settle a person's parts of unknown outcome by the carrier's list, or have them sent again.

        The clock is read anew for each person: many people take minutes, and an entry's age counts from the moment at
        which its list was read.
        """
        recent = self._journal.outbox.newest_parts(person, limit=statement.RECENT_ROWS)
        parts = [*recent, *(part for part in doubtful if part.key not in {other.key for other in recent})]
        listing = self._message_list.sent_to(
            address_of(person), for_the_last=evidence.window(doubtful, now=self._now())
        )
        now = self._now()
        matches = evidence.match(listing, parts, now=now)
        for match in matches:
            binding = model.Binding(
                state=PartState.SENT, sid=match.entry.sid, status=match.entry.status, error_code=match.entry.error_code,
                segments=match.entry.segments, evidence="list",
            )  # fmt: skip
            self._aftermath.consider(self._journal.outbox.bind(match.part, binding, now=now))
            self._telemetry.emit(telemetry.repaired("settled", match.part.key))
        if matches:
            self._inbox.agenda.wake(self._terms.who(person))
        if self._resends is None:
            return len(matches), 0
        settled = {match.part.key for match in matches}
        left = [part for part in doubtful if part.key not in settled]
        return len(matches), self._resends.consider(left, parts, listing, now=now)

    def _hold(self, part: model.ReplyPart, now: datetime) -> int:
        """Hold a part that stayed unknown until Twilio can no longer send it, if no evidence came meanwhile."""
        if now - moment(part.unknown_since) <= self._terms.validity:
            return 0
        if self._resends is not None and self._resends.may_come(part, now):
            return 0
        bound = self._journal.outbox.bind(
            part, model.Binding(state=PartState.HELD, reason="no evidence in time"), now=now
        )
        if bound.state is not PartState.HELD:
            return 0
        self._telemetry.emit(telemetry.repaired("held", part.key))
        return 1
