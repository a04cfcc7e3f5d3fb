"""Send a reply in doubt again, where the operator chose that absence from the carrier's list counts.

`worker.reconcile.absence` decides. What it needs is read here and written onto the part: each reading that counts,
whether one showed a message that may be this part's, and which attempt was sent again. A second execution of any step
finds the part in another state or with another attempt, and changes nothing. So a part is sent again at most once,
and a person who sent STOP, or was erased, gets nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from conversation.models import in_milliseconds
from inbox.ports import Inbox
from journal.model import Binding, ReplyPart
from journal.ports import Journal
from journal.states import PartState
from sms.ports import Listed, Listing, MessageList
from worker import telemetry
from worker.put_back import put_back
from worker.reconcile import absence

#: How far back a number's newest message is looked for, to see that the list is not behind.
RECENTLY: Final = timedelta(hours=1)
REASON: Final = "not on the carrier's list"


class Resends:
    """Sends parts of unknown outcome again under the operator's terms."""

    def __init__(
        self,
        inbox: Inbox,
        journal: Journal,
        message_list: MessageList,
        terms: absence.Terms,
        *,
        numbers: Sequence[str],
        telemetry: telemetry.Telemetry,
    ) -> None:
        self._inbox = inbox
        self._journal = journal
        self._message_list = message_list
        self._terms = terms
        self._numbers = numbers
        self._telemetry = telemetry
        #: The newest message from each number that was asked for in this reconciliation.
        self._newest_of: dict[str, Listed | None] = {}

    def begin(self) -> None:
        """Begin a reconciliation: the list of each number is read anew, once."""
        self._newest_of.clear()

    def may_come(self, part: ReplyPart, now: datetime) -> bool:
        """Return whether a part may still be sent again; then it is not held yet."""
        return absence.may_be_sent_again(part, self._terms, now) and self._may_be_written_to(part.user_id, now)

    def consider(
        self, doubtful: Sequence[ReplyPart], parts: Sequence[ReplyPart], listing: Listing, *, now: datetime
    ) -> int:
        """Draw the consequences of one reading of the list to a person; return how many parts are sent again.

        `doubtful` are the person's parts that it did not settle, `parts` the newest in any state. Raises `CarrierAway`.
        """
        resent = 0
        for part in doubtful:
            if absence.may_be_sent_again(part, self._terms, now) and absence.counts(part, now):
                resent += self._consider(part, parts, listing, now)
        return resent

    def _consider(self, part: ReplyPart, parts: Sequence[ReplyPart], listing: Listing, now: datetime) -> bool:
        newest = self._newest(part, listing)
        look = absence.look(part, parts, listing, newest, now)
        if look is absence.Look.NOTHING:
            return False
        if look is absence.Look.ABSENT and absence.is_enough(part, self._terms, now):
            return self._may_be_written_to(part.user_id, now) and self._send_again(part, now)
        if look is absence.Look.PERHAPS or len(absence.looks_since_doubt(part)) < absence.LOOKS - 1:
            self._journal.unsettled.note_look(part, shown=look is absence.Look.PERHAPS, now=now)
        return False

    def _newest(self, part: ReplyPart, listing: Listing) -> Listed | None:
        """Return the newest message of the part's number, or of any of ours if a messaging service chose it."""
        numbers = self._numbers if part.messaging_service_sid else [part.sender]
        newest = [entry for number in numbers if (entry := self._newest_from(number, listing)) is not None]
        return max(newest, key=_created, default=None)

    def _newest_from(self, number: str, listing: Listing) -> Listed | None:
        if number not in self._newest_of:
            sent = self._message_list.sent_from(number, since=listing.read_at - RECENTLY).messages
            self._newest_of[number] = max(sent, key=_created, default=None)
        return self._newest_of[number]

    def _may_be_written_to(self, person: str, now: datetime) -> bool:
        conversation = self._journal.conversations.get(person)
        return conversation is not None and conversation.is_active and conversation.quiet_until <= in_milliseconds(now)

    def _send_again(self, part: ReplyPart, now: datetime) -> bool:
        turn = self._journal.turns.get(part.user_id, part.turn)
        if turn is None:
            return False
        again = Binding(
            state=PartState.RETRY, reason=REASON, due=in_milliseconds(now), resent=part.attempt_id, evidence="absence"
        )
        bound = self._journal.outbox.bind(part, again, now=now)
        if bound.state is not PartState.RETRY or bound.resent != part.attempt_id:
            return False
        self._telemetry.emit(telemetry.repaired("resent", part.key))
        put_back(self._inbox.texts, turn)
        return True


def _created(entry: Listed) -> datetime:
    return entry.created
