"""What the two sides of the inbox agree on: names of tasks and queues, payloads with a version, and who is who.

A payload outlives a release: an entry written by the previous webhook is read by the next worker. New fields are added with a
default and the version stays; the version rises only when an old reader would misunderstand a new entry.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final, NewType

from sms.messages import DeliveryReport, InboundSms, Media, MessageSid

#: A keyed hash of a user id: what keys, tasks and dashboards show instead of a number.
Who = NewType("Who", str)

#: The one queue. Doorbells only: whatever is lost with it is rung again.
QUEUE: Final = "doorbells"
#: Give this person's waiting texts their replies.
ANSWER_TASK: Final = "dadacat.answer"
#: Write waiting delivery reports to the journal.
RECEIPTS_TASK: Final = "dadacat.receipts"
#: Fold what the window of this person's conversation does not hold any more into its memory.
REMEMBER_TASK: Final = "dadacat.remember"
#: Count again what was spent, where Redis was emptied.
COUNT_TASK: Final = "dadacat.count"
#: Ring for everybody who is due.
SWEEP_TASK: Final = "dadacat.sweep"
#: Look for what was missed.
RECONCILE_TASK: Final = "dadacat.reconcile"

VERSION: Final = 1


_encode: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class UnreadableEntry(Exception):
    """An entry that no version of this code wrote, or that a newer one did."""


def who(user_id: str, key: bytes) -> Who:
    """The name under which a person is known outside the tables."""
    return Who(hashlib.blake2b(user_id.encode(), key=key[:64], digest_size=12).hexdigest())


def encode_text(text: InboundSms) -> bytes:
    """A text as it lies in the inbox."""
    rare = {
        **({"media": [[m.url, m.content_type] for m in text.media]} if text.media else {}),
        **({"service": text.messaging_service_sid} if text.messaging_service_sid else {}),
        **({"opt_out": text.opt_out_type} if text.opt_out_type else {}),
        **({"repaired": True} if text.repaired else {}),
        **({"late": text.found_after_seconds} if text.found_after_seconds else {}),
    }
    # an encoder of single strings is at hand, one of objects is made anew for each: on the way of every text
    return (
        f'{{"v":{VERSION},"sid":{_encode(text.sid)},"from":{_encode(text.sender)},"to":{_encode(text.to)},'
        f'"body":{_encode(text.body)}{"," + _encode(rare)[1:] if rare else "}"}'
    ).encode()


def decode_text(payload: bytes) -> InboundSms:
    """Read an entry of any version up to this one. Raises `UnreadableEntry`."""
    fields = _fields(payload)
    try:
        return InboundSms(
            sid=MessageSid(fields["sid"]),
            sender=fields["from"],
            to=fields["to"],
            body=fields["body"],
            media=tuple(Media(url=url, content_type=kind) for url, kind in fields.get("media", ())),
            messaging_service_sid=fields.get("service"),
            opt_out_type=fields.get("opt_out"),
            repaired=bool(fields.get("repaired", False)),
            found_after_seconds=int(fields.get("late", 0)),
        )
    except (KeyError, TypeError, ValueError) as exc:
        raise UnreadableEntry(f"not a text: {type(exc).__name__}") from exc


def encode_report(report: DeliveryReport) -> bytes:
    """A delivery report as it lies among the receipts."""
    return _dumps(
        {
            "v": VERSION,
            "sid": report.sid,
            "to": report.to,
            "status": report.status,
            "attempt": report.attempt_id,
            **({"error": report.error_code} if report.error_code is not None else {}),
            **({"from": report.sender} if report.sender else {}),
        }
    )


def decode_report(payload: bytes) -> DeliveryReport:
    """Read a delivery report of any version up to this one. Raises `UnreadableEntry`."""
    fields = _fields(payload)
    try:
        return DeliveryReport(
            sid=MessageSid(fields["sid"]),
            to=fields["to"],
            status=fields["status"],
            attempt_id=fields["attempt"],
            error_code=fields.get("error"),
            sender=fields.get("from", ""),
        )
    except (KeyError, TypeError, ValueError) as exc:
        raise UnreadableEntry(f"not a delivery report: {type(exc).__name__}") from exc


def _dumps(fields: Mapping[str, Any]) -> bytes:
    return _encode(fields).encode()


def _fields(payload: bytes) -> Mapping[str, Any]:  # Any: JSON, read field by field
    try:
        fields = json.loads(payload)
    except ValueError as exc:
        raise UnreadableEntry("not JSON") from exc
    if not isinstance(fields, dict) or not isinstance(fields.get("v"), int):
        raise UnreadableEntry("no version")
    if fields["v"] > VERSION:
        raise UnreadableEntry(f"written by a newer release: version {fields['v']}")
    return fields
