"""Find messages that were sent to a person after STOP. The journal records both by one clock.

A message counts as sent from the moment its attempt was claimed: from then on its request may have left.
A message that was proven not created (the carrier refused it) was not sent.
A message claimed after the STOP arrived and before it took effect was under way, because its worker could not know of
the STOP. It is reported, and is no offence.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from conversation.entries import accepted_at
from conversation.models import parse_time
from journal.states import PartState

#: The reasons recorded for a turn that was a keyword.
STOPPED, STARTED = "keyword stop", "keyword start"
#: In these states nothing was created at the carrier.
_NOT_SENT: Final = frozenset({PartState.FAILED, PartState.SUPPRESSED, PartState.NEW, PartState.RETRY})

Row = Mapping[str, Any]  # Any: DynamoDB's values


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """The time from one STOP to the START after it; `until` is None if no START came."""

    #: The sid of the STOP.
    sid: str
    arrived: datetime
    #: When the STOP took effect.
    begun: datetime
    until: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A message sent after STOP, or a STOP that is not in effect."""

    user_id: str
    kind: str
    stop: str
    #: The part's journal key, such as `out#SM1#0`, and its Twilio sid.
    key: str = ""
    sid: str = ""
    at: datetime | None = None

    @property
    def is_offence(self) -> bool:
        """Return whether this should never have happened."""
        return self.kind != UNDER_WAY


SENT, UNDER_WAY, FORGOTTEN = "sent after STOP", "under way when STOP came", "STOP is not remembered"


def silences(rows: Iterable[Row]) -> list[Silence]:
    """Return one person's silences, oldest first, from the rows of that person's texts."""
    keywords = sorted(
        ((row, _settled(row)) for row in rows if row.get("reason") in (STOPPED, STARTED)),
        key=lambda keyword: (keyword[1], keyword[0]["arrived"]),
    )
    periods: list[Silence] = []
    for row, at in keywords:
        open_ = periods[-1] if periods and periods[-1].until is None else None
        if row["reason"] == STOPPED and open_ is None:
            arrived = accepted_at(row["arrived"])
            periods.append(Silence(sid=str(row["sid"]), arrived=min(arrived, at), begun=at, until=None))
        elif row["reason"] == STARTED and open_ is not None:
            periods[-1] = Silence(sid=open_.sid, arrived=open_.arrived, begun=open_.begun, until=at)
    return periods


def audit(user_id: str, rows: Iterable[Row], *, is_active: bool) -> Iterator[Finding]:
    """Yield the findings in one person's rows. `is_active`: whether the conversation counts as open."""
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
    """Return when attempts at a part were claimed; if the row has no log, when it was sent or written."""
    log = row.get("log", ())
    refused = {event.get("attempt") for event in log if event.get("state") in (PartState.RETRY, PartState.FAILED)}
    times = [
        event.get("at")
        for event in log
        if event.get("state") == PartState.SENDING and event.get("attempt") not in refused
    ]
    times = times or [row.get("claimed_at") or row.get("sent_at") or row.get("persisted_at")]
    return [at for at in map(parse_time, times) if at is not None]


def _settled(row: Row) -> datetime:
    at = parse_time(row.get("settled_at"))
    return at or accepted_at(row["arrived"])
