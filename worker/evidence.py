"""What the carrier's list says of parts whose outcome nobody knows. A pure decision: who is bound to what.

The list proves presence, never absence. An entry is evidence for a part when it has the same recipient, sender and words, was created no earlier
than the part was claimed, and is bound to no other part. Where several parts that say the same are in doubt and fewer entries are there,
nobody can tell whose they are, and none is bound.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from conversation.journal import Part, PartState
from sms.messages import address_of
from sms.ports import Listed, Listing

#: How far the rates of two clocks, and the way of a request, may put an entry before its claim.
SLACK: Final = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Found:
    """An entry that is a part's own."""

    part: Part
    entry: Listed


def match(listing: Listing, parts: Sequence[Part], *, now: datetime) -> list[Found]:
    """Which entries are which unknown parts' own.

    `parts` are the person's newest parts, whatever their state: what is bound to one of them is no evidence for another.
    `now` is Redis's clock, which dated the claims; entries are dated by the listing's own. Only ages are compared.
    """
    bound = {part.sid for part in parts if part.sid}
    doubtful = [part for part in parts if part.state is PartState.UNKNOWN]
    found: list[Found] = []
    for words in {(part.content, _sender(part)) for part in doubtful}:
        alike = sorted(
            (part for part in doubtful if (part.content, _sender(part)) == words), key=lambda part: part.arrived
        )
        if any(part.state is PartState.SENDING and (part.content, _sender(part)) == words for part in parts):
            continue  # one of the same words is on its way right now: an entry may be its own
        oldest = max(now - _claimed(part) for part in alike)
        entries = [
            entry
            for entry in reversed(listing.messages)
            if _is_like(entry, alike) and entry.sid not in bound and listing.read_at - entry.created <= oldest + SLACK
        ]
        if len(entries) >= len(alike):
            found += [Found(part, entry) for part, entry in zip(alike, entries, strict=False)]
    return found


def window(parts: Iterable[Part], *, now: datetime) -> timedelta:
    """How far back the list must be read for these parts."""
    return max((now - _claimed(part) for part in parts), default=timedelta(0)) + SLACK


def _is_like(entry: Listed, alike: Collection[Part]) -> bool:
    part = next(iter(alike))
    sender = _sender(part)
    return (
        not entry.inbound
        and entry.to == address_of(part.user_id)
        and entry.body == part.content
        and sender in (None, entry.sender)
    )


def _sender(part: Part) -> str | None:
    """The number that it left from; a Messaging Service chooses it by itself."""
    return None if part.messaging_service_sid else part.sender


def _claimed(part: Part) -> datetime:
    return datetime.fromisoformat(part.facts["claimed_at"])
