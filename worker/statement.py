"""What the carrier's list says of sent messages: segments, prices, and unreported statuses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

from conversation.entries import milliseconds
from journal import model
from journal.ports import Journal
from journal.states import STATUS_RANK
from runtime.isolation import BadItem, SetAside, isolated
from sms.messages import user_of
from sms.ports import Listed, MessageList
from worker.delivery_failures import DeliveryFailures
from worker.findings import Report
from worker.presence import RECENT_ROWS, found_among_newest

#: After this time the reconciler no longer waits for a message's price.
PRICE_PATIENCE: Final = timedelta(hours=24)
#: How many messages that need no second look are remembered, so that the overlap of two looks costs no reads.
REMEMBERED: Final = 20_000
#: The carrier's list lags by minutes, so each look starts this much before the end of the last.
OVERLAP: Final = timedelta(minutes=15)
#: The name under which the journal stores how far the list of sent messages was read.
CHARGED: Final = "watermark charged"
#: The kind of an item that was set aside: a message of the carrier's list, by its sid.
MESSAGE: Final = "message"


class Statement:
    """Reads the carrier's list of messages from our numbers.

    `redact` asks the carrier to delete the words of a message with a final status; None: the carrier keeps them.
    """

    def __init__(
        self,
        journal: Journal,
        message_list: MessageList,
        failures: DeliveryFailures,
        *,
        numbers: Sequence[str],
        per_number: bool,
        redact: Callable[[str], bool] | None,
        set_aside: SetAside,
    ) -> None:
        self._journal = journal
        self._message_list = message_list
        self._failures = failures
        self._numbers = numbers
        self._per_number = per_number
        self._redactor = redact
        self._set_aside = set_aside
        self._remembered: dict[str, None] = {}

    def read(self, report: Report, now: datetime, passed: Callable[[str], None]) -> None:
        """Record segments and price of all sent messages since the last look.

        So are statuses that no callback reported. `passed` is called for each number. Raises `CarrierAway`.
        """
        if not self._numbers:
            return
        mark = self._journal.unsettled.watermark(CHARGED)
        if mark is None:
            self._journal.unsettled.set_watermark(
                CHARGED, self._message_list.received_by(self._numbers[0], since=None).read_at
            )
            return
        looked_to: list[datetime] = []
        for number in self._numbers:
            listing = self._message_list.sent_from(number, since=mark - OVERLAP)
            people: dict[str, list[Listed]] = {}
            for entry in listing.messages:
                if not entry.inbound and entry.sid not in self._remembered:
                    people.setdefault(user_of(entry.to, entry.sender, per_number=self._per_number), []).append(entry)
            for sid in listing.unreadable:
                self._set_aside(BadItem(kind=MESSAGE, name=sid, error="not in Twilio's form"))
            for person, entries in people.items():
                self._note_entries(person, entries, report, now)
            # a price comes later than its message: the next look begins at the first message without one
            pending = [
                entry.created
                for entry in listing.messages
                if _is_open(entry) and listing.read_at - entry.created < PRICE_PATIENCE
            ]
            looked_to.append(min([listing.read_at, *pending]))
            passed("segments and prices")
        self._journal.unsettled.set_watermark(CHARGED, min(looked_to))

    def read_one(self, entry: Listed, now: datetime) -> None:
        """Record what one entry says that was set aside."""
        person = user_of(entry.to, entry.sender, per_number=self._per_number)
        part = self._mine(person, [entry]).get(entry.sid)
        if part is not None:
            self._note(person, entry, part, Report(), now)

    def _note_entries(self, person: str, entries: Sequence[Listed], report: Report, now: datetime) -> None:
        mine = self._mine(person, entries)
        for entry in entries:
            part = mine.get(entry.sid)
            if part is not None:
                with isolated(MESSAGE, entry.sid, self._set_aside):
                    self._note(person, entry, part, report, now)

    def _note(self, person: str, entry: Listed, part: model.ReplyPart, report: Report, now: datetime) -> None:
        if part.attempt_id is None:
            return  # sent by an older program, or in doubt: evidence settles the latter
        if _rank(entry.status) > _rank(part.status):
            reported = model.Reported(
                attempt_id=part.attempt_id, sid=entry.sid, status=entry.status, error_code=entry.error_code,
                evidence="list",
            )  # fmt: skip
            part = self._journal.outbox.report(person, part.key, reported, now=now) or part
            report.reported += 1
            self._failures.consider(part)
        # the worker that recorded the failure may have died before it wrote the second try
        self._failures.try_again(part)
        if entry.price is not None and part.price is None:
            charge = model.Charge(segments=entry.segments, price=entry.price, unit=entry.price_unit)
            self._journal.outbox.charge(part, charge)
            report.charged += 1
        if not _is_open(entry) and _rank(entry.status) >= _rank("canceled"):
            self._redact(entry, part)
            self._remember(entry.sid)

    def _redact(self, entry: Listed, part: model.ReplyPart) -> None:
        """Have the carrier delete the words of a reply with a final status, and of the texts it answers.

        Raises `CarrierAway`; a later look continues.
        """
        redact = self._redactor
        if redact is None or not entry.body:
            return
        turn = self._journal.turns.get(part.user_id, part.turn)
        begin = milliseconds(turn.arrived if turn else part.arrived)
        answered = self._journal.transcript.between(
            part.user_id, after_ms=begin - 1, before_ms=milliseconds(part.arrived) + 1, limit=RECENT_ROWS
        )
        for text in answered:
            name = model.RowName(user_id=part.user_id, key=text.key)
            if name.is_turn:
                redact(name.sid)
        # the reply comes last: as long as the carrier has its words, a later look repeats all of this
        redact(entry.sid)

    def _mine(self, person: str, entries: Sequence[Listed]) -> dict[str, model.ReplyPart]:
        """Return the person's parts by sid, searching further back if some of the entries are not found."""
        wanted = {entry.sid for entry in entries}
        return found_among_newest(wanted, lambda limit: self._journal.unsettled.sent_parts(person, limit=limit))

    def _remember(self, sid: str) -> None:
        self._remembered[sid] = None
        while len(self._remembered) > REMEMBERED:
            del self._remembered[next(iter(self._remembered))]


def _is_open(entry: Listed) -> bool:
    """Return whether a price is still to come: a failed or canceled message has none."""
    return entry.price is None and entry.status not in {"failed", "canceled"}


def _rank(status: str | None) -> int:
    return STATUS_RANK.get(status or "", 0)
