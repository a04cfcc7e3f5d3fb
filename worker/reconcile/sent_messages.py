"""What the carrier's list says of sent messages: segments, prices, and unreported statuses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta
from typing import Final

from conversation.entries import milliseconds
from journal import model
from journal.ports import Journal
from journal.states import STATUS_RANK
from runtime.isolation import BadItem, SetAside, isolated
from sms.ports import Listed, MessageList
from worker.delivery_failures import DeliveryFailures
from worker.reconcile.findings import Report
from worker.reconcile.presence import RECENT_ROWS, found_among_newest
from worker.reconcile.watermarks import Watermarks
from worker.user_ids import user_ids_of

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


class SentMessages:
    """Reads the carrier's list of messages from our numbers.

    `redact` asks the carrier to delete the words of a message with a final status; None: the carrier keeps them.
    `validity`: how long Twilio may hold a message; a status is final after it, too.
    """

    def __init__(  # noqa: PLR0913 - two stores, and what shapes a look
        self,
        journal: Journal,
        message_list: MessageList,
        failures: DeliveryFailures,
        *,
        numbers: Sequence[str],
        per_number: bool,
        validity: timedelta,
        redact: Callable[[str], bool] | None,
        set_aside: SetAside,
    ) -> None:
        self._journal = journal
        self._message_list = message_list
        self._failures = failures
        self._numbers = numbers
        self._per_number = per_number
        self._validity = validity
        self._redactor = redact
        self._set_aside = set_aside
        self._remembered: dict[str, None] = {}

    def read(self, report: Report, now: datetime, passed: Callable[[str], None]) -> None:
        """Record segments and price of all sent messages since the last look.

        So are statuses that no callback reported. `passed` is called for each number. Raises `CarrierAway`.
        """
        if not self._numbers:
            return
        marks = Watermarks(self._journal, CHARGED)
        looked_to: list[tuple[str, datetime]] = []
        for number in self._numbers:
            mark = marks.of(number)
            if mark is None:  # what was sent before this installation is not its own
                looked_to.append((number, self._message_list.received_by(number, since=None).read_at))
                continue
            listing = self._message_list.sent_from(number, since=mark - OVERLAP)
            people: dict[tuple[str, str], list[Listed]] = {}
            for entry in listing.messages:
                if not entry.inbound and entry.sid not in self._remembered:
                    people.setdefault(self._users(entry), []).append(entry)
            for sid in listing.unreadable:
                self._set_aside(BadItem(kind=MESSAGE, name=sid, error="not in Twilio's form"))
            for users, entries in people.items():
                self._note_entries(users, entries, listing.read_at, report, now)
            # prices and final statuses come later than their message: the next look begins at the first one without
            pending = [entry.created for entry in listing.messages if self._is_pending(entry, listing.read_at)]
            looked_to.append((number, min([listing.read_at, *pending])))
            passed("segments and prices")
        marks.move(looked_to)

    def read_one(self, entry: Listed, read_at: datetime, now: datetime) -> None:
        """Record what one entry says that was set aside."""
        part = self._mine(self._users(entry), [entry]).get(entry.sid)
        if part is not None:
            self._note(entry, part, read_at, Report(), now)

    def _users(self, entry: Listed) -> tuple[str, str]:
        return user_ids_of(entry.to, entry.sender, per_number=self._per_number)

    def _note_entries(
        self, users: tuple[str, str], entries: Sequence[Listed], read_at: datetime, report: Report, now: datetime
    ) -> None:
        mine = self._mine(users, entries)
        for entry in entries:
            part = mine.get(entry.sid)
            if part is not None:
                with isolated(MESSAGE, entry.sid, self._set_aside):
                    self._note(entry, part, read_at, report, now)

    def _note(self, entry: Listed, part: model.ReplyPart, read_at: datetime, report: Report, now: datetime) -> None:
        if part.attempt_id is None:
            return  # sent by an older program, or in doubt: evidence settles the latter
        if _rank(entry.status) > _rank(part.status):
            reported = model.Reported(
                attempt_id=part.attempt_id, sid=entry.sid, status=entry.status, error_code=entry.error_code,
                evidence="list",
            )  # fmt: skip
            part = self._journal.outbox.report(part.user_id, part.key, reported, now=now) or part
            report.reported += 1
            self._failures.consider(part)
        # the worker that recorded the failure may have died before it wrote the second try
        self._failures.try_again(part)
        if entry.price is not None and part.price is None:
            charge = model.Charge(segments=entry.segments, price=entry.price, unit=entry.price_unit)
            self._journal.outbox.charge(part, charge)
            report.charged += 1
        if _is_final(entry) or not self._may_change(entry, read_at):
            self._redact(entry, part)
        if _is_final(entry) and not _lacks_price(entry):
            self._remember(entry.sid)

    def _is_pending(self, entry: Listed, read_at: datetime) -> bool:
        """Return whether a later look must see the entry again: for its price, or to redact it."""
        if _lacks_price(entry) and read_at - entry.created < PRICE_PATIENCE:
            return True
        return bool(self._redactor and entry.body) and not _is_final(entry) and self._may_change(entry, read_at)

    def _may_change(self, entry: Listed, read_at: datetime) -> bool:
        return read_at - entry.created <= self._validity

    def _redact(self, entry: Listed, part: model.ReplyPart) -> None:
        """Have the carrier delete the words of a reply whose status is final, and of the texts it answers.

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

    def _mine(self, users: tuple[str, str], entries: Sequence[Listed]) -> dict[str, model.ReplyPart]:
        """Return a person's parts by sid, searching further back if some of the entries are not found."""
        mine: dict[str, model.ReplyPart] = {}
        for user in users:
            wanted = {entry.sid for entry in entries} - mine.keys()
            if wanted:
                mine |= self._sent_to(user, wanted)
        return mine

    def _sent_to(self, user: str, wanted: AbstractSet[str]) -> dict[str, model.ReplyPart]:
        return found_among_newest(wanted, lambda limit: self._journal.unsettled.sent_parts(user, limit=limit))

    def _remember(self, sid: str) -> None:
        self._remembered[sid] = None
        while len(self._remembered) > REMEMBERED:
            del self._remembered[next(iter(self._remembered))]


def _lacks_price(entry: Listed) -> bool:
    """Return whether a price is still to come: a failed or canceled message has none."""
    return entry.price is None and entry.status not in {"failed", "canceled"}


def _is_final(entry: Listed) -> bool:
    return _rank(entry.status) >= _rank("canceled")


def _rank(status: str | None) -> int:
    return STATUS_RANK.get(status or "", 0)
