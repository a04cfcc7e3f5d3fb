"""Find the turn to which a MessageSid belongs; `journal.story` then describes the turn.

The journal's key begins with the person, and a sid alone does not name the person.
Twilio's record of the message names the person, and the caller looks there first.
If Twilio has no record (deleted, or out of reach), the journal is searched, which takes longer the larger it is.
"""

from __future__ import annotations

from journal import story
from journal.store import Journal
from journal.story import Story


class NothingKnown(Exception):
    """Neither the journal nor Twilio knows this sid."""


def explain(journal: Journal, sid: str, *, person: str | None) -> Story:
    """Return the story of the text `sid`, inbound or outbound.

    `person` is the person of that text, such as `+15551230001`, or None if unknown.
    Raises `NothingKnown`, `StoreAway`.
    """
    turn = story.turn_of(journal, person, sid) if person is not None else None
    if turn is None:
        row = journal.archive.find(sid)
        if row is None:
            raise NothingKnown(f"nothing is known of {sid}")
        turn = journal.turns.get(row.user_id, row.sid)
    if turn is None:
        raise NothingKnown(f"{sid} belongs to a turn that is gone")
    return story.tell(journal, turn)
