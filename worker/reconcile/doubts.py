"""What becomes of replies in doubt: the carrier's list settles them, or they are sent again or held."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from inbox.durations import moment
from inbox.payloads import Who
from inbox.ports import Inbox
from journal import model
from journal.ports import Journal
from journal.states import PartState
from runtime.isolation import SetAside, isolated
from sms.ports import MessageList
from worker import telemetry
from worker.delivery_failures import DeliveryFailures
from worker.reconcile import absence, evidence, presence
from worker.reconcile.findings import Report
from worker.reconcile.resend import Resends

#: Each person's parts of unknown outcome.
Doubtful = dict[str, list[model.ReplyPart]]


class Doubts:
    """Reads the carrier's list for parts of unknown outcome. `resend` None: absence proves nothing."""

    def __init__(  # noqa: PLR0913 - two stores, the carrier, and what follows
        self,
        inbox: Inbox,
        journal: Journal,
        message_list: MessageList,
        failures: DeliveryFailures,
        resend: absence.Terms | None,
        *,
        numbers: Sequence[str],
        validity: timedelta,
        who: Callable[[str], Who],
        telemetry: telemetry.Telemetry,
        set_aside: SetAside,
    ) -> None:
        self._inbox = inbox
        self._journal = journal
        self._message_list = message_list
        self._failures = failures
        self._resends: Resends | None = None
        if resend is not None:
            self._resends = Resends(inbox, journal, message_list, resend, numbers=numbers, telemetry=telemetry)
        self._validity = validity
        self._who = who
        self._telemetry = telemetry
        self._set_aside = set_aside

    def read(self, doubtful: Doubtful, report: Report, now: datetime, passed: Callable[[str], None]) -> None:
        """Settle parts of unknown outcome, have them sent again, or hold them.

        `passed` is called for each person. Raises `CarrierAway`.
        """
        if self._resends is not None:
            self._resends.begin()
        for person, parts in sorted(doubtful.items()):
            with isolated("person", self._who(person), self._set_aside):
                self._settle(person, parts, report)
            passed("replies in doubt")
        for part in (part for parts in doubtful.values() for part in parts):
            with isolated("row", part.key, self._set_aside):
                report.held += self._hold(part, now)

    def _settle(self, person: str, doubtful: Sequence[model.ReplyPart], report: Report) -> None:
        """Settle a person's parts of unknown outcome by the carrier's list, or have them sent again.

        The clock is read anew for each person: many people take minutes, and an entry's age counts from the moment at
        which its list was read.
        """
        reading = presence.read(self._message_list, self._journal.outbox, self._inbox.clock, person, doubtful)
        now = reading.now
        matches = evidence.match(reading.listing, reading.parts, now=now)
        for match in matches:
            binding = model.Binding(
                state=PartState.SENT, sid=match.entry.sid, status=match.entry.status, error_code=match.entry.error_code,
                segments=match.entry.segments, evidence="list",
            )  # fmt: skip
            self._failures.consider(self._journal.outbox.bind(match.part, binding, now=now))
            self._telemetry.emit(telemetry.repaired("settled", match.part.key))
        if matches:
            self._inbox.agenda.wake(self._who(person))
        report.settled += len(matches)
        if self._resends is not None:
            settled = {match.part.key for match in matches}
            # doubts of a moment ago, too: a message that this reading shows may be deleted before the next one
            left = [part for part in reading.parts if part.state is PartState.UNKNOWN and part.key not in settled]
            report.resent += self._resends.consider(left, reading.parts, reading.listing, now=now)

    def _hold(self, part: model.ReplyPart, now: datetime) -> int:
        """Hold a part that stayed unknown until Twilio can no longer send it, if no evidence came meanwhile."""
        if now - moment(part.unknown_since) <= self._validity:
            return 0
        if self._resends is not None and self._resends.may_come(part, now):
            return 0
        bound = self._journal.outbox.bind(
            part, model.Binding(state=PartState.HELD, reason="no evidence in time"), now=now
        )
        if bound.state is not PartState.HELD:
            return 0
        self._telemetry.emit(telemetry.repaired("held", part.key))
        return 1
