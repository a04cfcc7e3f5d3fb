"""Match parts of unknown outcome with entries of the carrier's message list. Pure: no I/O.

The list proves presence, never absence. It is the list of messages to one person, so the recipient needs no check. How
Twilio writes a number is no evidence against. An entry is evidence for a part under four conditions: it has the same
words and may have the same sender; it was created no earlier than the part was claimed; it is bound to no other part;
and there are at least as many such entries as parts in doubt with the same words. If there are fewer, no entry can be
attributed, and none is bound.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from journal.model import ReplyPart
from journal.states import PartState
from sms.messages import bare
from sms.ports import Listed, Listing

#: How far clock drift and the request's travel time may put an entry before its claim.
SLACK: Final = timedelta(seconds=30)
#: What Twilio puts before the words of a trial account's messages.
#: https://help.twilio.com/articles/360036052753 (read 2026-11)
TRIAL_PREFIX: Final = "Sent from your Twilio trial account - "


@dataclass(frozen=True, slots=True)
class Found:
    """A part and the entry that is bound to it."""

    part: ReplyPart
    entry: Listed


def match(listing: Listing, parts: Sequence[ReplyPart], *, now: datetime) -> list[Found]:
    """Return which entry belongs to which part of unknown outcome.

    `parts` are the person's newest parts in any state: an entry bound to one of them is no evidence for another.
    `now` is Redis's clock, which dated the claims; the listing's own clock dated the entries. Only ages are compared.
    """
    bound = {part.sid for part in parts if part.sid}
    doubtful = [part for part in parts if part.state is PartState.UNKNOWN]
    matches: list[Found] = []
    for words in {(part.content, _sender(part)) for part in doubtful}:
        alike = sorted(
            (part for part in doubtful if (part.content, _sender(part)) == words), key=lambda part: part.arrived
        )
        if any(part.state is PartState.SENDING and (part.content, _sender(part)) == words for part in parts):
            continue  # a part with the same words is being sent right now: an entry may belong to it
        oldest = max(now - claimed_at(part) for part in alike)
        # two pages of a list that grows meanwhile may both have an entry
        entries = {
            entry.sid: entry
            for entry in reversed(listing.messages)
            if is_like(entry, alike[0]) and entry.sid not in bound and listing.read_at - entry.created <= oldest + SLACK
        }
        if len(entries) >= len(alike):
            matches += [Found(part, entry) for part, entry in zip(alike, entries.values(), strict=False)]
    return matches


def may_be_same(address: str, other: str) -> bool:
    """Return whether two addresses may be the same: Twilio does not always write one in the same way.

    Only two telephone numbers with different digits are certainly not. A fallback from RCS to SMS changes the channel,
    and WhatsApp may name a person by a number here and by an id there.
    """
    digits, others = (_digits(bare(at)) for at in (address, other))
    return not digits or not others or digits == others


def _digits(number: str) -> str:
    """Return the digits of a telephone number; empty for any other name."""
    digits = "".join(character for character in number if character.isdecimal())
    return digits if len(digits) > len(number) // 2 and not any(map(str.isalpha, number)) else ""


def window(parts: Iterable[ReplyPart], *, now: datetime) -> timedelta:
    """Return how far back the carrier's list must be read for these parts."""
    return max((now - claimed_at(part) for part in parts), default=timedelta(0)) + SLACK


def is_like(entry: Listed, part: ReplyPart) -> bool:
    """Return whether an entry has a part's words and may have its sender."""
    return entry.body.removeprefix(TRIAL_PREFIX) == part.content and may_leave_as(entry, part)


def may_leave_as(entry: Listed, part: ReplyPart) -> bool:
    """Return whether an entry left us, and may have a part's sender."""
    sender = _sender(part)
    return not entry.inbound and (sender is None or may_be_same(sender, entry.sender))


def _sender(part: ReplyPart) -> str | None:
    """Return the number the part left from, or None if a Messaging Service chose it."""
    return None if part.messaging_service_sid else part.sender


def claimed_at(part: ReplyPart) -> datetime:
    """Return when the part's latest attempt was claimed, by Redis's clock."""
    assert part.claimed_at is not None, "a part in doubt was claimed"
    return datetime.fromisoformat(part.claimed_at)
