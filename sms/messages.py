"""The texts, receipts and numbers that everything else speaks of; parsed once, at the edge.

Twilio's fields and their meaning: https://www.twilio.com/docs/messaging/guides/webhook-request (read 2026-11).
Only `MessageSid`, `AccountSid`, `From` and `To` are required; any other field may be missing, blank or new.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NewType

from sms.errors import UnusableText

#: Twilio's id of one message, inbound or outbound: `SM` or `MM` and 32 hexadecimal digits.
MessageSid = NewType("MessageSid", str)

#: Twilio allows ten media a message.
MAX_MEDIA: Final = 10
#: Twilio's longest body is 1600 characters; anything longer did not come from a telephone.
MAX_BODY_CHARACTERS: Final = 1600
#: An id, a number or a sender name is short; a longer one is an attack on an index key.
MAX_FIELD_CHARACTERS: Final = 200

_SID = re.compile(r"(?:SM|MM)[0-9A-Za-z_-]{1,64}")
_E164 = re.compile(r"\+[1-9][0-9]{1,14}")
_SHORT_CODE = re.compile(r"[0-9]{3,8}")
#: One of our numbers behind a person's address: `+1555…/+1500…`.
_PAIR = re.compile(r"/(?:[a-z]+:)?\+?[0-9]{3,15}$")
_STATUS = re.compile(r"[a-z]{1,40}")
_VISIBLE_DIGITS: Final = 2


def is_dialable(address: str, *, short_codes: bool = False) -> bool:
    """Whether `address` is a telephone number in E.164, its channel prefix aside; or a short code, where these count."""
    number = bare(address)
    return _E164.fullmatch(number) is not None or (short_codes and _SHORT_CODE.fullmatch(number) is not None)


def bare(address: str) -> str:
    """`address` without its channel: `whatsapp:+1555` and `+1555` are one telephone."""
    return address.partition(":")[2] if ":" in address else address


def user_of(person: str, number: str, *, per_number: bool) -> str:
    """The user id of a person: his address; or, where each of our numbers has a conversation of its own, that and the number."""
    return f"{person}/{number}" if per_number else person


def address_of(user_id: str) -> str:
    """The address that a user id stands for: itself, unless one of our numbers stands behind it."""
    return _PAIR.sub("", user_id)


def number_of(user_id: str) -> str:
    """Which of our numbers a user id's conversation is with; empty: with all of them."""
    found = _PAIR.search(user_id)
    return found.group()[1:] if found else ""


def masked(address: str) -> str:
    """`address` as a log may show it: all but the last two characters hidden."""
    return "*" * max(0, len(address) - _VISIBLE_DIGITS) + address[-_VISIBLE_DIGITS:]


@dataclass(frozen=True, slots=True, kw_only=True)
class Media:
    """A picture or sound that came with a text."""

    url: str
    content_type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InboundSms:
    """One text that a person sent to one of our numbers."""

    #: Twilio's id; the only thing that identifies a text, however often its webhook comes.
    sid: MessageSid
    #: The person. Usually E.164, but a short code or any other string must not break anything.
    sender: str
    #: Which of our numbers was texted; the reply leaves from it.
    to: str
    body: str = ""
    media: tuple[Media, ...] = ()
    messaging_service_sid: str | None = None
    #: `STOP`, `START` or `HELP` where Twilio's Advanced Opt-Out recognised one.
    opt_out_type: str | None = None
    #: Found by the reconciler in Twilio's list, not delivered by a webhook.
    repaired: bool = False
    #: How old it was, by Twilio's clock, when it was found there.
    found_after_seconds: int = 0

    @classmethod
    def parse(cls, form: Mapping[str, str]) -> InboundSms:
        """Read Twilio's form fields.

        Raises `UnusableText` when a required field is missing or cannot be what Twilio says it is.
        """
        sid = _required(form, "MessageSid")
        if not _SID.fullmatch(sid):
            raise UnusableText("MessageSid is not the id of a message")
        body = form.get("Body", "")
        if len(body) > MAX_BODY_CHARACTERS:
            raise UnusableText(f"Body is longer than {MAX_BODY_CHARACTERS} characters")
        return cls(
            sid=MessageSid(sid),
            sender=_required(form, "From"),
            to=_required(form, "To"),
            body=body,
            media=_media(form),
            messaging_service_sid=form.get("MessagingServiceSid") or None,
            opt_out_type=form.get("OptOutType") or None,
        )


def _required(form: Mapping[str, str], name: str) -> str:
    value = form.get(name, "").strip()
    if not value:
        raise UnusableText(f"{name} is missing")
    if len(value) > MAX_FIELD_CHARACTERS:
        raise UnusableText(f"{name} is longer than {MAX_FIELD_CHARACTERS} characters")
    return value


def _media(form: Mapping[str, str]) -> tuple[Media, ...]:
    said = form.get("NumMedia") or "0"
    if said == "0":
        return ()
    try:
        count = int(said)
    except ValueError:
        raise UnusableText("NumMedia is not a number") from None
    if not 0 <= count <= MAX_MEDIA:
        raise UnusableText(f"NumMedia is not from 0 to {MAX_MEDIA}")
    return tuple(
        Media(url=form[f"MediaUrl{i}"], content_type=form.get(f"MediaContentType{i}", ""))
        for i in range(count)
        if form.get(f"MediaUrl{i}")
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboundSms:
    """One message as it is asked of Twilio; every attempt at one part asks for the same bytes."""

    to: str
    sender: str
    body: str
    #: Where Twilio reports what became of it; carries our attempt id.
    status_callback: str
    #: How long Twilio may hold it back before it gives up, in seconds.
    validity_seconds: int
    messaging_service_sid: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryReport:
    """What a signed status callback says of one message that we sent."""

    sid: MessageSid
    #: The person's address: callbacks of ours are about messages to a person.
    to: str
    status: str
    #: Our own id of the attempt, from the callback's query.
    attempt_id: str
    error_code: int | None = None
    #: Our number that it left from; empty: the callback did not say.
    sender: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, form: Mapping[str, str], attempt_id: str) -> DeliveryReport:
        """Read a status callback's form fields.

        Raises `UnusableText` when it does not say which message, to whom, or what became of it.
        """
        sid = _required(form, "MessageSid")
        if not _SID.fullmatch(sid):
            raise UnusableText("MessageSid is not the id of a message")
        code = form.get("ErrorCode", "")
        status = (form.get("MessageStatus") or _required(form, "SmsStatus")).lower()
        if not _STATUS.fullmatch(status):
            raise UnusableText("MessageStatus is not a word")
        return cls(
            sid=MessageSid(sid),
            to=_required(form, "To"),
            status=status,
            attempt_id=attempt_id,
            error_code=int(code) if code.isdigit() else None,
            sender=form.get("From", ""),
        )
