"""A carrier in memory for tests: it records each request and answers as configured."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta

from runtime.host import REAL
from sms.errors import CarrierAway, NotFound
from sms.messages import Media, MessageSid
from sms.ports import ErrorClass, Listed, Listing, NotCreated, OutboundSms, Outcome, Sent, Verdict


class InMemorySender:
    """Creates every message, unless `answers` holds another outcome for the next one.

    `created` holds the messages that a carrier's own list would show. An outcome of `Unknown` together with
    `creates_anyway` simulates an answer that was lost after the message was created.
    """

    def __init__(self, clock: Callable[[], datetime] = REAL.now) -> None:
        self.asked: list[OutboundSms] = []
        self.created: list[tuple[MessageSid, OutboundSms]] = []
        self.answers: deque[Outcome] = deque()
        self.creates_anyway = False
        self.away = False
        #: Texts that persons sent, with or without a webhook.
        self.received: list[Listed] = []
        #: More messages that the list shows to a person, by the address that was asked for.
        self.listed_to: dict[str, list[Listed]] = {}
        #: The pictures of texts; the list of a text without an entry cannot be read.
        self.media: dict[MessageSid, tuple[Media, ...]] = {}
        #: Messages that the list does not show yet.
        self.hidden: set[MessageSid] = set()
        self.created_at: dict[MessageSid, datetime] = {}
        #: Status and error code of messages that were not delivered.
        self.fates: dict[MessageSid, tuple[str, int | None]] = {}
        #: Messages whose price is not known yet.
        self.unpriced: set[MessageSid] = set()
        self.clock = clock
        self._numbers = itertools.count(1)

    def warm(self) -> None:
        """Raise `CarrierAway` if `away` is set."""
        if self.away:
            raise CarrierAway("the in-memory carrier is away")

    def send(self, message: OutboundSms, *, may_begin: Callable[[], bool]) -> Outcome:
        """Create `message` once, or return the next outcome of `answers`."""
        if not may_begin():
            late = Verdict(error_class=ErrorClass.TRY_AGAIN, code=None, means="claim too old to send")
            return NotCreated(verdict=late)
        self.asked.append(message)
        sid = MessageSid(f"SM{next(self._numbers):032x}")
        answer = self.answers.popleft() if self.answers else Sent(sid=sid, status="queued", segments=1)
        if isinstance(answer, Sent) or self.creates_anyway:
            self.created.append((sid, message))
            self.created_at[sid] = self.clock()
        return answer

    def sent_to(self, person: str, *, for_the_last: timedelta) -> Listing:
        """List the messages to a person, newest first."""
        self.warm()
        now = self.clock()
        shown = [
            self._listed(sid, message)
            for sid, message in reversed(self.created)
            if message.to == person and now - self.created_at[sid] <= for_the_last and sid not in self.hidden
        ]
        return Listing(messages=(*self.listed_to.get(person, ()), *shown), read_at=now)

    def sent_from(self, number: str, *, since: datetime) -> Listing:
        """List the messages from one of our numbers, newest first."""
        self.warm()
        shown = [
            self._listed(sid, message)
            for sid, message in reversed(self.created)
            if message.sender == number and self.created_at[sid] >= since and sid not in self.hidden
        ]
        return Listing(messages=tuple(shown), read_at=self.clock())

    def _listed(self, sid: MessageSid, message: OutboundSms) -> Listed:
        status, code = self.fates.get(sid, ("delivered", None))
        return Listed(
            sid=sid, to=message.to, sender=message.sender, body=message.body, status=status, error_code=code,
            inbound=False, created=self.created_at[sid], segments=1,
            price=None if sid in self.unpriced else "-0.00750", price_unit="USD",
        )  # fmt: skip

    def received_by(self, number: str, *, since: datetime | None) -> Listing:
        """List the texts to one of our numbers, newest first."""
        self.warm()
        shown = [text for text in reversed(self.received) if text.to == number and since and text.created >= since]
        return Listing(messages=tuple(shown), read_at=self.clock())

    def one(self, sid: MessageSid) -> Listing:
        """List one message."""
        self.warm()
        sent = [self._listed(created, message) for created, message in self.created if created == sid]
        received = [text for text in self.received if text.sid == sid]
        return Listing(messages=(*sent, *received), read_at=self.clock())

    def pictures(self, sid: MessageSid) -> tuple[Media, ...]:
        """List the pictures that came with a text."""
        self.warm()
        if sid not in self.media:
            raise NotFound(status=404)
        return self.media[sid]
