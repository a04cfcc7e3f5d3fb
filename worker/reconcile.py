"""Sweep for lost doorbells, put back on the road what the journal knows to be unfinished, and ask the carrier what we missed.

All of it only finds work. What is found is put into the inbox and rung for; whether there is anything to do is decided by the visit, with
consistent reads, under its fence. Finding the same twice costs a visit and changes nothing.
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
from inbox.contract import Who
from inbox.errors import InboxAway
from inbox.ports import Inbox, moment
from sms.messages import InboundSms, address_of, user_of
from sms.ports import Ledger, Listed
from worker import evidence
from worker.aftermath import Aftermath, text_of
from worker.visit import LeaseKeeper

#: How many people one sweep rings for.
SWEEP_LIMIT: Final = 200
#: A row unsettled for less than this is somebody's work in hand.
UNSETTLED_AFTER: Final = timedelta(seconds=60)
#: How many rows of one bucket one look takes.
ROWS: Final = 200
#: Rows of a person among which a list's entries may be bound already.
RECENT_ROWS: Final = 200
#: And among which they are looked for once more, where they were not there: three hundred turns since the last look.
MANY_ROWS: Final = 1000
#: The carrier's list lags by minutes: each look goes this far behind the last.
OVERLAP: Final = timedelta(minutes=15)
#: A text younger than this is most likely still on its way through the webhook.
GRACE: Final = timedelta(seconds=10)
#: A message whose price is not on the list after this is not waited for any longer.
PRICE_PATIENCE: Final = timedelta(hours=24)
#: So many messages that need no second look are remembered, so that the overlap of two looks costs no reads.
REMEMBERED: Final = 20_000
#: What the two looks at the carrier's list are noted under.
RECEIVED: Final = "watermark"
CHARGED: Final = "watermark charged"
#: A text that is found later than this after it was sent means that webhooks are being lost.
LATE: Final = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Sweep:
    """What a sweep did."""

    rung: int
    #: Redis was emptied since the last look: what was in the inboxes has to be found again.
    emptied: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What one reconciliation found."""

    #: Turns and parts that were put back on the road.
    unfinished: int = 0
    #: Parts of unknown outcome that the carrier's list settled.
    settled: int = 0
    #: Parts of unknown outcome that are held from now on.
    held: int = 0
    #: Texts whose webhook never came.
    missed: int = 0
    #: Of these, texts that were sent more than a minute before they were found.
    late: int = 0
    #: Messages whose fate the list knew before any callback told it.
    reported: int = 0
    #: Messages whose segments and price were noted.
    charged: int = 0


@dataclass(frozen=True, slots=True)
class Step:
    """How far a reconciliation has come; `total` may grow while it goes on."""

    what: str
    done: int
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """The settings that shape a reconciliation."""

    #: How long Twilio may hold a message; a part whose outcome is unknown for longer is held.
    validity: timedelta
    #: Our own numbers, whose texts are looked for.
    numbers: Sequence[str]
    who: Callable[[str], Who]
    unsettled_after: timedelta = UNSETTLED_AFTER
    #: One person has a conversation with each of our numbers.
    per_number: bool = False
    #: Asks the carrier to forget the words of a message whose fate is sealed; None: it keeps them.
    redact: Callable[[str], bool] | None = None


class Reconciler:
    """Looks for what was lost. `noted` is told the kind of each repair and what it was done to."""

    def __init__(
        self,
        inbox: Inbox,
        journal_: Journal,
        ledger: Ledger,
        aftermath: Aftermath,
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
        """Ring for everybody who is due and served by nobody."""
        due, emptied = self._inbox.due(limit=SWEEP_LIMIT)
        for who in due:
            self._inbox.ring(who)
        return Sweep(rung=len(due), emptied=emptied)

    def reconcile_alone(self, leases: LeaseKeeper) -> Report | None:
        """Reconcile, unless another worker is at it: then None.

        After an outage a queue may hold dozens of these, each as long as the carrier's list; together they would take every thread.
        """
        duty = self._inbox.take_duty("reconcile")
        if duty is None:
            return None
        with leases.kept(duty):
            try:
                return self.reconcile()
            finally:
                with suppress(InboxAway):  # then it ends by itself
                    self._inbox.leave_duty(duty)

    def reconcile(self, *, since: timedelta | None = None, progress: Callable[[Step], None] = lambda _: None) -> Report:
        """Find what is unfinished in the journal, and what the carrier knows and we do not.

        `since`: look for missed texts this far back, instead of from where the last look ended. `progress` is told of every step.
        Raises `CarrierAway` when the list cannot be read; what the journal alone could tell is done by then.
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
            settled += self._weigh(person, parts)
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
        """Put a text whose turn is unfinished back into its person's inbox, unless it waits there anyway. Whoever opens it marks it."""
        turn = self._journal.get_turn(row.user_id, row.key.split("#")[1])
        if turn is None or turn.sid.startswith("unreadable-"):
            return 0
        if not self._inbox.accept(text_of(turn)):
            return 0
        self._noted("unfinished", row.key)
        return 1

    def _user(self, person: str, number: str) -> str:
        return user_of(person, number, per_number=self._terms.per_number)

    def _now(self) -> datetime:
        return moment(self._inbox.now_ms())

    # The carrier's list

    def _weigh(self, person: str, doubtful: Sequence[Part]) -> int:
        """Settle a person's parts of unknown outcome by what the list shows.

        The time is asked again for each person: a look at many takes minutes, and an entry's age counts from when its list was read.
        """
        recent = self._journal.newest_parts(person, limit=RECENT_ROWS)
        parts = [*recent, *(part for part in doubtful if part.key not in {other.key for other in recent})]
        listing = self._ledger.sent_to(address_of(person), for_the_last=evidence.window(doubtful, now=self._now()))
        now = self._now()
        found = evidence.match(listing, parts, now=now)
        for one in found:
            binding = Binding(
                state=PartState.SENT, sid=one.entry.sid, status=one.entry.status, error_code=one.entry.error_code,
                segments=one.entry.segments, evidence="list",
            )  # fmt: skip
            self._aftermath.consider(self._journal.bind(one.part, binding, now=now))
            self._noted("settled", one.part.key)
        if found:
            self._inbox.ring(self._terms.who(person))
        return len(found)

    def _hold(self, part: Part, now: datetime) -> int:
        """Hold a part that stayed unknown until Twilio can no longer send it, unless evidence came meanwhile."""
        if now - moment(part.unknown_since) <= self._terms.validity:
            return 0
        bound = self._journal.bind(part, Binding(state=PartState.HELD, reason="no evidence in time"), now=now)
        if bound.state is not PartState.HELD:
            return 0
        self._noted("held", part.key)
        return 1

    def _missed(self, since: timedelta | None, passed: Callable[[str], None]) -> tuple[int, int]:
        """Accept every text to our numbers that the list shows and the journal does not know."""
        if not self._terms.numbers:
            return 0, 0
        mark = self._journal.watermark(RECEIVED)
        if mark is None and since is None:
            # the very first look: what came before we were there is not ours to answer
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
                # known to the journal, or waiting in the inbox: then its webhook came
                if entry.sid not in known and age > GRACE and self._inbox.accept(_text_from(entry, age)):
                    missed += 1
                    late += age > LATE
                    self._noted("missed late" if age > LATE else "missed", entry.sid)
            passed("texts that we may have missed")
        self._journal.set_watermark(RECEIVED, min(read_at))
        return missed, late

    # The carrier's statement: what it charged, and fates of which no callback told

    def _statement(self, now: datetime, passed: Callable[[str], None]) -> tuple[int, int]:
        """Note segments, price and, where no callback came, the fate of everything that we sent since the last look."""
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
            # a price comes later than its message: the next look begins where the first one is missing
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
                continue  # an older program's, or one in doubt, which evidence settles
            if _rank(entry.status) > _rank(part.status):
                said = Reported(
                    attempt_id=part.attempt_id, sid=entry.sid, status=entry.status, error_code=entry.error_code,
                    evidence="list",
                )  # fmt: skip
                part = self._journal.report(person, part.key, said, now=now) or part
                reported += 1
                self._aftermath.consider(part)
            # whoever noted the failure may have died before he wrote the second try down
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
        """Have the carrier forget the words of a reply whose fate is sealed, and of the texts that it answers.

        Raises `CarrierAway`; a later look goes on.
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
        # last: as long as its words are there, a later look does it once more
        redact(entry.sid)

    def _mine(self, person: str, entries: Sequence[Listed]) -> dict[str, Part]:
        """The person's parts by their sids; further back for somebody who wrote a lot since the last look."""
        wanted = {entry.sid for entry in entries}
        found: dict[str, Part] = {}
        for limit in (RECENT_ROWS, MANY_ROWS):
            found = {part.sid: part for part in self._journal.newest_parts(person, limit=limit) if part.sid}
            if wanted <= found.keys():
                break
        return found

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
    """Whether a price is still to come: what failed or was called off has none."""
    return entry.price is None and entry.status not in {"failed", "canceled"}


def _rank(status: str | None) -> int:
    return journal.STATUS_RANK.get(status or "", 0)
