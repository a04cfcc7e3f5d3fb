"""Handle messages that the carrier accepted and then failed to deliver, as the error table decides.

Class R gets one new attempt as a sibling part, so that the failed part stays recorded as failed; class L gets it the
next day. Classes C and L stop the scope that the code concerns. Some codes mean that the person opted out. An unknown
code, or one that the operator should look at, raises an alarm.

A report may come after its consequences were drawn: what is delivered after all is not sent a second time, and opens
what an earlier report had stopped.

The idempotency key of the second try is its row. A repeated callback finds the row and changes nothing. If a worker
dies between writing the row and enqueuing the wake-up task, the reconciler finds the row when it is due.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from conversation.models import in_milliseconds
from inbox import budget as money
from inbox.durations import milliseconds, moment
from inbox.errors import InboxAway
from inbox.payloads import Who
from inbox.ports import Circuit, Inbox
from journal.model import Binding, ReplyPart
from journal.ports import Journal
from journal.states import PartState
from sms import codes
from worker import retry_policy, telemetry
from worker.circuits import Circuits
from worker.put_back import put_back

#: Final statuses of a message that was not delivered.
FAILED: Final = frozenset({"failed", "undelivered"})
#: Statuses of a message that the person has.
DELIVERED: Final = frozenset({"delivered", "read"})
#: No request for the second try has left.
_NOT_ON_ITS_WAY: Final = frozenset({PartState.NEW, PartState.RETRY})


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """The settings that shape what follows from a failure."""

    #: A reply older than this is not sent a second time.
    max_age: timedelta
    who: Callable[[str], Who]
    #: The messaging service of this installation; empty if it has none.
    service_sid: str = ""


class DeliveryFailures:
    """Act on delivery failures."""

    def __init__(
        self,
        inbox: Inbox,
        journal_: Journal,
        circuit: Circuit,
        terms: Terms,
        *,
        quota: money.Quota,
        rng: random.Random,
        telemetry: telemetry.Telemetry = telemetry.SILENT,
    ) -> None:
        self._inbox = inbox
        self._quota = quota
        self._journal = journal_
        self._circuits = Circuits(circuit, service_sid=terms.service_sid, telemetry=telemetry)
        self._terms = terms
        self._rng = rng
        self._telemetry = telemetry

    def consider(self, part: ReplyPart) -> None:
        """Act on the part's status as the carrier last reported it.

        It is what was true when the message was sent: what the person or another message has told since counts more.
        So a second call repeats the action and changes nothing.
        """
        if part.status in DELIVERED:
            self._recover(part)
        if part.status not in FAILED or part.error_code is None:
            return
        now, sent_ms = self._now(), _sent_ms(part)
        verdict = codes.of_report(part.error_code)
        if now - moment(sent_ms) <= retry_policy.REPORT_STOPS:
            self._circuits.stop(verdict, part, self._terms.who(part.user_id), reported=True)
        if verdict.opts_out:
            self._journal.conversations.set_active(part.user_id, active=False, fence=None, now=now, sent_ms=sent_ms)
        quiet = retry_policy.RULES[verdict.error_class].quiet
        if quiet and moment(sent_ms) + quiet > now:
            quiet_until = sent_ms + milliseconds(quiet)
            self._journal.conversations.set_quiet(part.user_id, until_ms=quiet_until, fence=None, now=now)
            self._telemetry.emit(telemetry.alarmed(telemetry.Alarm.LOOP, verdict.means))
        elif verdict.alarming:
            self._telemetry.emit(telemetry.alarmed(telemetry.Alarm.STRANGE, verdict.means))
        self.try_again(part)

    def _recover(self, part: ReplyPart) -> None:
        """Undo what an earlier report led to: the message was delivered."""
        had_failed = any(event.get("report") in FAILED for event in part.facts.get("log", ()))
        # what this very message had stopped is open again
        sent_ms = in_milliseconds(self._now()) if had_failed else _sent_ms(part)
        self._circuits.delivered(part, self._terms.who(part.user_id), sent_ms=sent_ms)
        if part.again or not had_failed:
            return
        for sibling in self._journal.outbox.parts(part.user_id, part.turn):
            if sibling.number == part.number and sibling.again and sibling.state in _NOT_ON_ITS_WAY:
                binding = Binding(state=PartState.SUPPRESSED, reason="the first try was delivered after all")
                self._journal.outbox.bind(sibling, binding, now=self._now())
                self._telemetry.emit(telemetry.second_try_cancelled(sibling))

    def try_again(self, part: ReplyPart) -> None:
        """Create the part's second try, if it is to have one. A second call changes nothing."""
        if part.again or part.status not in FAILED or part.error_code is None:
            return
        pause = retry_policy.pause_before_second_try(codes.of_report(part.error_code), rng=self._rng)
        if pause is None:
            return
        now = self._now()
        tomorrow = pause > retry_policy.LONGEST_PAUSE
        if not tomorrow and now + pause - moment(part.born_ms) > self._terms.max_age:
            return  # the reply is too old to be of use
        due = now + pause
        second = part.second_try(due=in_milliseconds(due), fresh=tomorrow)
        if self._journal.outbox.send_again(second, now=now):
            self._telemetry.emit(telemetry.second_try(second))
            self._count(second, now)
            if not tomorrow:
                put_back(self._inbox.texts, self._journal.turns.get(part.user_id, part.turn))

    def _count(self, second: ReplyPart, now: datetime) -> None:
        """Add what a second try costs to the totals: it is one message more. It is sent whatever they are."""
        who, verdict = self._terms.who(second.user_id), money.BudgetVerdict.BEYOND
        grant = money.Grant(who=who, verdict=verdict, day=money.day_of(now))
        with suppress(InboxAway):  # then a recount finds it, or the totals miss it until their day is over
            self._quota.settle(grant, model=0, sms=second.cost)

    def _now(self) -> datetime:
        return self._inbox.clock.now()


def _sent_ms(part: ReplyPart) -> int:
    """Return when a part's latest attempt was claimed, in milliseconds of Redis's clock."""
    return part.born_ms if part.claimed_at is None else in_milliseconds(datetime.fromisoformat(part.claimed_at))
