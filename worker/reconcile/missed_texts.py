"""Find texts whose webhook never arrived, and try messages again that were set aside."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

from inbox.ports import Inbox
from journal.ports import Journal
from runtime.isolation import BadItem, SetAside, isolated
from sms.messages import InboundSms, Media, MessageSid, most_characters
from sms.ports import Listed, Listing, MessageList
from worker import telemetry
from worker.reconcile.findings import Report
from worker.reconcile.sent_messages import MESSAGE, OVERLAP, SentMessages
from worker.reconcile.watermarks import Watermarks
from worker.user_ids import user_ids_of

#: A younger text is most likely still on its way through the webhook.
GRACE: Final = timedelta(seconds=10)
#: The name under which the journal stores how far the list of received texts was read.
RECEIVED: Final = "watermark"
#: A text found this long after it was sent means that webhooks are being lost.
LATE: Final = timedelta(seconds=60)


class MissedTexts:
    """Reads the carrier's list of texts to our numbers."""

    def __init__(  # noqa: PLR0913 - two stores, the carrier, and what shapes a look
        self,
        inbox: Inbox,
        journal: Journal,
        message_list: MessageList,
        sent_messages: SentMessages,
        *,
        numbers: Sequence[str],
        per_number: bool,
        kept: timedelta | None,
        telemetry: telemetry.Telemetry,
        set_aside: SetAside,
    ) -> None:
        self._inbox = inbox
        self._journal = journal
        self._message_list = message_list
        self._sent_messages = sent_messages
        self._numbers = numbers
        self._per_number = per_number
        #: After this time a text's row is deleted, so that its absence says nothing; None: rows are kept for good.
        self._kept = kept
        self._telemetry = telemetry
        self._set_aside = set_aside

    def read(self, report: Report, since: timedelta | None, passed: Callable[[str], None]) -> None:
        """Accept every listed text that the journal does not know.

        `since`: look at least this far back, and always from the end of the last look.
        `passed` is called for each number. Raises `CarrierAway`.
        """
        if not self._numbers:
            return
        marks = Watermarks(self._journal, RECEIVED)
        read_to: list[tuple[str, datetime]] = []
        for number in self._numbers:
            start = self._start(number, marks.of(number), since)
            listing = self._message_list.received_by(number, since=start)
            if start is not None:
                self._accept_unknown(listing, report)
            # else the first look ever: texts from before this installation are not answered
            read_to.append((number, listing.read_at))
            passed("texts that we may have missed")
        marks.move(read_to)

    def retry(self, now: datetime) -> None:
        """Try the messages again that were set aside: the watermarks have passed them. Raises `CarrierAway`."""
        for record in list(self._journal.set_aside.all()):
            if record.item.kind == MESSAGE:
                with isolated(MESSAGE, record.item.name, self._set_aside):
                    self._retry(MessageSid(record.item.name), now)
                    self._journal.set_aside.remove(MESSAGE, record.item.name)

    def _accept_unknown(self, listing: Listing, report: Report) -> None:
        for sid in listing.unreadable:
            self._set_aside(BadItem(kind=MESSAGE, name=sid, error="not in Twilio's form"))
        texts = [entry for entry in reversed(listing.messages) if _is_text(entry)]
        known = self._known(texts)
        for entry in texts:
            age = listing.read_at - entry.created
            # a text that the journal knows had its webhook
            if entry.sid not in known and age > GRACE:
                with isolated(MESSAGE, entry.sid, self._set_aside):
                    accepted = self._accept(entry, age)
                    report.missed += accepted
                    report.late += accepted and age > LATE

    def _accept(self, entry: Listed, age: timedelta) -> bool:
        """Accept a listed text; False if it had its webhook, or if its row may have been deleted.

        One that waits in the inbox had its webhook.
        """
        if self._kept is not None and age >= self._kept:
            return False
        media = self._message_list.pictures(entry.sid) if entry.pictures else ()
        if not self._inbox.texts.accept(_text_from(entry, age, media)):
            return False
        self._telemetry.emit(telemetry.repaired("missed late" if age > LATE else "missed", entry.sid))
        return True

    def _retry(self, sid: MessageSid, now: datetime) -> None:
        listing = self._message_list.one(sid)
        if listing.unreadable:
            raise ValueError("not in Twilio's form")
        for entry in listing.messages:
            if not entry.inbound:
                self._sent_messages.read_one(entry, listing.read_at, now)
            elif not self._known([entry]):
                self._accept(entry, listing.read_at - entry.created)

    def _known(self, texts: Sequence[Listed]) -> frozenset[str]:
        """Return the sids of the texts that have a row, and of those that wait under their former id.

        The former id is the one before `CONVERSATIONS` was changed. Its inbox is read before its rows: a text leaves
        the inbox when it has a row.
        """
        users = {entry.sid: user_ids_of(entry.sender, entry.to, per_number=self._per_number) for entry in texts}
        now = self._journal.unsettled.known([(present, sid) for sid, (present, _) in users.items()])
        former = {sid: user_id for sid, (_, user_id) in users.items() if sid not in now}
        waiting = {sid for sid, user_id in former.items() if self._inbox.texts.is_waiting(user_id, sid)}
        return now | waiting | self._journal.unsettled.known([(user_id, sid) for sid, user_id in former.items()])

    def _start(self, number: str, mark: datetime | None, since: timedelta | None) -> datetime | None:
        """Return from when a number's list is read; None if nothing of it is wanted."""
        starts = [] if mark is None else [mark - OVERLAP]
        if since is not None:
            starts.append(self._message_list.received_by(number, since=None).read_at - since)
        return min(starts, default=None)


def _is_text(entry: Listed) -> bool:
    """Return whether an entry is a text that a webhook would take as well."""
    return entry.inbound and len(entry.body) <= most_characters(entry.sender)


def _text_from(entry: Listed, age: timedelta, media: tuple[Media, ...]) -> InboundSms:
    return InboundSms(
        sid=entry.sid,
        sender=entry.sender,
        to=entry.to,
        body=entry.body,
        media=media,
        repaired=True,
        found_after_seconds=int(age.total_seconds()),
    )
