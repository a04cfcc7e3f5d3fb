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

from conversation import journal
from conversation.journal import Part, PartState
from conversation.ports import Binding, Charge, Journal, Reported, Unsettled
from inbox.errors import InboxAway
from inbox.payloads import Who
from inbox.ports import Inbox
from inbox.times import moment
from sms.messages import InboundSms, address_of, user_of
from sms.ports import Ledger, Listed
from worker import evidence
from worker.delivery_failures import DeliveryFailures, text_of
from worker.visit import LeaseKeeper

#: For how many people one sweep enqueues a wake-up task.
SWEEP_LIMIT: Final = 200
#: A row unsettled for less than this belongs to a visit in progress.
UNSETTLED_AFTER: Final = timedelta(seconds=60)
#: How many rows of a bucket are read at a time.
ROWS: Final = 200
#: A person's newest rows, among which a listed entry's part is looked for first.
RECENT_ROWS: Final = 200
#: The second search, if the first does not find them all: three hundred turns since the last look.
MANY_ROWS: Final = 1000
#: The carrier's list lags by minutes, so each look starts this much before the end of the last.
OVERLAP: Final = timedelta(minutes=15)
#: A younger text is most likely still on its way through the webhook.
GRACE: Final = timedelta(seconds=10)
#: After this time the reconciler no longer waits for a message's price.
PRICE_PATIENCE: Final = timedelta(hours=24)
#: How many messages that need no second look are remembered, so that the overlap of two looks costs no reads.
REMEMBERED: Final = 20_000
#: The names under which the journal stores how far each of the two lists was read.
RECEIVED: Final = "watermark"
CHARGED: Final = "watermark charged"
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
    unsettled_after: timedelta = UNSETTLED_AFTER
    #: Each of our numbers has its own conversation with a person.
    per_number: bool = False
    #: Asks the carrier to delete the words of a message with a final status; None: the carrier keeps them.
    redact: Callable[[str], bool] | None = None


class Reconciler:
    """Find lost work. `noted` receives the kind of each repair and the key of the repaired row."""

    def __init__(
        self,
        inbox: Inbox,
        journal_: Journal,
        ledger: Ledger,
        aftermath: DeliveryFailures,
        terms: Terms,
        *,
        noted: Callable[[str, str], None] = lambda *_: None,
    ) -> None:
        self._inbox = inbox
        self._journal = journal_
        self._ledger = ledger
        self._aftermath = aftermath
        self._terms = terms
        self._noted = noted
        self._remembered: dict[str, None] = {}

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
        done, total = 0, journal.BUCKETS + 2 * len(self._terms.numbers)

        def passed(what: str) -> None:
            nonlocal done
            done += 1
            progress(Step(what, done, total))

        unfinished = 0
        doubtful: dict[str, list[Part]] = {}
        for bucket in range(journal.BUCKETS):
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
        reported, charged = self._statement(now, passed)
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

    def _unsettled(self, bucket: int, now: datetime) -> Iterator[Unsettled]:
        return self._journal.unsettled(f"{bucket:02d}", before=now - self._terms.unsettled_after, limit=ROWS)

    def _part(self, row: Unsettled) -> Part | None:
        kind, sid, *_ = row.key.split("#")
        if kind != "out":
            return None
        return next((part for part in self._journal.parts(row.user_id, sid) if part.key == row.key), None)

    def _restore(self, row: Unsettled) -> int:
        """Put the text of an unfinished turn back into the inbox, unless it already waits there.

        The visit that opens the turn marks it as restored.
        """
        turn = self._journal.get_turn(row.user_id, row.key.split("#")[1])
        if turn is None or turn.sid.startswith("unreadable-"):
            return 0
        if not self._inbox.texts.accept(text_of(turn)):
            return 0
        self._noted("unfinished", row.key)
        return 1

    def _user(self, person: str, number: str) -> str:
        return user_of(person, number, per_number=self._terms.per_number)

    def _now(self) -> datetime:
        return self._inbox.clock.now()

    # The carrier's list

    def _settle_unknown(self, person: str, doubtful: Sequence[Part]) -> int:
        """Settle a person's parts of unknown outcome by the entries of the carrier's list.

        The clock is read anew for each person: many people take minutes, and an entry's age counts from the moment at
        which its list was read.
        """
        recent = self._journal.newest_parts(person, limit=RECENT_ROWS)
        parts = [*recent, *(part for part in doubtful if part.key not in {other.key for other in recent})]
        listing = self._ledger.sent_to(address_of(person), for_the_last=evidence.window(doubtful, now=self._now()))
        now = self._now()
        matches = evidence.match(listing, parts, now=now)
        for match in matches:
            binding = Binding(
                state=PartState.SENT, sid=match.entry.sid, status=match.entry.status, error_code=match.entry.error_code,
                segments=match.entry.segments, evidence="list",
            )  # fmt: skip
            self._aftermath.consider(self._journal.bind(match.part, binding, now=now))
            self._noted("settled", match.part.key)
        if matches:
            self._inbox.agenda.wake(self._terms.who(person))
        return len(matches)

    def _hold(self, part: Part, now: datetime) -> int:
        """Hold a part that stayed unknown until Twilio can no longer send it, if no evidence came meanwhile."""
        if now - moment(part.unknown_since) <= self._terms.validity:
            return 0
        bound = self._journal.bind(part, Binding(state=PartState.HELD, reason="no evidence in time"), now=now)
        if bound.state is not PartState.HELD:
            return 0
        self._noted("held", part.key)
        return 1

    def _missed(self, since: timedelta | None, passed: Callable[[str], None]) -> tuple[int, int]:
        """Accept every listed text to our numbers that the journal does not know."""
        if not self._terms.numbers:
            return 0, 0
        mark = self._journal.watermark(RECEIVED)
        if mark is None and since is None:
            # the first look ever: texts from before this installation are not answered
            self._journal.set_watermark(RECEIVED, self._ledger.received_by(self._terms.numbers[0], since=None).read_at)
            return 0, 0
        if since is not None:
            mark = self._ledger.received_by(self._terms.numbers[0], since=None).read_at - since + OVERLAP
        assert mark is not None
        missed = late = 0
        read_at: list[datetime] = []
        for number in self._terms.numbers:
            listing = self._ledger.received_by(number, since=mark - OVERLAP)
            read_at.append(listing.read_at)
            texts = [entry for entry in reversed(listing.messages) if entry.inbound]
            known = self._journal.known([(self._user(entry.sender, entry.to), entry.sid) for entry in texts])
            for entry in texts:
                age = listing.read_at - entry.created
                # a text that the journal knows or that waits in the inbox had its webhook
                if entry.sid not in known and age > GRACE and self._inbox.texts.accept(_text_from(entry, age)):
                    missed += 1
                    late += age > LATE
                    self._noted("missed late" if age > LATE else "missed", entry.sid)
            passed("texts that we may have missed")
        self._journal.set_watermark(RECEIVED, min(read_at))
        return missed, late

    # The carrier's statement: charges, and final statuses that no callback reported

    def _statement(self, now: datetime, passed: Callable[[str], None]) -> tuple[int, int]:
        """Record segments and price of all sent messages since the last look.

        Record the status too, if no callback reported it.
        """
        if not self._terms.numbers:
            return 0, 0
        mark = self._journal.watermark(CHARGED)
        if mark is None:
            self._journal.set_watermark(CHARGED, self._ledger.received_by(self._terms.numbers[0], since=None).read_at)
            return 0, 0
        reported = charged = 0
        looked_to: list[datetime] = []
        for number in self._terms.numbers:
            listing = self._ledger.sent_from(number, since=mark - OVERLAP)
            people: dict[str, list[Listed]] = {}
            for entry in listing.messages:
                if not entry.inbound and entry.sid not in self._remembered:
                    people.setdefault(self._user(entry.to, entry.sender), []).append(entry)
            for person, entries in people.items():
                more = self._note_entries(person, entries, now)
                reported, charged = reported + more[0], charged + more[1]
            # a price comes later than its message: the next look begins at the first message without one
            pending = [
                entry.created
                for entry in listing.messages
                if _is_open(entry) and listing.read_at - entry.created < PRICE_PATIENCE
            ]
            looked_to.append(min([listing.read_at, *pending]))
            passed("segments and prices")
        self._journal.set_watermark(CHARGED, min(looked_to))
        return reported, charged

    def _note_entries(self, person: str, entries: Sequence[Listed], now: datetime) -> tuple[int, int]:
        reported = charged = 0
        mine = self._mine(person, entries)
        for entry in entries:
            part = mine.get(entry.sid)
            if part is None or part.attempt_id is None:
                continue  # sent by an older program, or in doubt: evidence settles the latter
            if _rank(entry.status) > _rank(part.status):
                reported_status = Reported(
                    attempt_id=part.attempt_id, sid=entry.sid, status=entry.status, error_code=entry.error_code,
                    evidence="list",
                )  # fmt: skip
                part = self._journal.report(person, part.key, reported_status, now=now) or part
                reported += 1
                self._aftermath.consider(part)
            # the worker that recorded the failure may have died before it wrote the second try
            self._aftermath.try_again(part)
            if entry.price is not None and part.price is None:
                charge = Charge(segments=entry.segments, price=entry.price, unit=entry.price_unit)
                self._journal.charge(part, charge)
                charged += 1
            if not _is_open(entry) and _rank(entry.status) >= _rank("canceled"):
                self._redact(entry, part)
                self._remember(entry.sid)
        return reported, charged

    def _redact(self, entry: Listed, part: Part) -> None:
        """Have the carrier delete the words of a reply with a final status, and of the texts it answers.

        Raises `CarrierAway`; a later look continues.
        """
        redact = self._terms.redact
        if redact is None or not entry.body:
            return
        turn = self._journal.get_turn(part.user_id, part.turn)
        begin = journal.milliseconds(turn.arrived if turn else part.arrived)
        answered = self._journal.talk(
            part.user_id, after_ms=begin - 1, before_ms=journal.milliseconds(part.arrived) + 1, limit=RECENT_ROWS
        )
        for text in answered:
            if text.key.startswith("in#"):
                redact(text.key.removeprefix("in#"))
        # the reply comes last: as long as the carrier has its words, a later look repeats all of this
        redact(entry.sid)

    def _mine(self, person: str, entries: Sequence[Listed]) -> dict[str, Part]:
        """Return the person's parts by sid, searching further back if some of the entries are not found."""
        wanted = {entry.sid for entry in entries}
        parts: dict[str, Part] = {}
        for limit in (RECENT_ROWS, MANY_ROWS):
            parts = {part.sid: part for part in self._journal.newest_parts(person, limit=limit) if part.sid}
            if wanted <= parts.keys():
                break
        return parts

    def _remember(self, sid: str) -> None:
        self._remembered[sid] = None
        while len(self._remembered) > REMEMBERED:
            del self._remembered[next(iter(self._remembered))]


def _text_from(entry: Listed, age: timedelta) -> InboundSms:
    return InboundSms(
        sid=entry.sid,
        sender=entry.sender,
        to=entry.to,
        body=entry.body,
        media=entry.media,
        repaired=True,
        found_after_seconds=int(age.total_seconds()),
    )


def _is_open(entry: Listed) -> bool:
    """Return whether a price is still to come: a failed or canceled message has none."""
    return entry.price is None and entry.status not in {"failed", "canceled"}


def _rank(status: str | None) -> int:
    return journal.STATUS_RANK.get(status or "", 0)
