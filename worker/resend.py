"""Accepted, then failed: one new attempt at most, by a sibling part, so that what failed stays written down as failed.

Some failures come after the carrier took a message: its queue overflowed, its rate or its daily limit was exceeded. The codes are class R of
`sms/twilio_errors.toml`. Idempotency key of the second try: its row. A callback that is repeated finds it and changes nothing; a worker
that dies between writing the row and ringing leaves a row that the reconciler finds when it is due.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime

from conversation.journal import Part, Turn
from conversation.ports import Journal
from inbox.ports import Inbox
from sms.messages import InboundSms, Media, MessageSid
from worker import retries

#: The last words on a message that was not delivered.
FAILED = frozenset({"failed", "undelivered"})


class Resender:
    """Gives what failed on its way a second try. `noted` is told of each."""

    def __init__(
        self, inbox: Inbox, journal_: Journal, *, rng: random.Random, noted: Callable[[Part], None] = lambda _: None
    ) -> None:
        self._inbox = inbox
        self._journal = journal_
        self._rng = rng
        self._noted = noted

    def consider(self, part: Part) -> bool:
        """Whether this part, as the carrier last reported it, was given a second try by this call."""
        if part.again or part.status not in FAILED or part.error_code is None:
            return False
        decision = retries.after_failure(part.error_code, rng=self._rng)
        if not isinstance(decision, retries.Again):
            return False
        now_ms = self._inbox.now_ms()
        second = part.second_try(due=now_ms + int(decision.in_.total_seconds() * 1000))
        now = datetime.fromtimestamp(now_ms / 1000, UTC)
        if not self._journal.send_again(second, now=now):
            return False
        self._noted(second)
        if decision.in_ <= retries.LONGEST_PAUSE:
            self.ring_for(second, now=now)
        return True

    def ring_for(self, part: Part, *, now: datetime) -> bool:
        """Put the text that a part belongs to back into its person's inbox; False where it waits there anyway, or is gone."""
        turn = self._journal.get_turn(part.user_id, part.turn)
        return turn is not None and restore(self._inbox, self._journal, turn, now=now)


def restore(inbox: Inbox, journal_: Journal, turn: Turn, *, now: datetime) -> bool:
    """Put a text whose turn is unfinished back into its person's inbox; False where it waits there anyway."""
    if not inbox.accept(text_of(turn)):
        return False
    journal_.note_restored(turn, now=now)
    return True


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
