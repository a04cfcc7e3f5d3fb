"""What the worker needs of a carrier: one attempt, one outcome."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from sms.messages import Media, MessageSid, OutboundSms


class ErrorClass(StrEnum):
    """What an error means for the message that met it. The letters are those of `twilio_errors.toml`."""

    #: Proven not created: the same message may be tried again.
    TRY_AGAIN = "T"
    #: Nobody can say whether it was created: only evidence settles it.
    UNKNOWN = "U"
    #: Refused for good, because of this person or this text.
    PERMANENT = "P"
    #: Our account or configuration is wrong: nothing can be sent, every turn is kept.
    CONFIGURATION = "C"
    #: We asked for something that cannot be asked: a bug of ours.
    BUG = "B"
    #: Accepted, then failed on its way: one new attempt at most.
    FAILED_LATER = "R"
    #: Two machines talk to each other.
    LOOP = "loop"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """Twilio created the message."""

    sid: MessageSid
    status: str
    #: How many segments the carrier counted; 0: it did not say.
    segments: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class NotCreated:
    """Proven: no message exists for this attempt."""

    error_class: ErrorClass
    #: Twilio's code, or None where the request never reached it.
    code: int | None
    reason: str
    #: How long Twilio asked us to wait, where it did.
    retry_after: timedelta | None = None
    #: Somebody should look: a country that is not enabled, two machines in a loop, a code that no table knows.
    alarming: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """The request may have been carried out: never send again without evidence."""

    reason: str
    #: Somebody should look: no table knows this answer.
    alarming: bool = False


Outcome = Sent | NotCreated | Unknown


class Sender(Protocol):
    """A way to send one message."""

    def warm(self) -> None:
        """Have a connection ready before a claim is made, so that the claim's seconds are not spent on it.

        Raises `CarrierAway` when there is none to be had: nothing was claimed, so nothing is in doubt.
        """

    def send(self, message: OutboundSms, *, may_begin: Callable[[], bool]) -> Outcome:
        """Ask for `message` once.

        There is no idempotency key at Twilio: a second call makes a second message. `may_begin` is asked just before the
        first byte; where it says no, nothing is written and the outcome is `NotCreated`.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One message as the carrier's own list shows it. The list proves presence, never absence: it can lag by minutes."""

    sid: MessageSid
    to: str
    sender: str
    body: str
    status: str
    inbound: bool
    #: By the carrier's clock.
    created: datetime
    error_code: int | None = None
    media: tuple[Media, ...] = ()
    segments: int = 0
    #: What was charged, in `price_unit`, as the carrier writes it; None: it is not known yet.
    price: str | None = None
    price_unit: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What the list showed, newest first."""

    messages: tuple[Listed, ...]
    #: The answer's own `Date`: ages of its entries are judged by the clock that dated them.
    read_at: datetime


class Ledger(Protocol):
    """What the carrier says has happened."""

    def sent_to(self, person: str, *, for_the_last: timedelta) -> Listing:
        """Messages to a person that were created within a time. Raises `CarrierAway`."""

    def sent_from(self, number: str, *, since: datetime) -> Listing:
        """Messages that left one of our numbers since a time of the carrier's clock. Raises `CarrierAway`."""

    def received_by(self, number: str, *, since: datetime | None) -> Listing:
        """Texts that came to one of our numbers since a time of the carrier's clock (None: only that clock is asked for). Raises `CarrierAway`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """A picture's bytes."""

    content_type: str
    data: bytes


class Album(Protocol):
    """Where pictures are that came with a text."""

    def fetch(self, media: Media, *, seconds: float) -> Fetched:
        """A picture. Raises `CarrierAway` where it cannot be had in about that time, is too large, or lies with a stranger."""
