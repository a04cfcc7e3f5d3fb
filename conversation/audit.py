"""Was anything sent to somebody who had said STOP? The journal knows both, by one clock.

A message counts as sent from the moment at which its attempt was claimed: from then on its request may have left. What was proven not created
(the carrier refused it) was not sent. What was claimed before its worker could know of the STOP, between its arrival and the moment at which it was
heeded, was under way: it is told, and is no offence.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from conversation.journal import PartState, milliseconds
from conversation.models import parse_time

#: How a turn that was a keyword is recorded.
STOPPED, STARTED = "keyword stop", "keyword start"
#: Nothing of these was created at the carrier.
_NOT_SENT: Final = frozenset({PartState.FAILED, PartState.SUPPRESSED, PartState.NEW, PartState.RETRY})

Row = Mapping[str, Any]  # Any: DynamoDB's values


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """The time from one STOP to the START after it; `until` None: it lasts."""

    #: The sid of the STOP.
    sid: str
    arrived: datetime
    #: When it was heeded.
    begun: datetime
    until: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that was sent to somebody who had said STOP, or a STOP that is not remembered."""

    user_id: str
    kind: str
    stop: str
    #: The part, as the journal calls it, and Twilio's sid of it.
    key: str = ""
    sid: str = ""
    at: datetime | None = None

    @property
    def is_offence(self) -> bool:
        """Whether it should never have happened."""
        return self.kind != UNDER_WAY


SENT, UNDER_WAY, FORGOTTEN = "sent after STOP", "under way when STOP came", "STOP is not remembered"


def silences(rows: Iterable[Row]) -> list[Silence]:
    """The silences of one person, oldest first, from the rows of its texts."""
    keywords = sorted(
        ((row, _settled(row)) for row in rows if row.get("reason") in (STOPPED, STARTED)),
        key=lambda found: (found[1], found[0]["arrived"]),
    )
    found: list[Silence] = []
    for row, at in keywords:
        open_ = found[-1] if found and found[-1].until is None else None
        if row["reason"] == STOPPED and open_ is None:
            arrived = datetime.fromtimestamp(milliseconds(row["arrived"]) / 1000, UTC)
            found.append(Silence(sid=str(row["sid"]), arrived=min(arrived, at), begun=at, until=None))
        elif row["reason"] == STARTED and open_ is not None:
            found[-1] = Silence(sid=open_.sid, arrived=open_.arrived, begun=open_.begun, until=at)
    return found


def audit(user_id: str, rows: Iterable[Row], *, is_active: bool) -> Iterator[Finding]:
    """What one person's rows show; `is_active`: whether the conversation is taken to be open."""
    kept = list(rows)
    silent = silences(kept)
    for row in kept:
        if not str(row["message_key"]).startswith("out#") or row.get("state") in _NOT_SENT:
            continue
        for at in _claims(row):
            for silence in silent:
                if silence.arrived <= at and (silence.until is None or at < silence.until):
                    kind = SENT if at >= silence.begun else UNDER_WAY
                    yield Finding(
                        user_id=user_id, kind=kind, stop=silence.sid, key=row["message_key"],
                        sid=str(row.get("sid", "")), at=at,
                    )  # fmt: skip
    if silent and silent[-1].until is None and is_active:
        yield Finding(user_id=user_id, kind=FORGOTTEN, stop=silent[-1].sid)


def _claims(row: Row) -> list[datetime]:
    """When attempts at a part were claimed; of a row that does not say, when it was sent, or written."""
    log = row.get("log", ())
    refused = {event.get("attempt") for event in log if event.get("state") in (PartState.RETRY, PartState.FAILED)}
    said = [
        event.get("at")
        for event in log
        if event.get("state") == PartState.SENDING and event.get("attempt") not in refused
    ]
    said = said or [row.get("claimed_at") or row.get("sent_at") or row.get("persisted_at")]
    return [at for at in map(parse_time, said) if at is not None]


def _settled(row: Row) -> datetime:
    at = parse_time(row.get("settled_at"))
    return at or datetime.fromtimestamp(milliseconds(row["arrived"]) / 1000, UTC)
