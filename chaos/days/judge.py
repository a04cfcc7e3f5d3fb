"""What must hold at the end of a day: the auditor's account of every text, and what it does not see."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chaos.auditor import OFFENCES, UNDER_WAY, Evidence, ListedMessage, Row, SentText, Verdict, audit
from chaos.days import silences, sums
from chaos.days.plan import MAX_AGE_SECONDS
from chaos.tables import conversation_of, row_of
from conversation import schema
from conversation.table import Query
from inbox import keys
from sms.messages import InboundSms, MessageSid
from sms.ports import OutboundSms
from worker.send_marks.mark_file import Slot, slots_in

if TYPE_CHECKING:
    from chaos.days.day import Day


def slots(path: Path) -> tuple[Slot, ...]:
    """Return what a file of marks holds."""
    return slots_in(path.read_bytes(), path.parent.name)


def is_at_rest(day: Day, texts: Sequence[InboundSms]) -> bool:
    """Return whether nothing is left to do."""
    if day.server.zcard(keys.WAITING) or day.server.llen(keys.QUEUE) or day.server.xlen(keys.REPORTS):
        return False
    rows = list(_rows(day))
    known = {row.key for row in rows}
    carrier = day.network.carrier
    sent = [row for row in rows if row.is_part and row.state == "SENT" and row.sid not in carrier.deleted]
    return (
        all(row.state not in UNDER_WAY for row in rows)
        and all(f"in#{text.sid}" in known for text in texts)
        and all(row.status == carrier.fates[MessageSid(row.sid)][0] for row in sent)
    )


def judge(day: Day, texts: Sequence[InboundSms]) -> Verdict:
    """Account for every text, and add what is wrong to the day's offences."""
    rows = list(_judged(day))
    evidence = Evidence(
        texts=[SentText(sid=text.sid, person=text.sender, forgets=text.body == "RESET") for text in texts],
        listed=[
            _listed(day, sid, message, rows)
            for sid, message in day.network.carrier.created
            if not _is_out_of_sight(day, rows, sid, message)
        ],
        rows=rows,
        conversations=[conversation_of(item) for item in _scan(day, schema.CONVERSATIONS)],
        excuses=day.excuses,
        silences=silences.allowed(day.plan.terms, texts),
        at_rest=True,
    )
    verdict = audit(evidence)
    for kind in OFFENCES:
        for offence in getattr(verdict, kind):
            day.offend(f"{kind}: {offence}")
    _statuses(day, rows)
    for offence in chain(silences.offences(day, texts, rows), sums.offences(day, texts, rows)):
        day.offend(offence)
    if day.server.zcard(keys.WAITING):
        day.offend("a text waits for ever")
    return verdict


def _is_out_of_sight(day: Day, rows: Sequence[Row], sid: MessageSid, message: OutboundSms) -> bool:
    """Return whether a message that belongs to no part cannot be known of.

    The list began to show it when its part was held, or it or its words were deleted.
    A reply in doubt may be that message. And no condition sees that it exists if it was deleted before any reading of
    the list, together with all that was sent to its person since.
    """
    carrier = day.network.carrier
    if any(row.sid == sid for row in rows):
        return False
    alike = [row for row in rows if row.is_part and row.person == message.to and row.content == message.body]
    listed = carrier.listed_from.get(sid, 0.0)
    if any(row.state == "HELD" and day.rules.held_at[row.key] <= listed for row in alike):
        return True
    if sid not in carrier.deleted | carrier.wordless:
        return False
    if any(row.state in {"HELD", "UNKNOWN"} for row in alike):
        return True
    owned = {row.sid for row in rows if row.is_part and row.state == "SENT"}
    since = carrier.created_at[sid]
    told = [
        other
        for other, sent in carrier.created
        if other in owned & carrier.deleted and sent.to == message.to and carrier.created_at[other] > since
    ]
    return sid in carrier.deleted and sid not in carrier.shown and not told


def _statuses(day: Day, rows: Sequence[Row]) -> None:
    """Check that each sent part shows what became of its message."""
    for row in rows:
        fate = day.network.carrier.fates.get(MessageSid(row.sid))
        if row.is_part and row.state == "SENT" and fate is not None and row.sid not in day.network.carrier.deleted:
            status = fate[0]
            if row.status != status:
                day.offend(f"status: {row.key} says {row.status}, the carrier {status}")


def _rows(day: Day) -> Iterator[Row]:
    for item in _scan(day, schema.MESSAGES):
        if not item["user_id"].startswith("#"):
            yield row_of(item)


def _scan(day: Day, table: str) -> Sequence[Any]:
    return day.tables.query(Query(table=table)).rows


def _judged(day: Day) -> Iterator[Row]:
    """Yield the rows; a text that is too old is as good as one without a reply, if its day has such texts."""
    for row in _rows(day):
        is_stale = row.state == "STALE" and day.plan.terms.max_age < MAX_AGE_SECONDS
        yield replace(row, state="SILENT") if is_stale else row


def _listed(day: Day, sid: MessageSid, message: OutboundSms, rows: Sequence[Row]) -> ListedMessage:
    status, code = day.network.carrier.fates[sid]
    if sid in day.network.carrier.deleted and not any(row.sid == sid and row.status == status for row in rows):
        status, code = "sent", None  # what became of it since can be read nowhere
    return ListedMessage(
        sid=sid, person=message.to, body=message.body, status=status, error_code=code,
        has_failed=sid in day.network.has_failed,
    )  # fmt: skip
