"""Decide when a part's absence from the carrier's list counts. Pure: no I/O.

By default it never does: the list proves presence only. Under `UNKNOWN_POLICY=resend` the operator has chosen that a
reply in doubt is sent again, once, if all of this holds:

- the doubt is at least `UNKNOWN_RESEND_AFTER_SECONDS` old;
- since then the list was read whole at least `LOOKS` times, and no reading showed a message that may be this one;
- each reading showed a younger message from the same number, so the list was not behind;
- each reading showed every message to this person that is known to exist, so none is deleted there;
- no operator has spoken of the part, and it is younger than `MAX_AGE_SECONDS`.

A message without words may be any: its words were deleted at the carrier.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Final

from inbox.durations import moment
from journal.model import ReplyPart
from journal.states import PartState
from sms.ports import Listed, Listing
from worker.reconcile import evidence

#: How often the list must have been read since the doubt, the last time included.
LOOKS: Final = 3
#: The shortest time between two readings that count: a list that is behind stays so for a moment.
BETWEEN_LOOKS: Final = timedelta(seconds=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """The operator's choice."""

    #: The age of a doubt from which absence counts.
    after: timedelta
    #: A reply older than this is not sent again.
    max_age: timedelta


class Look(Enum):
    """What one reading of the list says of a part that it does not settle."""

    #: A message on it may be this one.
    PERHAPS = "perhaps"
    #: It may be behind, or messages were deleted there.
    NOTHING = "nothing"
    #: It is not on a list that shows what it must.
    ABSENT = "absent"


def look(part: ReplyPart, parts: Sequence[ReplyPart], listing: Listing, newest: Listed | None, now: datetime) -> Look:
    """Return what a reading says of a part.

    `parts` are the person's newest parts in any state. `newest` is the newest message of its number, to any person.
    """
    age = now - evidence.claimed_at(part)
    bound = {other.sid for other in parts if other.sid}
    shown = {entry.sid for entry in listing.messages}
    ours = [entry for entry in listing.messages if evidence.may_leave_as(entry, part)]
    if any(entry.sid not in bound and (not entry.body or evidence.is_like(entry, part)) for entry in ours):
        return Look.PERHAPS
    known = {
        other.sid
        for other in parts
        if other.sid and other.state is PartState.SENT and other.claimed_at and evidence.claimed_at(other) >= now - age
    }
    if listing.unreadable or not known <= shown:
        return Look.NOTHING
    seen = ours if newest is None else [*ours, newest]
    is_current = any(listing.read_at - entry.created < age - evidence.SLACK for entry in seen)
    return Look.ABSENT if is_current else Look.NOTHING


def may_be_sent_again(part: ReplyPart, terms: Terms, now: datetime) -> bool:
    """Return whether a part in doubt may be sent again, now or later, if the list goes on not showing it."""
    untouched = part.resent is None and part.perhaps_listed_at is None and "word" not in part.facts
    return part.state is PartState.UNKNOWN and untouched and now - moment(part.born_ms) <= terms.max_age


def counts(part: ReplyPart, now: datetime) -> bool:
    """Return whether one more reading counts: the last one that did is long enough ago."""
    looks = looks_since_doubt(part)
    return not looks or now - looks[-1] >= BETWEEN_LOOKS


def is_enough(part: ReplyPart, terms: Terms, now: datetime) -> bool:
    """Return whether a reading at `now` that does not show the part is the last one that is needed."""
    return len(looks_since_doubt(part)) + 1 >= LOOKS and now - moment(part.unknown_since) >= terms.after


def looks_since_doubt(part: ReplyPart) -> list[datetime]:
    """Return the readings that counted since the outcome became unknown."""
    since = moment(part.unknown_since)
    return [look for look in map(datetime.fromisoformat, part.looks) if look > since]
