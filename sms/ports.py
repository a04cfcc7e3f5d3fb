"""The interface of a carrier: sending, its list of messages, and pictures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from sms.messages import Media, MessageSid


class ErrorClass(StrEnum):
    """What an error means for a message. The letters are those of `sms/codes.toml`."""

    #: Proven not created: the same message may be sent again.
    TRY_AGAIN = "T"
    #: It is unknown whether the message was created: only evidence can settle it.
    UNKNOWN = "U"
    #: Refused permanently, because of this person or this text.
    PERMANENT = "P"
    #: Account or configuration is wrong: an operator can mend it. The reply is kept.
    CONFIGURATION = "C"
    #: A limit was reached: only time mends it. The reply is kept.
    LIMIT = "L"
    #: Our request was not valid: a bug of ours.
    BUG = "B"
    #: Accepted, then failed on the way: one new attempt at most.
    FAILED_LATER = "R"
    #: Two machines answer each other.
    LOOP = "loop"


class Scope(StrEnum):
    """How far a refusal reaches."""

    #: Everything that we send.
    ACCOUNT = "account"
    #: One of our numbers or messaging services.
    SENDER = "sender"
    #: One channel of a sender, such as WhatsApp.
    CHANNEL = "channel"
    #: One person.
    DESTINATION = "destination"
    #: One message.
    MESSAGE = "message"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a refusal or a failure means: a row of `sms/codes.toml`, or what stands for one."""

    error_class: ErrorClass
    scope: Scope = Scope.MESSAGE
    #: Twilio's error code; None if there is none.
    code: int | None
    #: The meaning in words.
    means: str
    #: So many people must have been refused before a sender or channel is stopped for all.
    people: int = 1
    #: It concerns the messaging service that the request names.
    service: bool = False
    #: The person sent STOP to the carrier.
    opts_out: bool = False
    #: The pause before the next attempt, if it is not the usual one.
    pause: timedelta | None = None
    #: An operator should look, though nothing is stopped: a country is not enabled, or the code is not in the table.
    alarming: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """The carrier created the message."""

    sid: MessageSid
    status: str
    #: Segments that the carrier counted; 0 if it did not report them.
    segments: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class NotCreated:
    """It is proven that no message exists for this attempt."""

    verdict: Verdict
    #: The pause that Twilio asked for, if any.
    retry_after: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """The message may have been created. Never send it again without evidence."""

    reason: str
    #: An operator should look: the answer is not in the table.
    alarming: bool = False
    #: What the code in the answer means, if the table knows it: it may concern more than this message.
    verdict: Verdict | None = None


Outcome = Sent | NotCreated | Unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboundSms:
    """A request for one message. Every attempt at a reply part requests the same bytes."""

    to: str
    sender: str
    body: str
    #: The URL to which Twilio reports delivery. It holds our attempt id.
    status_callback: str
    #: How long Twilio may try to send the message, in seconds.
    validity_seconds: int
    messaging_service_sid: str | None = None


class Sender(Protocol):
    """A way to send one message."""

    def warm(self) -> None:
        """Open a connection before a claim is made, so that connecting takes none of the claim's time.

        Raises `CarrierAway` if there is no connection. Nothing was claimed then, so nothing is in doubt.
        """

    def send(self, message: OutboundSms, *, may_begin: Callable[[], bool]) -> Outcome:
        """Request `message` once.

        Twilio has no idempotency key: a second call makes a second message. `may_begin` is called just before the first
        byte. If it returns False, nothing is written and the outcome is `NotCreated`.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One message in the carrier's own list.

    The list proves that a message exists. It never proves that one does not exist: it can lag by minutes.
    """

    sid: MessageSid
    to: str
    sender: str
    body: str
    status: str
    inbound: bool
    #: By the carrier's clock.
    created: datetime
    error_code: int | None = None
    #: How many pictures came with it; `MessageList.pictures` lists them.
    pictures: int = 0
    segments: int = 0
    #: The amount charged, in `price_unit`, as the carrier writes it, such as `-0.00750`; None if not known yet.
    price: str | None = None
    price_unit: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """An extract of the carrier's list, newest first."""

    messages: tuple[Listed, ...]
    #: The `Date` of the answer, so that the age of an entry is measured by the clock that dated it.
    read_at: datetime
    #: Entries in another form than Twilio's.
    unreadable: tuple[MessageSid, ...] = ()


class MessageList(Protocol):
    """The carrier's list of messages. Every method raises `CarrierAway` if it cannot be read."""

    def sent_to(self, person: str, *, for_the_last: timedelta) -> Listing:
        """List the messages to a person that were created within this time."""

    def sent_from(self, number: str, *, since: datetime) -> Listing:
        """List the messages sent from one of our numbers since a time of the carrier's clock."""

    def received_by(self, number: str, *, since: datetime | None) -> Listing:
        """List the texts to one of our numbers since a time of the carrier's clock.

        With `since=None` the listing is empty and serves only to read that clock.
        """

    def one(self, sid: MessageSid) -> Listing:
        """List one message; the listing is empty if the carrier does not have it."""

    def pictures(self, sid: MessageSid) -> tuple[Media, ...]:
        """List the pictures that came with a text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """A picture's bytes."""

    content_type: str
    data: bytes


class MediaSource(Protocol):
    """A source of the pictures that came with texts."""

    def fetch(self, media: Media, *, seconds: float) -> Fetched:
        """Fetch a picture within about `seconds`.

        Raises `CarrierAway` if the picture is not available in time, is too large, or is on a host that is not allowed.
        """
