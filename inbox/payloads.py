"""The contract between webhook and worker: task names, versioned payloads, hashed user ids.

A payload outlives a release: the next worker reads an entry that the previous webhook wrote. New fields get a default
and the version stays. The version rises only if an old reader would misunderstand a new entry.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final, NewType

from sms.messages import DeliveryReport, InboundSms, Media, MessageSid, trace_of

#: A keyed hash of a user id, 24 hexadecimal digits. Keys, tasks and dashboards show it instead of a telephone number.
Who = NewType("Who", str)

#: Reply to this person's waiting texts.
ANSWER_TASK: Final = "dadacat.answer"
#: Write waiting delivery reports to the journal.
RECEIPTS_TASK: Final = "dadacat.receipts"
#: Fold the messages that left the window of this person's conversation into its memory.
REMEMBER_TASK: Final = "dadacat.remember"
#: Recount what was spent after Redis was emptied.
COUNT_TASK: Final = "dadacat.count"
#: Push a wake-up task for each person who is due.
SWEEP_TASK: Final = "dadacat.sweep"
#: Look for texts and outcomes that were missed.
RECONCILE_TASK: Final = "dadacat.reconcile"

VERSION: Final = 1

_encode: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class UnreadableEntry(Exception):
    """The entry is malformed, or a newer release wrote it."""


def who(user_id: str, key: bytes) -> Who:
    """Return the hash under which a person is known outside the tables.

    `user_id`, such as `+15551230001` or `+15551230001/+15005550006`.
    """
    return Who(hashlib.blake2b(user_id.encode(), key=key[:64], digest_size=12).hexdigest())


def encode_text(text: InboundSms) -> bytes:
    """Encode a text for the inbox."""
    rare = {
        **({"media": [[m.url, m.content_type] for m in text.media]} if text.media else {}),
        **({"service": text.messaging_service_sid} if text.messaging_service_sid else {}),
        **({"opt_out": text.opt_out_type} if text.opt_out_type else {}),
        **({"repaired": True} if text.repaired else {}),
        **({"late": text.found_after_seconds} if text.found_after_seconds else {}),
        **({"trace": text.trace} if text.trace else {}),
    }
    # The string encoder exists already; an encoder of objects would be built anew for every text.
    return (
        f'{{"v":{VERSION},"sid":{_encode(text.sid)},"from":{_encode(text.sender)},"to":{_encode(text.to)},'
        f'"body":{_encode(text.body)}{"," + _encode(rare)[1:] if rare else "}"}'
    ).encode()


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


def encode_report(report: DeliveryReport) -> bytes:
    """Encode a delivery report for the receipts stream."""
    fields = {
        "v": VERSION,
        "sid": report.sid,
        "to": report.to,
        "status": report.status,
        "attempt": report.attempt_id,
        **({"error": report.error_code} if report.error_code is not None else {}),
        **({"from": report.sender} if report.sender else {}),
        **({"who": report.who} if report.who else {}),
        **({"trace": report.trace} if report.trace else {}),
    }
    return _encode(fields).encode()


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
