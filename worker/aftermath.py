"""Accepted, then failed: what follows from a message that the carrier took and did not deliver, as the table of errors has it.

Class R gets one new attempt, by a sibling part, so that what failed stays written down as failed. Class C stops all sending. 21610 means
that the person opted out. What the table does not know, or asks somebody to look at, is an alarm. Idempotency key of the second try: its row. A
callback that is repeated finds it and changes nothing; a worker that dies between writing the row and ringing leaves a row that the reconciler
finds when it is due.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from conversation.journal import Part, Turn
from conversation.models import in_milliseconds
from conversation.ports import Journal
from inbox.ports import Circuit, Inbox, moment
from sms import carrier_errors
from sms.messages import InboundSms, Media, MessageSid, address_of
from sms.ports import ErrorClass
from worker import retries
from worker.delivery import Alarm

#: The last words on a message that was not delivered.
FAILED: Final = frozenset({"failed", "undelivered"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """Who is told what followed: second tries, and what a person should look at."""

    second_try: Callable[[Part], None] = lambda _: None
    alarm: Callable[[Alarm, str], None] = lambda *_: None


class Aftermath:
    """Draws the consequences. `max_age`: a reply older than this is of no use any more."""

    def __init__(
        self,
        inbox: Inbox,
        journal_: Journal,
        circuit: Circuit,
        *,
        rng: random.Random,
        max_age: timedelta,
        told: Told | None = None,
    ) -> None:
        self._inbox = inbox
        self._journal = journal_
        self._circuit = circuit
        self._rng = rng
        self._max_age = max_age
        self._told = told or Told()

    def consider(self, part: Part) -> None:
        """Do what follows from this part as the carrier last reported it. A second call does it once more, and changes nothing."""
        if part.status not in FAILED or part.error_code is None:
            return
        code, kind = part.error_code, carrier_errors.class_of(part.error_code)
        if kind is ErrorClass.CONFIGURATION:
            reason = carrier_errors.meaning(code)
            if self._circuit.open(reason):
                self._told.alarm(Alarm.STOPPED, reason)
        elif code == retries.OPTED_OUT:
            self._journal.opt_out(part.user_id, now=self._now())
        if carrier_errors.is_alarming_code(code):
            self._told.alarm(Alarm.STRANGE, carrier_errors.meaning(code))
        self.try_again(part)

    def try_again(self, part: Part) -> None:
        """See to it that this part has its second try, where it is to have one. A second call changes nothing."""
        code = part.error_code
        if part.again or part.status not in FAILED or code is None:
            return
        if carrier_errors.class_of(code) is not ErrorClass.FAILED_LATER:
            return
        now = self._now()
        decision = retries.after_failure(code, rng=self._rng)
        tomorrow = decision.in_ > retries.LONGEST_PAUSE
        if not tomorrow and now + decision.in_ - part.arrived_at > self._max_age:
            return  # nobody waits for it any more
        due = now + decision.in_
        second = part.second_try(due=in_milliseconds(due), fresh=tomorrow)
        if self._journal.send_again(second, now=now):
            self._told.second_try(second)
            turn = self._journal.get_turn(part.user_id, part.turn)
            if turn is not None and not tomorrow:
                self._inbox.accept(text_of(turn))

    def _now(self) -> datetime:
        return moment(self._inbox.now_ms())


def text_of(turn: Turn) -> InboundSms:
    """A turn's text, as it is put back into the inbox."""
    return InboundSms(
        sid=MessageSid(turn.sid),
        sender=address_of(turn.user_id),
        to=turn.to,
        body=turn.content,
        media=tuple(Media(url=item["url"], content_type=item["content_type"]) for item in turn.facts.get("media", ())),
        messaging_service_sid=turn.facts.get("messaging_service_sid"),
        repaired=True,
    )
