"""Handle messages that the carrier accepted and then failed to deliver, as the error table decides.

Class R gets one new attempt as a sibling part, so that the failed part stays recorded as failed. Class C stops all
sending. Error 21610 means that the person opted out. An unknown code, or one that the operator should look at,
raises an alarm.

The idempotency key of the second try is its row. A repeated callback finds the row and changes nothing. If a worker
dies between writing the row and enqueuing the wake-up task, the reconciler finds the row when it is due.
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
from inbox.ports import Circuit, Inbox
from sms import codes
from sms.messages import InboundSms, Media, MessageSid, address_of
from sms.ports import ErrorClass
from worker import retry_policy
from worker.delivery import Alarm

#: Final statuses of a message that was not delivered.
FAILED: Final = frozenset({"failed", "undelivered"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """Callbacks: `second_try` receives each new second try, `alarm` what an operator should look at."""

    second_try: Callable[[Part], None] = lambda _: None
    alarm: Callable[[Alarm, str], None] = lambda *_: None


class DeliveryFailures:
    """Act on delivery failures. A reply older than `max_age` is not sent a second time."""

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
        """Act on the part's status as the carrier last reported it.

        A second call repeats the action and changes nothing.
        """
        if part.status not in FAILED or part.error_code is None:
            return
        code, kind = part.error_code, codes.class_of(part.error_code)
        if kind is ErrorClass.CONFIGURATION:
            reason = codes.meaning(code)
            if self._circuit.open(reason):
                self._told.alarm(Alarm.STOPPED, reason)
        elif code == retry_policy.OPTED_OUT:
            self._journal.opt_out(part.user_id, now=self._now())
        if codes.is_alarming_code(code):
            self._told.alarm(Alarm.STRANGE, codes.meaning(code))
        self.try_again(part)

    def try_again(self, part: Part) -> None:
        """Create the part's second try, if it is to have one. A second call changes nothing."""
        code = part.error_code
        if part.again or part.status not in FAILED or code is None:
            return
        if codes.class_of(code) is not ErrorClass.FAILED_LATER:
            return
        now = self._now()
        decision = retry_policy.after_failure(code, rng=self._rng)
        tomorrow = decision.in_ > retry_policy.LONGEST_PAUSE
        if not tomorrow and now + decision.in_ - part.arrived_at > self._max_age:
            return  # the reply is too old to be of use
        due = now + decision.in_
        second = part.second_try(due=in_milliseconds(due), fresh=tomorrow)
        if self._journal.send_again(second, now=now):
            self._told.second_try(second)
            turn = self._journal.get_turn(part.user_id, part.turn)
            if turn is not None and not tomorrow:
                self._inbox.texts.accept(text_of(turn))

    def _now(self) -> datetime:
        return self._inbox.clock.now()


def text_of(turn: Turn) -> InboundSms:
    """Return a turn's text in the form in which it goes back into the inbox."""
    return InboundSms(
        sid=MessageSid(turn.sid),
        sender=address_of(turn.user_id),
        to=turn.to,
        body=turn.content,
        media=tuple(Media(url=item["url"], content_type=item["content_type"]) for item in turn.facts.get("media", ())),
        messaging_service_sid=turn.facts.get("messaging_service_sid"),
        repaired=True,
    )
