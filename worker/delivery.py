"""Claim, send, bind: a part goes out once, or its fate is unknown and is said to be.

Idempotency key of a part: its row. Of an attempt: `attempt_id`, written before the first byte leaves and carried by Twilio's status
callbacks. A crash before the claim leaves NEW, sent by the next holder. A crash after it leaves SENDING, which the next holder
turns into UNKNOWN and never sends again without evidence. When the journal is away, nothing is claimed, so nothing is sent.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final

from conversation import journal
from conversation.errors import StoreAway
from conversation.journal import Part, PartState
from conversation.models import in_milliseconds
from conversation.ports import Binding, Journal
from inbox.ports import Circuit, Passage
from sms.messages import OutboundSms, address_of
from sms.ports import ErrorClass, NotCreated, Outcome, Sender, Sent
from worker import retries
from worker.visit import Visit

#: A claim older than this is not acted upon: another holder may have judged it since.
CLAIM_GOOD_FOR_SECONDS: Final = 5.0
#: So many threads of one process may be between claim and first byte. A kill there cannot be told from a kill after the first
#: byte, so what it leaves is held, not sent; few at a time keeps both the number and the length of such moments small.
CLAIMS_AT_A_TIME: Final = 2
#: An outcome is worth more than a visit: this often the journal is asked to take it.
BIND_TRIES: Final = 4
BIND_PAUSE_SECONDS: Final = 0.5
#: Why somebody gets no reply for a while.
LOOP: Final = "two machines seem to talk to each other"
#: A part that is due later than this does not hold the person's other replies back, if it is a second try.
_LONGEST_WAIT_MS: Final = int(retries.LONGEST_PAUSE.total_seconds() * 1000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """The numbers that delivery obeys."""

    #: The webhook's public address, to which Twilio reports.
    public_url: str
    validity_seconds: int
    patience_seconds: float
    max_age_seconds: float


class Alarm(StrEnum):
    """What a person should look at."""

    #: Our account or its configuration is refused: nothing is sent any more.
    STOPPED = "sending stopped"
    #: The carrier says that two machines talk to each other.
    LOOP = "loop"
    #: An answer that concerns one message, and that somebody should know of.
    STRANGE = "carrier objects"


class _Window:
    """One claim's way to its first byte."""

    def __init__(self, leave: Callable[[], None]) -> None:
        self._begun = time.monotonic()
        self._leave: Callable[[], None] | None = leave

    def first_byte(self) -> bool:
        """Whether the claim is fresh enough to be acted upon; the window ends here either way."""
        self.leave()
        return time.monotonic() - self._begun < CLAIM_GOOD_FOR_SECONDS

    def leave(self) -> None:
        """Let the next one in; a second call does nothing."""
        leave, self._leave = self._leave, None
        if leave is not None:
            leave()


class Delivery:
    """Brings the parts of a reply to the carrier, in order.

    `noted` is told the state that each attempt leaves its part in; `alarm`, what a person should look at. `pace` says in how many milliseconds
    it is a part's turn to leave its number; negative: that is too long to wait for, and no place was taken.
    """

    def __init__(  # noqa: PLR0913 - three keepers, the terms, and what a test replaces
        self,
        journal_: Journal,
        sender: Sender,
        circuit: Circuit,
        terms: Terms,
        *,
        rng: random.Random,
        noted: Callable[[Part], None] = lambda _: None,
        alarm: Callable[[Alarm, str], None] = lambda *_: None,
        pace: Callable[[Part], int] = lambda _: 0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._journal = journal_
        self._sender = sender
        self._terms = terms
        self._rng = rng
        self._noted = noted
        self._sleep = sleep
        self._circuit = circuit
        self._alarm = alarm
        self._pace = pace
        self._gate = threading.Semaphore(CLAIMS_AT_A_TIME)

    def deliver(self, visit: Visit, parts: Sequence[Part]) -> int | None:
        """Advance every part as far as it goes.

        Returns None when all are over, or the time of Redis's clock, in milliseconds, at which to look again.
        Raises `Fenced` when the person is another worker's by now, `StoreAway` and `CarrierAway` when either is.
        """
        for part in parts:
            due = self._advance(visit, part)
            if due is not None:
                return due
        return None

    def give_up(self, visit: Visit, parts: Sequence[Part], reason: str) -> tuple[Part, ...]:
        """Take what was never claimed, or proven not created, out of the way of the person's other texts, to the dead letters."""
        given_up = []
        for part in parts:
            if part.state in (PartState.NEW, PartState.RETRY):
                failed = Binding(state=PartState.FAILED, reason=reason)
                given_up.append(self._journal.bind(part, failed, now=visit.now()))
                self._noted(given_up[-1])
            else:
                given_up.append(part)
        return tuple(given_up)

    def _advance(self, visit: Visit, part: Part) -> int | None:
        if part.state is PartState.SENDING:
            # its claimant held a lower fence, so it is gone: whether its request left, nobody here can say
            part = self._journal.bind(part, _unknown(visit, "its sender died"), now=visit.now())
            self._noted(part)
        if part.state in (PartState.NEW, PartState.RETRY):
            if visit.now_ms() < part.due:
                # nobody waits until tomorrow for a second try: the reconciler finds it when it is due
                return part.due if part.due - visit.now_ms() <= _LONGEST_WAIT_MS or not part.again else None
            unwanted = self._unwanted(visit, part)
            if unwanted:
                binding = Binding(state=PartState.SUPPRESSED, reason=unwanted)
                self._noted(self._journal.bind(part, binding, now=visit.now()))
                return None
            passage = self._circuit.passage()
            if not passage.allowed:
                return visit.now_ms() + passage.wait_ms
            # a probe goes at any time: there are few
            wait_ms = 0 if passage.probe else self._pace(part)
            if wait_ms < 0:
                return visit.now_ms() - wait_ms
            if wait_ms:
                self._sleep(wait_ms / 1000)
            part = self._attempt(visit, part, passage)
        if part.state is PartState.RETRY:
            return part.due
        if part.state is PartState.UNKNOWN:
            patient_until = part.unknown_since + int(self._terms.patience_seconds * 1000)
            return patient_until if visit.now_ms() < patient_until else None
        return None

    def _attempt(self, visit: Visit, part: Part, passage: Passage) -> Part:
        self._sender.warm()
        with self._window() as window:
            claimed = self._journal.claim(
                part,
                fence=visit.fence,
                attempt_id=journal.new_attempt_id(part),
                now=visit.now(),
            )
            outcome = self._sender.send(self._message(claimed), may_begin=window.first_byte)
        # first of all: an outcome that is not written down is in doubt, whatever else can be reached
        bound = self._bind(visit, claimed, self._binding(visit, claimed, outcome))
        self._noted(bound)
        self._switch(outcome, passage)
        if isinstance(outcome, NotCreated):
            self._heed(visit, outcome)
        if not isinstance(outcome, Sent) and outcome.alarming:
            self._alarm(Alarm.STRANGE, outcome.reason)
        return bound

    def _heed(self, visit: Visit, refusal: NotCreated) -> None:
        """What a refusal says of the person, beyond this one message."""
        if refusal.code == retries.OPTED_OUT:
            self._journal.set_active(visit.user_id, active=False, fence=visit.fence, now=visit.now())
            visit.opened = replace(visit.conversation, is_active=False)
        elif refusal.error_class is ErrorClass.LOOP:
            self.end_loop(visit, refusal.reason)

    def end_loop(self, visit: Visit, reason: str) -> None:
        """Be silent towards this person for a while."""
        until_ms = visit.now_ms() + int(retries.LOOP_QUIET.total_seconds() * 1000)
        self._journal.set_quiet(visit.user_id, until_ms=until_ms, fence=visit.fence, now=visit.now())
        visit.opened = replace(visit.conversation, quiet_until=until_ms)
        self._alarm(Alarm.LOOP, reason)

    def _switch(self, outcome: Outcome, passage: Passage) -> None:
        """Open the circuit where the carrier refused us; close it where a probe shows that it no longer does."""
        if isinstance(outcome, NotCreated) and outcome.error_class is ErrorClass.CONFIGURATION:
            if self._circuit.open(outcome.reason):
                self._alarm(Alarm.STOPPED, outcome.reason)
        elif passage.probe and (isinstance(outcome, Sent) or _about_the_message(outcome)):
            self._circuit.close()

    @contextmanager
    def _window(self) -> Iterator[_Window]:
        """The time between a claim and its first byte. Few may be in it at once: whoever is killed there leaves UNKNOWN."""
        self._gate.acquire()
        window = _Window(self._gate.release)
        try:
            yield window
        finally:
            window.leave()

    def _message(self, part: Part) -> OutboundSms:
        return OutboundSms(
            to=address_of(part.user_id),
            sender=part.sender,
            messaging_service_sid=part.messaging_service_sid,
            body=part.content,
            status_callback=f"{self._terms.public_url}/sms/status?i={part.attempt_id}",
            validity_seconds=self._terms.validity_seconds,
        )

    def _binding(self, visit: Visit, part: Part, outcome: Outcome) -> Binding:
        if isinstance(outcome, Sent):
            return Binding(state=PartState.SENT, sid=outcome.sid, status=outcome.status, segments=outcome.segments)
        if not isinstance(outcome, NotCreated):
            return _unknown(visit, outcome.reason)
        decision = retries.decide(outcome, tries=part.tries, rng=self._rng)
        if isinstance(decision, retries.Again):
            due = visit.now_ms() + int(decision.in_.total_seconds() * 1000)
            return Binding(state=PartState.RETRY, due=due, error_code=outcome.code, reason=outcome.reason)
        return Binding(state=PartState.FAILED, error_code=outcome.code, reason=decision.reason)

    def _bind(self, visit: Visit, part: Part, binding: Binding) -> Part:
        """Write the outcome down, several times if need be: a lost one would have to be found again by evidence."""
        for _ in range(BIND_TRIES - 1):
            try:
                return self._journal.bind(part, binding, now=visit.now())
            except StoreAway:
                self._sleep(BIND_PAUSE_SECONDS)
        return self._journal.bind(part, binding, now=visit.now())

    def _unwanted(self, visit: Visit, part: Part) -> str:
        """Why a part is not to be sent any more; empty: it is."""
        if not visit.conversation.is_active:
            return "opted out"
        if visit.now_ms() < visit.conversation.quiet_until:
            return LOOP
        born_ms = max(int(part.arrived.partition("-")[0]), _milliseconds(part.facts.get("revived_at")))
        return "too old to send" if visit.now_ms() - born_ms > self._terms.max_age_seconds * 1000 else ""


def _milliseconds(moment: str | None) -> int:
    return in_milliseconds(datetime.fromisoformat(moment)) if moment else 0


def _about_the_message(outcome: Outcome) -> bool:
    """Whether the carrier looked at the message itself, so that it let us in."""
    return isinstance(outcome, NotCreated) and outcome.error_class in (
        ErrorClass.PERMANENT,
        ErrorClass.BUG,
        ErrorClass.LOOP,
    )


def _unknown(visit: Visit, reason: str) -> Binding:
    return Binding(state=PartState.UNKNOWN, unknown_since=visit.now_ms(), reason=reason)
