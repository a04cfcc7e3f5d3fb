"""Sweep for lost doorbells, put back on the road what the journal knows to be unfinished, and ask the carrier what we missed.

All of it only finds work. What is found is put into the inbox and rung for; whether there is anything to do is decided by the visit, with
consistent reads, under its fence. Finding the same twice costs a visit and changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from conversation import journal
from conversation.journal import Part, PartState, Turn
from conversation.ports import Binding, Journal, Unsettled
from inbox.contract import Who
from inbox.ports import Inbox
from sms.messages import InboundSms, Media, MessageSid
from sms.ports import Ledger, Listed
from worker import evidence

#: How many people one sweep rings for.
SWEEP_LIMIT: Final = 200
#: A row unsettled for less than this is somebody's work in hand.
UNSETTLED_AFTER: Final = timedelta(seconds=60)
#: How many rows of one bucket one look takes.
ROWS: Final = 200
#: Rows of a person among which a list's entries may be bound already.
RECENT_ROWS: Final = 200
#: The carrier's list lags by minutes: each look goes this far behind the last.
OVERLAP: Final = timedelta(minutes=15)
#: A text younger than this is most likely still on its way through the webhook.
GRACE: Final = timedelta(seconds=10)
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """The settings that shape a reconciliation."""

    #: How long Twilio may hold a message; a part whose outcome is unknown for longer is held.
    validity: timedelta
    #: Our own numbers, whose texts are looked for.
    numbers: Sequence[str]
    who: Callable[[str], Who]
    unsettled_after: timedelta = UNSETTLED_AFTER


class Reconciler:
    """Looks for what was lost. `noted` is told the kind of each repair and what it was done to."""

    def __init__(
        self,
        inbox: Inbox,
        journal_: Journal,
        ledger: Ledger,
        terms: Terms,
        *,
        noted: Callable[[str, str], None] = lambda *_: None,
    ) -> None:
        self._inbox = inbox
        self._journal = journal_
        self._ledger = ledger
        self._terms = terms
        self._noted = noted

    def sweep(self) -> Sweep:
        """Ring for everybody who is due and served by nobody."""
        due, emptied = self._inbox.due(limit=SWEEP_LIMIT)
        for who in due:
            self._inbox.ring(who)
        return Sweep(rung=len(due), emptied=emptied)

    def reconcile(self, *, since: timedelta | None = None) -> Report:
        """Find what is unfinished in the journal, and what the carrier knows and we do not.

        `since`: look for missed texts this far back, instead of from where the last look ended.
        Raises `CarrierAway` when the list cannot be read; what the journal alone could tell is done by then.
        """
        now = datetime.fromtimestamp(self._inbox.now_ms() / 1000, UTC)
        unfinished = held = 0
        doubtful: dict[str, list[Part]] = {}
        for row in self._unsettled(now):
            part = self._part(row)
            if part is not None and part.state is PartState.UNKNOWN:
                doubtful.setdefault(row.user_id, []).append(part)
                continue
            unfinished += self._restore(row, now)
        settled = sum(self._weigh(person, parts, now) for person, parts in sorted(doubtful.items()))
        held = sum(self._hold(part, now) for parts in doubtful.values() for part in parts)
        missed, late = self._missed(since)
        return Report(unfinished=unfinished, settled=settled, held=held, missed=missed, late=late)

    # The journal

    def _unsettled(self, now: datetime) -> Iterator[Unsettled]:
        for number in range(journal.BUCKETS):
            yield from self._journal.unsettled(f"{number:02d}", before=now - self._terms.unsettled_after, limit=ROWS)

    def _part(self, row: Unsettled) -> Part | None:
        kind, sid, *_ = row.key.split("#")
        if kind != "out":
            return None
        return next((part for part in self._journal.parts(row.user_id, sid) if part.key == row.key), None)

    def _restore(self, row: Unsettled, now: datetime) -> int:
        """Put a text whose turn is unfinished back into its person's inbox, unless it waits there anyway."""
        turn = self._journal.get_turn(row.user_id, row.key.split("#")[1])
        if turn is None or turn.sid.startswith("unreadable-"):
            return 0
        if not self._inbox.accept(text_of(turn)):
            return 0
        self._journal.note_restored(turn, now=now)
        self._noted("unfinished", row.key)
        return 1

    # The carrier's list

    def _weigh(self, person: str, doubtful: Sequence[Part], now: datetime) -> int:
        """Settle a person's parts of unknown outcome by what the list shows."""
        recent = self._journal.newest_parts(person, limit=RECENT_ROWS)
        parts = [*recent, *(part for part in doubtful if part.key not in {other.key for other in recent})]
        listing = self._ledger.sent_to(person, for_the_last=evidence.window(doubtful, now=now))
        found = evidence.match(listing, parts, now=now)
        for one in found:
            binding = Binding(
                state=PartState.SENT, sid=one.entry.sid, status=one.entry.status, error_code=one.entry.error_code
            )
            self._journal.bind(one.part, binding, now=now)
            self._noted("settled", one.part.key)
        if found:
            self._inbox.ring(self._terms.who(person))
        return len(found)

    def _hold(self, part: Part, now: datetime) -> int:
        """Hold a part that stayed unknown until Twilio can no longer send it, unless evidence came meanwhile."""
        if now - datetime.fromtimestamp(part.unknown_since / 1000, UTC) <= self._terms.validity:
            return 0
        bound = self._journal.bind(part, Binding(state=PartState.HELD, reason="no evidence in time"), now=now)
        if bound.state is not PartState.HELD:
            return 0
        self._noted("held", part.key)
        return 1

    def _missed(self, since: timedelta | None) -> tuple[int, int]:
        """Accept every text to our numbers that the list shows and the journal does not know."""
        if not self._terms.numbers:
            return 0, 0
        mark = self._journal.watermark()
        if mark is None and since is None:
            # the very first look: what came before we were there is not ours to answer
            self._journal.set_watermark(self._ledger.received_by(self._terms.numbers[0], since=None).read_at)
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
            known = self._journal.known([(entry.sender, entry.sid) for entry in texts])
            for entry in texts:
                age = listing.read_at - entry.created
                # known to the journal, or waiting in the inbox: then its webhook came
                if entry.sid not in known and age > GRACE and self._inbox.accept(_text_from(entry, age)):
                    missed += 1
                    late += age > LATE
                    self._noted("missed late" if age > LATE else "missed", entry.sid)
        self._journal.set_watermark(min(read_at))
        return missed, late


def text_of(turn: Turn) -> InboundSms:
    """A turn's text, as it is put back into the inbox."""
    return InboundSms(
        sid=MessageSid(turn.sid),
        sender=turn.user_id,
        to=turn.to,
        body=turn.content,
        media=tuple(Media(url=item["url"], content_type=item["content_type"]) for item in turn.facts.get("media", ())),
        messaging_service_sid=turn.facts.get("messaging_service_sid"),
        repaired=True,
    )


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
