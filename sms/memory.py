"""A carrier in memory: remembers what was asked of it, and answers as it was told to."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable

from sms.errors import CarrierAway
from sms.messages import MessageSid, OutboundSms
from sms.ports import ErrorClass, NotCreated, Outcome, Sent


class InMemorySender:
    """Creates every message, unless `answers` holds another outcome for the next one.

    `created` is what a carrier's own list would show. An outcome of `Unknown` with `creates_anyway` is the answer that was
    lost on its way back.
    """

    def __init__(self) -> None:
        self.asked: list[OutboundSms] = []
        self.created: list[tuple[MessageSid, OutboundSms]] = []
        self.answers: deque[Outcome] = deque()
        self.creates_anyway = False
        self.away = False
        self._numbers = itertools.count(1)

    def warm(self) -> None:
        """Raise `CarrierAway` where the carrier was taken away."""
        if self.away:
            raise CarrierAway("the carrier in memory is away")

    def send(self, message: OutboundSms, *, may_begin: Callable[[], bool]) -> Outcome:
        """Ask for `message` once."""
        if not may_begin():
            return NotCreated(error_class=ErrorClass.TRY_AGAIN, code=None, reason="claim too old to send")
        self.asked.append(message)
        sid = MessageSid(f"SM{next(self._numbers):032x}")
        answer = self.answers.popleft() if self.answers else Sent(sid=sid, status="queued")
        if isinstance(answer, Sent) or self.creates_anyway:
            self.created.append((sid, message))
        return answer
