"""The delivery reports on Redis: a stream that one group of workers reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

import redis

from inbox import decoding, keys, worker_keys
from inbox.connection import translated
from inbox.decoding import UnreadableEntry
from inbox.durations import milliseconds
from inbox.payloads import Who
from inbox.ports import Receipt
from sms.addresses import address_of
from sms.messages import DeliveryReport

#: All readers have one name, because Redis would keep the name of each process for ever.
READER: Final = "worker"
#: How many waiting reports are read at a time.
PAGE: Final = 500
#: After this time another worker takes over a report that its reader abandoned.
ABANDONED_AFTER: Final = timedelta(seconds=10)
#: The first word of Redis's answer if the group of readers, or the stream, does not exist.
_NO_GROUP: Final = "NOGROUP"


class RedisReports:
    """`inbox.ports.Reports` on Redis."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client

    @translated()
    def drain_begins(self) -> None:
        """Let the next report push a new drain task."""
        self._redis.delete(keys.DRAIN_REQUESTED)

    @translated()
    def read(self, *, limit: int) -> Sequence[Receipt]:
        """Return new reports, or reports that another reader abandoned if there are none."""
        self._ensure_group()
        try:
            return self._read(limit)
        except redis.ResponseError as exc:
            if _NO_GROUP not in str(exc):
                raise
            return []  # Redis was emptied a moment ago

    def _read(self, limit: int) -> Sequence[Receipt]:
        fresh: Any = self._redis.xreadgroup(worker_keys.REPORT_READERS, READER, {keys.REPORTS: ">"}, count=limit)
        streams = list(fresh.items()) if isinstance(fresh, dict) else list(fresh or [])
        entries = _flat(streams[0][1]) if streams else []
        if not entries:
            claimed: Any = self._redis.xautoclaim(
                keys.REPORTS, worker_keys.REPORT_READERS, READER,
                min_idle_time=milliseconds(ABANDONED_AFTER), count=limit,
            )  # fmt: skip
            entries = _flat(claimed[1])
        return [_receipt(entry_id.decode(), fields) for entry_id, fields in entries]

    @translated()
    def remove(self, entry_ids: Sequence[str]) -> None:
        """Acknowledge and delete reports in one transaction."""
        if not entry_ids:
            return
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.xack(keys.REPORTS, worker_keys.REPORT_READERS, *entry_ids)
            pipe.xdel(keys.REPORTS, *entry_ids)
            pipe.execute()

    def _ensure_group(self) -> None:
        try:
            self._redis.xgroup_create(keys.REPORTS, worker_keys.REPORT_READERS, id="0", mkstream=True)
        except redis.ResponseError as exc:
            if "BUSYGROUP" not in str(exc):
                raise


def forget_reports(client: redis.Redis, who: Who, user_id: str) -> int:
    """Delete the waiting reports about messages to a person; return their number."""
    removed, after = 0, "-"
    while entries := _flat(client.xrange(keys.REPORTS, min=after, count=PAGE)):
        receipts = [_receipt(entry_id.decode(), fields) for entry_id, fields in entries]
        theirs = [
            receipt.entry_id for receipt in receipts if receipt.report and _is_theirs(receipt.report, who, user_id)
        ]
        removed += int(client.xdel(keys.REPORTS, *theirs)) if theirs else 0
        after = f"({receipts[-1].entry_id}"
    return removed


def _is_theirs(report: DeliveryReport, who: Who, user_id: str) -> bool:
    """Return whether a report is about a person's message."""
    # Twilio does not always write an address in one way
    return report.who == who if report.who else report.to == address_of(user_id)


def _flat(entries: Any) -> list[tuple[bytes, dict[bytes, bytes]]]:  # Any: two protocol versions nest differently
    while entries and isinstance(entries[0], list) and entries[0] and isinstance(entries[0][0], list | tuple):
        entries = entries[0]
    return [(entry_id, fields) for entry_id, fields in entries if fields]


def _receipt(entry_id: str, fields: Mapping[bytes, bytes]) -> Receipt:
    try:
        return Receipt(entry_id=entry_id, report=decoding.decode_report(fields.get(b"report", b"")))
    except UnreadableEntry:
        return Receipt(entry_id=entry_id, report=None)
