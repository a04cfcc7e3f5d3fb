"""Texts and delivery reports, parsed once from Twilio's forms.

Twilio's fields and their meaning: https://www.twilio.com/docs/messaging/guides/webhook-request (read 2026-11).
Only `MessageSid`, `AccountSid`, `From` and `To` are required; any other field may be missing, blank or new.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NewType
from urllib.parse import quote

#: Twilio's id of one message, inbound or outbound: `SM` or `MM` and 32 hexadecimal digits.
MessageSid = NewType("MessageSid", str)

#: Twilio allows ten media per message.
MAX_MEDIA: Final = 10
#: Twilio's longest body is 1600 characters; anything longer did not come from a telephone.
MAX_BODY_CHARACTERS: Final = 1600
#: The longest text that a person can send on another channel. `OTHER_CHANNEL` holds for channels without a row.
#: https://developers.facebook.com/docs/whatsapp/cloud-api/messages/text-messages (read 2026-11) and
#: https://developers.google.com/business-communications/rcs-business-messaging/guides/learn/faq (read 2026-11)
CHANNEL_BODY_CHARACTERS: Final[Mapping[str, int]] = {"sms": MAX_BODY_CHARACTERS, "whatsapp": 4096, "rcs": 3072}
OTHER_CHANNEL_BODY_CHARACTERS: Final = 4096
#: Ids, numbers and sender names are short. A longer value is an attack on an index key.
MAX_FIELD_CHARACTERS: Final = 200

_SID = re.compile(r"(?:SM|MM)[0-9a-fA-F]{32}")
_STATUS = re.compile(r"[a-z_]{1,40}")
#: `str.isdigit` and `int` take other scripts' digits, and do not agree on which.
COUNT: Final = re.compile(r"[0-9]{1,9}")
#: A person's hash has 24 hexadecimal digits; a longer value is not ours.
_WHO_CHARACTERS: Final = 24
_AT = re.compile(r"-?[0-9.]{1,20},-?[0-9.]{1,20}")
PLACE: Final = "application/vnd.geo"
#: A trace context, https://www.w3.org/TR/trace-context/#traceparent-header (version 00).
_TRACE = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


class UnusableText(Exception):
    """A signed request cannot be used: a field is missing or not valid.

    The message names the field, never its value: the webhook answers with it, and Twilio's debugger keeps it.
    """


def bare(address: str) -> str:
    """Return `address` without its channel: `whatsapp:+15551230001` becomes `+15551230001`."""
    return address.partition(":")[2] if ":" in address else address


def is_sid(text: str) -> bool:
    """Return whether a text is the id of a message, such as `SM` and 32 hexadecimal digits."""
    return _SID.fullmatch(text) is not None


def channel_of(address: str) -> str:
    """Return the channel of an address, such as `whatsapp`; `sms` if it names none."""
    channel, colon, _ = address.partition(":")
    return channel if colon else "sms"


def most_characters(address: str) -> int:
    """Return how long a text from this address can be, whether a webhook brings it or Twilio's list."""
    return CHANNEL_BODY_CHARACTERS.get(channel_of(address), OTHER_CHANNEL_BODY_CHARACTERS)


def user_of(person: str, number: str, *, per_number: bool) -> str:
    """Return the user id of a person: the person's address, such as `+15551230001`.

    If each of our numbers has its own conversations (`per_number`), the number is appended:
    `+15551230001/+15005550006`.
    """
    return f"{person}/{number}" if per_number else person


def trace_of(value: object) -> str:
    """Return a trace context that can be followed; empty if `value` is none."""
    return value if isinstance(value, str) and _TRACE.fullmatch(value) else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Media:
    """What came with a text; the URL of a place is a geo URI (RFC 5870) with its name as `q`."""

    url: str
    content_type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InboundSms:
    """One text that a person sent to one of our numbers."""

    #: Twilio's id, and the idempotency key of a text: a repeated webhook has the same one.
    sid: MessageSid
    #: The person's address. Usually E.164, but a short code or any other string must not break anything.
    sender: str
    #: The number of ours that was texted; the reply is sent from it.
    to: str
    body: str = ""
    media: tuple[Media, ...] = ()
    messaging_service_sid: str | None = None
    #: `STOP`, `START` or `HELP` if Twilio's Advanced Opt-Out recognised one.
    opt_out_type: str | None = None
    #: Found by the reconciler in Twilio's list, not delivered by a webhook.
    repaired: bool = False
    #: Age of the text by Twilio's clock when the reconciler found it.
    found_after_seconds: int = 0
    #: The trace context of the webhook's request, such as `00-<trace>-<span>-01`; empty if nothing is traced.
    trace: str = ""

    @classmethod
    def parse(cls, form: Mapping[str, str], trace: str = "") -> InboundSms:
        """Read Twilio's form fields.

        Raises `UnusableText` if a required field is missing, or if a field does not have Twilio's form.
        """
        sid = _required(form, "MessageSid")
        if not is_sid(sid):
            raise UnusableText("MessageSid is not the id of a message")
        body, sender, service = form.get("Body", ""), _required(form, "From"), form.get("MessagingServiceSid") or None
        if len(body) > most_characters(sender):
            raise UnusableText(f"Body is longer than {most_characters(sender)} characters")
        return cls(
            sid=MessageSid(sid),
            sender=sender,
            to=_required(form, "To"),
            body=body,
            media=_media(form),
            messaging_service_sid=service,
            opt_out_type=form.get("OptOutType") or None,
            trace=trace,
        )


def _required(form: Mapping[str, str], name: str) -> str:
    value = form.get(name, "").strip()
    if not value:
        raise UnusableText(f"{name} is missing")
    if len(value) > MAX_FIELD_CHARACTERS:
        raise UnusableText(f"{name} is longer than {MAX_FIELD_CHARACTERS} characters")
    return value


def _media(form: Mapping[str, str]) -> tuple[Media, ...]:
    number = form.get("NumMedia") or "0"
    if not COUNT.fullmatch(number):
        raise UnusableText("NumMedia is not a number")
    count = int(number)
    if count > MAX_MEDIA:
        raise UnusableText(f"NumMedia is not from 0 to {MAX_MEDIA}")
    media = ((form.get(f"MediaUrl{i}"), form.get(f"MediaContentType{i}", "")) for i in range(count))
    places: tuple[Media, ...] = ()
    # a place that a WhatsApp text shares: https://www.twilio.com/docs/whatsapp/message-features
    if _AT.fullmatch(at := f"{form.get('Latitude')},{form.get('Longitude')}"):
        name = quote(f"{form.get('Label', '')} {form.get('Address', '')}".strip()[:MAX_FIELD_CHARACTERS])
        places = (Media(url=f"geo:{at}?q={name}", content_type=PLACE),)
    return (*(Media(url=url, content_type=kind) for url, kind in media if url), *places)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryReport:
    """A signed status callback about one message that we sent."""

    sid: MessageSid
    #: The person's address: status callbacks are about messages to persons.
    to: str
    status: str
    #: Our id of the attempt, from the query of the callback's URL.
    attempt_id: str
    error_code: int | None = None
    #: The number of ours that sent the message; empty if the callback has none.
    sender: str = ""
    #: Our hash of the person, from the same query; empty if an earlier release sent the message. It leads to the row
    #: however Twilio writes the person's address.
    who: str = ""
    #: The trace context of the attempt, from the same query; empty if nothing is traced.
    trace: str = ""

    @classmethod
    def parse(cls, form: Mapping[str, str], attempt_id: str, who: str = "", trace: str = "") -> DeliveryReport:
        """Read a status callback's form fields. The list of statuses is open: any word is one.

        Raises `UnusableText` if it lacks the message, the recipient or the status.
        """
        sid = _required(form, "MessageSid")
        if not is_sid(sid):
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
            error_code=int(code) if COUNT.fullmatch(code) else None,
            sender=form.get("From", ""),
            who=who[:_WHO_CHARACTERS],
            trace=trace_of(trace),
        )
