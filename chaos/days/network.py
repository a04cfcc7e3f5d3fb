"""The carrier of a day: it takes texts to the webhook and messages to the phones.

Messages are created, and the list is read, by the product's own carrier in memory (`sms.memory`).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final
from urllib.parse import parse_qs, urlsplit

from chaos.days.kernel import Kernel
from chaos.days.plan import LEAST_PEOPLE, LONGEST_STOP_SECONDS, OF_A_MESSAGE, OF_A_TEXT, Fault, Text, What
from sms import codes
from sms.memory import InMemorySender
from sms.messages import DeliveryReport, InboundSms, MessageSid
from sms.ports import Listed, Listing, NotCreated, OutboundSms, Outcome, Scope, Unknown, Verdict

START: Final = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
OUR_NUMBER: Final = "+15005550006"
#: The carrier gives up a webhook request after this time, and posts the text once more.
WEBHOOK_SECONDS: Final = 15.0
#: A message that fails in delivery with this code is sent a second time.
FAILED_CODE: Final = 30022
#: Every third message without a fault is reported as sent, too. All are reported as delivered.
REPORTED_AS_SENT: Final = 3
#: What the carrier refuses us with: an account that is not active, a number that is not ours, a person on trial.
REFUSALS: Final = (10001, 21606, 21608)


class Carrier(InMemorySender):
    """The carrier, whose list may be behind, and at which messages may be deleted, or their words."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        super().__init__(clock)
        #: The list shows no message created from then on; None: it is not behind.
        self.behind_since: datetime | None = None
        self.deleted: set[MessageSid] = set()
        self.wordless: set[MessageSid] = set()
        #: Message to when the list began to show it, in seconds of the day, if that was behind at first.
        self.listed_from: dict[MessageSid, float] = {}
        #: Messages that a reading of the list to their person has shown.
        self.shown: set[MessageSid] = set()

    def sent_to(self, person: str, *, for_the_last: timedelta) -> Listing:
        """List the messages to a person, newest first."""
        listing = self._as_seen(super().sent_to(person, for_the_last=for_the_last))
        self.shown |= {entry.sid for entry in listing.messages}
        return listing

    def sent_from(self, number: str, *, since: datetime) -> Listing:
        """List the messages from one of our numbers, newest first."""
        return self._as_seen(super().sent_from(number, since=since))

    def one(self, sid: MessageSid) -> Listing:
        """List one message."""
        return self._as_seen(super().one(sid))

    def _as_seen(self, listing: Listing) -> Listing:
        since = self.behind_since
        entries = [
            replace(entry, body="") if entry.sid in self.wordless else entry
            for entry in listing.messages
            if entry.sid not in self.deleted and (entry.inbound or since is None or entry.created < since)
        ]
        return replace(listing, messages=tuple(entries))


@dataclass(slots=True)
class Refusal:
    """The carrier refuses messages for a while."""

    verdict: Verdict
    person: str
    until: float
    #: How many requests it refused.
    refused: int = 0
    #: How many messages of the same scope it accepted afterwards, and whose answer arrived.
    accepted: int = 0

    def concerns(self, message: OutboundSms) -> bool:
        """Return whether it concerns a message."""
        return self.verdict.scope is not Scope.DESTINATION or message.to == self.person


def phone(person: int) -> str:
    """Return a person's telephone number."""
    return f"+1555123{person:04d}"


@dataclass(slots=True)
class _Message:
    """How one message is reported and listed."""

    faults: Mapping[What, Fault]

    def steps(self, dice: random.Random) -> list[tuple[float, str, int | None]]:
        """Return when the message changes its status, to which, and with which code."""
        sent, end = dice.uniform(0.2, 2.0), dice.uniform(2.0, 6.0)
        if What.DELIVERED_AFTER_ALL in self.faults:
            return [(sent, "sent", None), (end, "undelivered", FAILED_CODE), (end + 8.0, "delivered", None)]
        if What.UNDELIVERED in self.faults:
            return [(sent, "sent", None), (end, "undelivered", FAILED_CODE)]
        return [(sent, "sent", None), (end, "delivered", None)]

    def reports_after(self, steps: list[tuple[float, str, int | None]], dice: random.Random) -> list[tuple[float, int]]:
        """Return when each callback arrives, and which step it reports."""
        if What.REPORTS_MISSING in self.faults:
            return []
        late = self.faults[What.REPORTS_LATE].seconds if What.REPORTS_LATE in self.faults else 0.0
        times = [at + dice.uniform(0.02, 0.4) + late for at, _, _ in steps]
        if What.REPORTS_REVERSED in self.faults:
            times = [2 * times[-1] - at for at in times]
        reports = [(at, number) for number, at in enumerate(times)]
        if What.REPORTS_DOUBLED in self.faults:
            reports += [(at + dice.uniform(0.0, 3.0), number) for at, number in reports]
        return reports


class Network:
    """The carrier, and the people who text.

    `accept` and `receive` hand a text or a report to a webhook.
    `struck` is told which faults took effect.
    """

    def __init__(
        self,
        kernel: Kernel,
        seed: int,
        faults: tuple[Fault, ...],
        skew: float,
        struck: Callable[[What], None],
    ) -> None:
        self.kernel = kernel
        self.carrier = Carrier(self._clock)
        self.refusals: list[Refusal] = []
        #: How many posts, callbacks and changes of a status are still to come.
        self.pending = 0
        self.accept: Callable[[InboundSms, Callable[[], None]], None] = lambda _text, _accepted: None
        self.receive: Callable[[DeliveryReport], None] = lambda _: None
        #: Messages that were reported as failed.
        self.has_failed: set[str] = set()
        self._seed = seed
        self._faults = faults
        self._skew = skew
        self._struck = struck

    # What people send

    def text(self, text: Text) -> InboundSms:
        """Let a person send a text at its time; return it as the webhook gets it."""
        faults = self._of(text.number, texts=True)
        sms = InboundSms(
            sid=sid_of(self._seed, text.number), sender=phone(text.person), to=OUR_NUMBER,
            body=text.body,
        )  # fmt: skip
        self._plan(text.at, lambda: self._send_text(sms, faults))
        return sms

    def _send_text(self, sms: InboundSms, faults: Mapping[What, Fault]) -> None:
        self.carrier.received.append(
            Listed(sid=sms.sid, to=sms.to, sender=sms.sender, body=sms.body, status="received", inbound=True,
                   created=self._clock())
        )  # fmt: skip
        for what in faults:
            if what is not What.REPLY_FAILS:
                self._struck(what)
        if What.WEBHOOK_MISSING in faults:
            return
        now = self.kernel.now
        self._plan(now + 0.05, lambda: self._post(sms, tries=2))
        if What.WEBHOOK_DOUBLED in faults:
            self._plan(now + 0.05, lambda: self._post(sms, tries=1))
        if What.WEBHOOK_AGAIN in faults:
            self._plan(now + faults[What.WEBHOOK_AGAIN].seconds, lambda: self._post(sms, tries=1))

    def _post(self, sms: InboundSms, *, tries: int) -> None:
        """Post a text to the webhook; without its 200 in time, post it once more."""
        accepted: list[bool] = []
        self.accept(sms, lambda: accepted.append(True))
        if tries > 1:
            self._plan(
                self.kernel.now + WEBHOOK_SECONDS, lambda: None if accepted else self._post(sms, tries=tries - 1)
            )

    # What we send

    def create(self, message: OutboundSms) -> Outcome:
        """Take a request to send."""
        for refusal in self.refusals:
            if self.kernel.now < refusal.until and refusal.concerns(message):
                refusal.refused += 1
                # this is the answer, and no other that a fault had prepared for the request
                self.carrier.answers.clear()
                return NotCreated(verdict=refusal.verdict)
        if What.REPLY_FAILS in self._of(_answered(message), texts=True):
            self._struck(What.REPLY_FAILS)
            self.carrier.answers.clear()
            return Unknown(reason="503")
        before = len(self.carrier.created)
        outcome = self.carrier.send(message, may_begin=lambda: True)
        if len(self.carrier.created) > before:
            self._deliver(self.carrier.created[-1][0], message)
        return outcome

    def befall(self, fault: Fault) -> None:
        """Let something happen at the carrier."""
        carrier, person = self.carrier, phone(fault.nth)
        theirs = {sid for sid, message in carrier.created if message.to == person}
        if fault.what is What.WORDS_DELETED:
            carrier.wordless |= theirs
        elif fault.what is What.MESSAGES_DELETED:
            carrier.deleted |= theirs
        elif fault.what is What.LIST_BEHIND:
            carrier.behind_since = self._clock()
            self._plan(self.kernel.now + fault.seconds, self._catch_up)
        elif fault.what is What.CARRIER_REFUSES:
            verdict = codes.row_of(REFUSALS[fault.nth % len(REFUSALS)])
            assert verdict is not None
            person = phone(fault.nth % LEAST_PEOPLE)
            self.refusals.append(Refusal(verdict, person, self.kernel.now + fault.seconds))

    def _catch_up(self) -> None:
        carrier = self.carrier
        if carrier.behind_since is not None:
            late = [sid for sid, _ in carrier.created if carrier.created_at[sid] >= carrier.behind_since]
            carrier.listed_from |= dict.fromkeys(late, self.kernel.now)
        carrier.behind_since = None

    def accepted(self, message: OutboundSms) -> None:
        """Note that the caller knows that its message was accepted."""
        for refusal in self.refusals:
            # a refusal may be acted upon by a process that stood still meanwhile
            if self.kernel.now >= refusal.until + LONGEST_STOP_SECONDS and refusal.concerns(message):
                refusal.accepted += 1

    def _deliver(self, sid: MessageSid, message: OutboundSms) -> None:
        number = len(self.carrier.created)
        faults = self._of(number, texts=False, text=_answered(message))
        for what in faults:
            self._struck(what)
        dice = random.Random(f"{self._seed}|message|{number}")  # noqa: S311 - a simulation
        carrier, now, course = self.carrier, self.kernel.now, _Message(faults)
        steps = course.steps(dice)
        carrier.fates[sid] = ("queued", None)
        carrier.unpriced.add(sid)
        if What.LIST_LAGS in faults:
            carrier.hidden.add(sid)
            self._plan(now + faults[What.LIST_LAGS].seconds, lambda: carrier.hidden.discard(sid))
        for at, status, code in steps:
            self._plan(now + at, partial(self._change, sid, status, code))
        self._plan(now + steps[-1][0] + 1.0, lambda: carrier.unpriced.discard(sid))
        ours = {name: values[0] for name, values in parse_qs(urlsplit(message.status_callback).query).items()}
        for at, step in course.reports_after(steps, dice):
            if not faults and step == 0 and number % REPORTED_AS_SENT:
                continue
            report = DeliveryReport(
                sid=sid, to=message.to, status=steps[step][1], attempt_id=ours["i"], who=ours["w"],
                error_code=steps[step][2], sender=message.sender,
            )  # fmt: skip
            self._plan(now + at, partial(self._call_back, report))

    def _call_back(self, report: DeliveryReport) -> None:
        self.receive(report)

    def _change(self, sid: MessageSid, status: str, code: int | None) -> None:
        self.carrier.fates[sid] = (status, code)
        if code is not None:
            self.has_failed.add(sid)

    def _of(self, number: int, *, texts: bool, text: int = 0) -> Mapping[What, Fault]:
        """Return the faults of a text, or those of a message, alone or as one of all that answer a text."""
        kinds = OF_A_TEXT if texts else OF_A_MESSAGE
        places = {(number, 0), (0, text)} - {(0, 0)}
        return {
            fault.what: fault for fault in self._faults if (fault.nth, fault.text) in places and fault.what in kinds
        }

    def _plan(self, when: float, happen: Callable[[], None]) -> None:
        self.pending += 1

        def then() -> None:
            self.pending -= 1
            happen()

        self.kernel.at(when, then)

    def _clock(self) -> datetime:
        return START + timedelta(seconds=self.kernel.now + self._skew)


def sid_of(seed: int, number: int) -> MessageSid:
    """Return the SID of a text of a day."""
    return MessageSid(f"SM{seed % 10**12:012d}{number:020d}")


def _answered(message: OutboundSms) -> int:
    """Return the number of the text that a message answers."""
    return int(attempt_of(message).partition("-")[0][-20:])


def attempt_of(message: OutboundSms) -> str:
    """Return our id of the attempt that a message is."""
    return message.status_callback.rpartition("i=")[2]
