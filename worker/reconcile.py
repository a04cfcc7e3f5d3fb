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
from sms import messages
from sms.ports import Listed, MessageList
from worker import evidence, telemetry
from worker.delivery_failures import DeliveryFailures, text_of
from worker.lease import LeaseKeeper
from worker.statement import OVERLAP, RECENT_ROWS, Statement

#: For how many people one sweep enqueues a wake-up task.
SWEEP_LIMIT: Final = 200
#: How many rows of a bucket are read at a time.
ROWS: Final = 200
#: A younger text is most likely still on its way through the webhook.
GRACE: Final = timedelta(seconds=10)
#: The name under which the journal stores how far the list of received texts was read.
RECEIVED: Final = "watermark"
#: A text found this long after it was sent means that webhooks are being lost.
LATE: Final = timedelta(seconds=60)


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
    #: Asks the carrier to delete the words of a message with a final status; None: the carrier keeps them.
    redact: Callable[[str], bool] | None = None


class Reconciler:
    """Find lost work."""

    def __init__(
        self,
        inbox: Inbox,
        journal_: Journal,
        message_list: MessageList,
        aftermath: DeliveryFailures,
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
        self._statement = Statement(
            journal_, message_list, aftermath, numbers=terms.numbers, per_number=terms.per_number, redact=terms.redact
        )

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

        unfinished = 0
        doubtful: dict[str, list[model.ReplyPart]] = {}
        for bucket in self._terms.buckets:
            for row in self._unsettled(bucket, now):
                part = self._part(row)
                if part is not None and part.state is PartState.UNKNOWN:
                    doubtful.setdefault(row.user_id, []).append(part)
                    continue
                unfinished += self._restore(row)
            passed("the journal")
        total += len(doubtful)
        settled = 0
        for person, parts in sorted(doubtful.items()):
            settled += self._settle_unknown(person, parts)
            passed("replies in doubt")
        held = sum(self._hold(part, now) for parts in doubtful.values() for part in parts)
        missed, late = self._missed(since, passed)
        reported, charged = self._statement.read(now, passed)
        return Report(
            unfinished=unfinished,
            settled=settled,
            held=held,
            missed=missed,
            late=late,
            reported=reported,
            charged=charged,
        )

    # The journal

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
        if not self._inbox.texts.accept(text_of(turn)):
            return 0
        self._telemetry.emit(telemetry.repaired("unfinished", row.key))
        return 1

    def _user(self, person: str, number: str) -> str:
        return messages.user_of(person, number, per_number=self._terms.per_number)

    def _now(self) -> datetime:
        return self._inbox.clock.now()

    # The carrier's list

    def _settle_unknown(self, person: str, doubtful: Sequence[model.ReplyPart]) -> int:
        """Settle a person's parts of unknown outcome by the entries of the carrier's list.

        The clock is read anew for each person: many people take minutes, and an entry's age counts from the moment at
        which its list was read.
        """
        recent = self._journal.outbox.newest_parts(person, limit=RECENT_ROWS)
        parts = [*recent, *(part for part in doubtful if part.key not in {other.key for other in recent})]
        listing = self._message_list.sent_to(
            messages.address_of(person), for_the_last=evidence.window(doubtful, now=self._now())
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
        return len(matches)

    def _hold(self, part: model.ReplyPart, now: datetime) -> int:
        """Hold a part that stayed unknown until Twilio can no longer send it, if no evidence came meanwhile."""
        if now - moment(part.unknown_since) <= self._terms.validity:
            return 0
        bound = self._journal.outbox.bind(
            part, model.Binding(state=PartState.HELD, reason="no evidence in time"), now=now
        )
        if bound.state is not PartState.HELD:
            return 0
        self._telemetry.emit(telemetry.repaired("held", part.key))
        return 1

    def _missed(self, since: timedelta | None, passed: Callable[[str], None]) -> tuple[int, int]:
        """Accept every listed text to our numbers that the journal does not know."""
        if not self._terms.numbers:
            return 0, 0
        mark = self._journal.unsettled.watermark(RECEIVED)
        if mark is None and since is None:
            # the first look ever: texts from before this installation are not answered
            self._journal.unsettled.set_watermark(
                RECEIVED, self._message_list.received_by(self._terms.numbers[0], since=None).read_at
            )
            return 0, 0
        if since is not None:
            mark = self._message_list.received_by(self._terms.numbers[0], since=None).read_at - since + OVERLAP
        assert mark is not None
        missed = late = 0
        read_at: list[datetime] = []
        for number in self._terms.numbers:
            listing = self._message_list.received_by(number, since=mark - OVERLAP)
            read_at.append(listing.read_at)
            texts = [entry for entry in reversed(listing.messages) if _is_text(entry)]
            known = self._journal.unsettled.known([(self._user(entry.sender, entry.to), entry.sid) for entry in texts])
            for entry in texts:
                age = listing.read_at - entry.created
                # a text that the journal knows or that waits in the inbox had its webhook
                if entry.sid not in known and age > GRACE and self._inbox.texts.accept(_text_from(entry, age)):
                    missed += 1
                    late += age > LATE
                    self._telemetry.emit(telemetry.repaired("missed late" if age > LATE else "missed", entry.sid))
            passed("texts that we may have missed")
        self._journal.unsettled.set_watermark(RECEIVED, min(read_at))
        return missed, late


def _is_text(entry: Listed) -> bool:
    """Return whether an entry is a text that a webhook would take as well."""
    return entry.inbound and len(entry.body) <= messages.most_characters(entry.sender)


def _text_from(entry: Listed, age: timedelta) -> messages.InboundSms:
    return messages.InboundSms(
        sid=entry.sid,
        sender=entry.sender,
        to=entry.to,
        body=entry.body,
        media=entry.media,
        repaired=True,
        found_after_seconds=int(age.total_seconds()),
    )
