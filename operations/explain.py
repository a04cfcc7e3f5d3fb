"""Find the turn to which a MessageSid belongs; `journal.story` then describes the turn.

The journal's key begins with the person, and a sid alone does not name the person.
Twilio's record of the message names the person. If Twilio has no record (deleted, or out of reach), the journal is
searched, which takes longer the larger it is.
"""

from __future__ import annotations

from contextlib import suppress

from journal import story
from journal.model import Turn
from journal.store import Journal
from journal.story import Story
from operations.errors import NotFound
from sms.errors import CarrierAway
from sms.messages import MessageSid
from sms.ports import MessageList


def explain(journal: Journal, message_list: MessageList, sid: str, *, person: str | None = None) -> Story:
    """Return the story of the text `sid`. Raises what `turn_of` raises."""
    return story.tell(journal, turn_of(journal, message_list, sid, person=person))


def turn_of(journal: Journal, message_list: MessageList, sid: str, *, person: str | None = None) -> Turn:
    """Return the turn to which the text `sid` belongs, inbound or outbound.

    `person` is the person of that text, such as `+15551230001`, or None if unknown.
    Raises `NotFound` if neither the journal nor Twilio knows the sid, `StoreAway`.
    """
    if person is None:
        with suppress(CarrierAway):
            listed = message_list.one(MessageSid(sid)).messages
            person = next(filter(None, (entry.sender if entry.inbound else entry.to for entry in listed)), None)
    turn = story.turn_of(journal, person, sid) if person is not None else None
    if turn is None:
        row = journal.archive.find(sid)
        if row is None:
            raise NotFound(f"nothing is known of {sid}")
        turn = journal.turns.get(row.user_id, row.sid)
    if turn is None:
        raise NotFound(f"{sid} belongs to a turn that is gone")
    return turn
