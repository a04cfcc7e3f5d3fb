"""The contract between webhook and worker: task names, versioned payloads, hashed user ids.

A payload outlives a release: the next worker reads an entry that the previous webhook wrote (`inbox.decoding`). New
fields get a default and the version stays. The version rises only if an old reader would misunderstand a new entry.
"""

from __future__ import annotations

import hashlib
import json
from typing import Final, NewType

from sms.messages import DeliveryReport, InboundSms

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
