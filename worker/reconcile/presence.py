"""Read the carrier's list of messages to a person beside the rows that they may belong to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from inbox.ports import Clock
from journal.model import ReplyPart
from journal.ports import Outbox
from sms.addresses import address_of
from sms.ports import Listing, MessageList
from worker.reconcile import evidence

#: A person's newest rows, among which the parts in doubt are looked for first.
RECENT_ROWS: Final = 200
#: The second search, if the first does not find them all: three hundred turns since.
MANY_ROWS: Final = 1000


@dataclass(frozen=True, slots=True)
class Reading:
    """What the carrier and the journal say of one person at about the same time."""

    listing: Listing
    #: The person's newest parts in any state, newest first, and those in doubt however old they are.
    parts: tuple[ReplyPart, ...]
    #: When the list was read, by Redis's clock.
    now: datetime


def read(
    message_list: MessageList, outbox: Outbox, clock: Clock, person: str, doubtful: Sequence[ReplyPart]
) -> Reading:
    """Return the list as far back as parts of unknown outcome need it, and the rows beside it.

    The list is read first. Each message on it was claimed before it was created, so the rows that are read afterwards
    name it or show its claim. In the other order a message that is sent in between would seem to belong to a part in
    doubt that has the same words.

    Raises `CarrierAway` and `UnreadableRow`.
    """
    listing = message_list.sent_to(address_of(person), for_the_last=evidence.window(doubtful, now=clock.now()))
    now = clock.now()
    return Reading(listing, _parts(outbox, person, doubtful), now)


def found_among_newest(wanted: AbstractSet[str], newest: Callable[[int], dict[str, ReplyPart]]) -> dict[str, ReplyPart]:
    """Return a person's newest parts by name, from further back if some of the wanted are not among them."""
    recent = newest(RECENT_ROWS)
    return recent if wanted <= recent.keys() else newest(MANY_ROWS)


def _parts(outbox: Outbox, person: str, doubtful: Sequence[ReplyPart]) -> tuple[ReplyPart, ...]:
    """Return the newest parts, and those of the turns of `doubtful` as they are by now."""
    recent = found_among_newest(
        {part.key for part in doubtful},
        lambda limit: {part.key: part for part in outbox.newest_parts(person, limit=limit)},
    )
    older = {part.turn for part in doubtful if part.key not in recent}
    return (*recent.values(), *(part for turn in sorted(older) for part in outbox.parts(person, turn)))
