"""Read the payloads that a webhook of this release or of an earlier one wrote (`inbox.payloads`)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from inbox.payloads import VERSION
from sms.messages import DeliveryReport, InboundSms, Media, MessageSid, trace_of


class UnreadableEntry(Exception):
    """The entry is malformed, or a newer release wrote it."""


def decode_text(payload: bytes) -> InboundSms:
    """Decode a text of any version up to this one. Raises `UnreadableEntry`."""
    fields = _fields(payload, "sid", "from", "to", "body")
    try:
        return InboundSms(
            sid=MessageSid(_string(fields["sid"])),
            sender=_string(fields["from"]),
            to=_string(fields["to"]),
            body=_string(fields["body"]),
            media=tuple(Media(url=_string(url), content_type=_string(kind)) for url, kind in fields.get("media", ())),
            messaging_service_sid=_string(fields.get("service", "")) or None,
            opt_out_type=_string(fields.get("opt_out", "")) or None,
            repaired=bool(fields.get("repaired", False)),
            found_after_seconds=int(fields.get("late", 0)),
            trace=trace_of(fields.get("trace")),
        )
    except (KeyError, TypeError, ValueError, OverflowError) as exc:
        raise UnreadableEntry(f"not a text: {type(exc).__name__}") from exc


def decode_report(payload: bytes) -> DeliveryReport:
    """Decode a delivery report of any version up to this one. Raises `UnreadableEntry`."""
    fields = _fields(payload, "sid", "to", "status", "attempt")
    try:
        return DeliveryReport(
            sid=MessageSid(_string(fields["sid"])),
            to=_string(fields["to"]),
            status=_string(fields["status"]),
            attempt_id=_string(fields["attempt"]),
            error_code=None if (code := fields.get("error")) is None else int(code),
            sender=_string(fields.get("from", "")),
            who=_string(fields.get("who", "")),
            trace=trace_of(fields.get("trace")),
        )
    except (KeyError, TypeError, ValueError, OverflowError) as exc:
        raise UnreadableEntry(f"not a delivery report: {type(exc).__name__}") from exc


def _fields(payload: bytes, *texts: str) -> Mapping[str, Any]:  # Any: JSON, read field by field
    """Return the fields of a payload; `texts` are those that must be strings."""
    try:
        fields = json.loads(payload)
    except (ValueError, RecursionError) as exc:
        raise UnreadableEntry("not JSON") from exc
    if not isinstance(fields, dict) or not isinstance(fields.get("v"), int):
        raise UnreadableEntry("no version")
    if fields["v"] > VERSION:
        raise UnreadableEntry(f"written by a newer release: version {fields['v']}")
    if not all(isinstance(fields.get(name), str) for name in texts):
        raise UnreadableEntry("a field is missing, or is no text")
    return fields


def _string(value: Any) -> str:  # Any: JSON
    """Return a string that can be stored. Raises `TypeError`, `UnicodeError`."""
    if not isinstance(value, str):
        raise TypeError(type(value).__name__)
    value.encode()
    return value
