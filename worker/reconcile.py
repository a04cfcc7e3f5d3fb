"""Sweep for lost doorbells, and put back on the road what the journal knows to be unfinished.

Both only find work. What they find is put into the inbox and rung for; whether there is anything to do is decided by the visit, with consistent
reads, under its fence. Finding the same twice costs a visit and changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from conversation import journal
from conversation.journal import Part, PartState, Turn
from conversation.ports import Binding, Journal, Unsettled
from inbox.ports import Inbox
from sms.messages import InboundSms, Media, MessageSid

#: How many people one sweep rings for.
SWEEP_LIMIT: Final = 200
#: A row unsettled for less than this is somebody's work in hand.
UNSETTLED_AFTER: Final = timedelta(seconds=60)
#: How many rows of one bucket one look takes.
ROWS: Final = 200


@dataclass(frozen=True, slots=True)
class Sweep:
    """What a sweep did."""

    rung: int
    #: Redis was emptied since the last look: what was in the inboxes has to be found again.
    emptied: bool


class Reconciler:
    """Looks for what was lost.

    `validity` is how long Twilio may hold a message; a part whose outcome is unknown for longer is held.
    `noted` is told the kind of each repair.
    """

    def __init__(
        self,
        inbox: Inbox,
        journal_: Journal,
        *,
        validity: timedelta,
        unsettled_after: timedelta = UNSETTLED_AFTER,
        noted: Callable[[str, str], None] = lambda *_: None,
    ) -> None:
        self._inbox = inbox
        self._journal = journal_
        self._validity = validity
        self._unsettled_after = unsettled_after
        self._noted = noted

    def sweep(self) -> Sweep:
        """Ring for everybody who is due and served by nobody."""
        due, emptied = self._inbox.due(limit=SWEEP_LIMIT)
        for who in due:
            self._inbox.ring(who)
        return Sweep(rung=len(due), emptied=emptied)

    def reconcile(self) -> int:
        """Put every unfinished turn back into its person's inbox; how many were found."""
        now = datetime.fromtimestamp(self._inbox.now_ms() / 1000, UTC)
        found = 0
        for row in self._unsettled(now):
            found += 1
            self._restore(row, now)
        return found

    def _unsettled(self, now: datetime) -> Iterator[Unsettled]:
        for number in range(journal.BUCKETS):
            yield from self._journal.unsettled(f"{number:02d}", before=now - self._unsettled_after, limit=ROWS)

    def _restore(self, row: Unsettled, now: datetime) -> None:
        kind, sid, *_ = row.key.split("#")
        if kind == "out":
            for part in self._journal.parts(row.user_id, sid):
                if part.key == row.key and self._held(part, now):
                    return
        turn = self._journal.get_turn(row.user_id, sid)
        if turn is not None and not turn.sid.startswith("unreadable-"):
            self._inbox.accept(_text(turn))
            self._noted("turn" if kind == "in" else "part", sid)

    def _held(self, part: Part, now: datetime) -> bool:
        """Hold a part that stayed unknown until Twilio can no longer send it; whether it needs no visit."""
        if part.state is not PartState.UNKNOWN:
            return False
        age = now - datetime.fromtimestamp(part.unknown_since / 1000, UTC)
        if age > self._validity:
            self._journal.bind(part, Binding(state=PartState.HELD, reason="no evidence in time"), now=now)
            self._noted("held", part.key)
        return True


def _text(turn: Turn) -> InboundSms:
    return InboundSms(
        sid=MessageSid(turn.sid),
        sender=turn.user_id,
        to=turn.to,
        body=turn.content,
        media=tuple(Media(url=item["url"], content_type=item["content_type"]) for item in turn.facts.get("media", ())),
        messaging_service_sid=turn.facts.get("messaging_service_sid"),
        repaired=True,
    )
