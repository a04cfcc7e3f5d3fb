"""Claim, send and bind reply parts: each goes out once, or is recorded as having an unknown outcome.

The idempotency key of a part is its row. That of an attempt is `attempt_id`, written before the first byte leaves
and returned by Twilio's status callbacks.
A crash before the claim leaves NEW, which the next lease holder sends. A crash after it leaves SENDING, which the next
holder turns into UNKNOWN and never sends again without evidence.
If the journal cannot be reached, nothing is claimed, so nothing is sent.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Self

from conversation.errors import StoreAway
from inbox.ports import Circuit, Passage
from journal import model
from journal.ports import Journal
from journal.states import PartState
from runtime.host import Host
from sms.addresses import address_of
from sms.ports import ErrorClass, NotCreated, OutboundSms, Outcome, Sender, Sent, Unknown
from worker import retry_policy, telemetry
from worker.circuits import Circuits
from worker.visit import Visit

#: An older claim is not acted upon: the next lease holder may have turned it into UNKNOWN.
CLAIM_GOOD_FOR_SECONDS: Final = 5.0
#: How many threads of one process may be between claim and first byte. A kill in that window cannot be told from
#: a kill after the first byte, so the part is held, not sent. A small number keeps such parts few and the window short.
CLAIMS_AT_A_TIME: Final = 2
#: A thread that does not get there in this time lets its visit end: the store is slow, and a visit is to be short.
GATE_SECONDS: Final = 10.0
#: A refused part is looked at again at once: its circuit says when to come back, or the reply leaves without a service
#: that is not ours.
_ATTEMPTS_IN_A_ROW: Final = 2
#: The reason for which a person gets no reply for a while.
LOOP: Final = "two machines seem to talk to each other"
#: A second try that is due later than this does not hold back the person's other replies.
_LONGEST_WAIT_MS: Final = int(retry_policy.LONGEST_PAUSE.total_seconds() * 1000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """The settings of delivery."""

    #: The webhook's public address, such as `https://example.org`; Twilio reports statuses to it.
    public_url: str
    validity_seconds: int
    patience_seconds: float
    max_age_seconds: float
    #: The messaging service of this installation; empty if it has none.
    service_sid: str = ""


class _Window:
    """The time between one claim and its first byte."""

    def __init__(self, leave: Callable[[], object], monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._begun = monotonic()
        self._leave: Callable[[], object] | None = leave

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()

    def first_byte(self) -> bool:
        """Return whether the claim is fresh enough to be acted upon. The window ends either way."""
        self.leave()
        return self._monotonic() - self._begun < CLAIM_GOOD_FOR_SECONDS

    def leave(self) -> None:
        """Let the next thread in; a second call does nothing."""
        leave, self._leave = self._leave, None
        if leave is not None:
            leave()


class Delivery:
    """Send the parts of a reply to the carrier, in order.

    `pace` returns in how many milliseconds a part may leave its number. A negative result means that the wait is too
    long, and that no place in the queue was taken.
    """

    def __init__(  # noqa: PLR0913 - three stores, the terms, and what a test replaces
        self,
        journal_: Journal,
        sender: Sender,
        circuit: Circuit,
        terms: Terms,
        *,
        rng: random.Random,
        host: Host,
        telemetry: telemetry.Telemetry = telemetry.SILENT,
        pace: Callable[[model.ReplyPart], int] = lambda _: 0,
    ) -> None:
        self._journal = journal_
        self._sender = sender
        self._terms = terms
        self._rng = rng
        self._telemetry = telemetry
        self._host = host
        self._circuits = Circuits(circuit, service_sid=terms.service_sid, telemetry=telemetry)
        self._pace = pace
        self._gate = host.semaphore(CLAIMS_AT_A_TIME)

    def deliver(self, visit: Visit, parts: Sequence[model.ReplyPart]) -> int | None:
        """Advance every part as far as it goes.

        Returns None if all are over, else when to look again, in milliseconds of Redis's clock.
        Raises `Fenced` if another worker has taken over the person, and `StoreAway` or `CarrierAway` if either is away.
        """
        for part in parts:
            due = self._advance(visit, part)
            if due is not None:
                return due
        return None

    def give_up(self, visit: Visit, parts: Sequence[model.ReplyPart], reason: str) -> tuple[model.ReplyPart, ...]:
        """Fail the parts that were never claimed or were proven not created, and list them as dead letters.

        The person's other texts then no longer wait for them.
        """
        given_up = []
        for part in parts:
            if part.state in (PartState.NEW, PartState.RETRY):
                failed = model.Binding(state=PartState.FAILED, reason=_with_doubt(part, reason))
                given_up.append(self._journal.outbox.bind(part, failed, now=visit.now()))
                self._telemetry.emit(telemetry.part_attempted(given_up[-1]))
            else:
                given_up.append(part)
        return tuple(given_up)

    def _advance(self, visit: Visit, part: model.ReplyPart) -> int | None:
        if part.state is PartState.SENDING:
            # its claimant held a lower fence, so it is gone; whether its request left cannot be known here
            part = self._journal.outbox.bind(part, _unknown(visit, "its sender died"), now=visit.now())
            self._telemetry.emit(telemetry.part_attempted(part))
        if part.state in (PartState.NEW, PartState.RETRY):
            return self._send(visit, part)
        return _held_back_until(visit, part, self._terms)

    def _send(self, visit: Visit, part: model.ReplyPart) -> int | None:
        """Send a part if it is due, wanted and let through; return when to look again, or None."""
        for _ in range(_ATTEMPTS_IN_A_ROW):
            if visit.now_ms() < part.due:
                # no visit waits until tomorrow for a second try: the reconciler finds it when it is due
                return part.due if part.due - visit.now_ms() <= _LONGEST_WAIT_MS or not part.again else None
            unwanted = self._unwanted(visit, part)
            if unwanted:
                self._suppress(visit, part, unwanted)
                return None
            passage = self._circuits.passage(part, visit.lease.who)
            if not passage.allowed:
                visit.stopped_at = passage.stopped
                return visit.now_ms() + passage.wait_ms
            # a probe is sent without pacing: there are few
            wait_ms = 0 if passage.probes else self._pace(part)
            if wait_ms < 0:
                return visit.now_ms() - wait_ms
            if wait_ms:
                self._host.sleep(wait_ms / 1000)
            part = self._attempt(visit, part, passage)
            if part.state is not PartState.RETRY:
                return _held_back_until(visit, part, self._terms)
        return part.due

    def _suppress(self, visit: Visit, part: model.ReplyPart, reason: str) -> None:
        binding = model.Binding(state=PartState.SUPPRESSED, reason=_with_doubt(part, reason))
        suppressed = self._journal.outbox.bind(part, binding, now=visit.now())
        self._telemetry.emit(telemetry.part_attempted(suppressed))

    def parked(self, visit: Visit) -> bool:
        """Note that a visit's person waits for a circuit; False if the person is due now.

        It is called once the visit's lease is released: from then on, closing the circuit wakes the person.
        """
        return visit.stopped_at is None or self._circuits.wait(visit.stopped_at, visit.lease.who)

    def _attempt(self, visit: Visit, part: model.ReplyPart, passage: Passage) -> model.ReplyPart:
        self._sender.warm()
        attempt_id, mark = model.new_attempt_id(part, self._host), visit.mark
        with self._window() as window:
            mark.claiming(part.key, attempt_id, fence=visit.fence)
            try:
                claimed = self._journal.outbox.claim(part, fence=visit.fence, attempt_id=attempt_id, now=visit.now())
                message = self._message(visit, claimed)
                outcome = self._sender.send(message, may_begin=lambda: window.first_byte() and mark.begin())
                window.leave()
                if isinstance(outcome, NotCreated):
                    mark.refused()
                # before anything else: an outcome that is not stored is in doubt, whatever else can be reached
                bound = self._bind(visit, claimed, self._binding(visit, claimed, outcome))
            except BaseException:
                # the claim may stand, or arrive yet; if no byte left, the attempt is settled by its mark
                mark.abandon()
                raise
        mark.settled()
        self._telemetry.emit(telemetry.part_attempted(bound, outcome))
        if isinstance(outcome, NotCreated):
            self._heed(visit, claimed, outcome, passage)
        elif isinstance(outcome, Sent):
            self._circuits.accepted(passage)
            telemetry.count_reply(bound, visit.now_ms())
        else:
            self._doubt(visit, claimed, outcome)
        return bound

    def _heed(self, visit: Visit, part: model.ReplyPart, refusal: NotCreated, passage: Passage) -> None:
        """Act on what a refusal says beyond this one message: about a circuit's place, and about the person."""
        verdict = refusal.verdict
        self._circuits.refused(verdict, part, visit.lease.who, passage)
        if verdict.opts_out:
            self._journal.conversations.set_active(visit.user_id, active=False, fence=visit.fence, now=visit.now())
            visit.opened = replace(visit.conversation, is_active=False)
        if retry_policy.rule_of(refusal).quiet:
            self.end_loop(visit, verdict.means)
        elif verdict.alarming:
            self._telemetry.emit(telemetry.alarmed(telemetry.Alarm.STRANGE, verdict.means))

    def _doubt(self, visit: Visit, part: model.ReplyPart, outcome: Unknown) -> None:
        """Act on what an answer says beyond this one message, which stays in doubt."""
        if outcome.verdict is not None:
            self._circuits.stop(outcome.verdict, part, visit.lease.who)
        if outcome.alarming:
            self._telemetry.emit(telemetry.alarmed(telemetry.Alarm.STRANGE, outcome.reason))

    def end_loop(self, visit: Visit, reason: str) -> None:
        """Send this person no reply for a while."""
        until_ms = visit.after(retry_policy.RULES[ErrorClass.LOOP].quiet)
        self._journal.conversations.set_quiet(visit.user_id, until_ms=until_ms, fence=visit.fence, now=visit.now())
        visit.opened = replace(visit.conversation, quiet_until=until_ms)
        self._telemetry.emit(telemetry.alarmed(telemetry.Alarm.LOOP, reason))

    def _window(self) -> _Window:
        """Let this thread claim, if not too many do: a kill between claim and first byte leaves UNKNOWN.

        Raises `StoreAway` if the claims of other conversations take too long.
        """
        if not self._gate.acquire(timeout=GATE_SECONDS):
            raise StoreAway(f"other conversations' claims took {GATE_SECONDS:.0f} s")
        return _Window(self._gate.release, self._host.monotonic)

    def _message(self, visit: Visit, part: model.ReplyPart) -> OutboundSms:
        return OutboundSms(
            to=address_of(part.user_id),
            sender=part.sender,
            messaging_service_sid=self._circuits.service_of(part),
            body=part.content,
            status_callback=f"{self._terms.public_url}/sms/status?w={visit.lease.who}&i={part.attempt_id}",
            validity_seconds=self._terms.validity_seconds,
        )

    def _binding(self, visit: Visit, part: model.ReplyPart, outcome: Outcome) -> model.Binding:
        if isinstance(outcome, Sent):
            return model.Binding(
                state=PartState.SENT, sid=outcome.sid, status=outcome.status, segments=outcome.segments
            )
        if not isinstance(outcome, NotCreated):
            return _unknown(visit, outcome.reason)
        verdict = outcome.verdict
        refused = model.Binding(state=PartState.FAILED, error_code=verdict.code, reason=verdict.means)
        if retry_policy.rule_of(outcome).fate is not retry_policy.Fate.AGAIN:
            return replace(refused, reason=_with_doubt(part, verdict.means))
        pause = retry_policy.pause_after(outcome, tries=part.tries, rng=self._rng)
        return replace(refused, state=PartState.RETRY, due=visit.after(pause))

    def _bind(self, visit: Visit, part: model.ReplyPart, binding: model.Binding) -> model.ReplyPart:
        """Store the outcome, retrying while the journal is away: a lost one must be recovered by evidence."""
        for _ in range(retry_policy.BIND_TRIES - 1):
            try:
                return self._journal.outbox.bind(part, binding, now=visit.now())
            except StoreAway:
                self._host.sleep(retry_policy.BIND_PAUSE_SECONDS)
        return self._journal.outbox.bind(part, binding, now=visit.now())

    def _unwanted(self, visit: Visit, part: model.ReplyPart) -> str:
        """Return why a part must not be sent any more; empty if it may."""
        if not visit.conversation.is_active:
            return "opted out"
        if part.serious:
            return ""
        if visit.now_ms() < visit.conversation.quiet_until:
            return LOOP
        return "too old to send" if visit.now_ms() - part.born_ms > self._terms.max_age_seconds * 1000 else ""


def _unknown(visit: Visit, reason: str) -> model.Binding:
    return model.Binding(state=PartState.UNKNOWN, unknown_since=visit.now_ms(), reason=reason)


def _with_doubt(part: model.ReplyPart, reason: str) -> str:
    """Return the reason for which a part ends unsent, and whether the person may have got it nevertheless."""
    return f"{reason}; an earlier attempt may have been sent" if part.may_go_twice else reason


def _held_back_until(visit: Visit, part: model.ReplyPart, terms: Terms) -> int | None:
    """Return until when a part of unknown outcome holds back the parts behind it, or None."""
    if part.state is not PartState.UNKNOWN:
        return None
    patient_until = part.unknown_since + int(terms.patience_seconds * 1000)
    return patient_until if visit.now_ms() < patient_until else None
