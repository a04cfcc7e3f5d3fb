"""Whose text is it? A story is told by `conversation.story`; here the person is found to whom a sid belongs.

The journal's key begins with the person; a sid alone does not say whose it is. Twilio's own record does, and where Twilio has none (deleted,
or out of reach) the journal is searched, which takes time with its size.
"""

from __future__ import annotations

from conversation import story
from conversation.storage import DynamoDBStorage
from conversation.story import Story


class NothingKnown(Exception):
    """Neither the journal nor Twilio knows this sid."""


def explain(storage: DynamoDBStorage, sid: str, *, person: str | None) -> Story:
    """The story of the text `sid`, inbound or outbound; `person` where it is known whose it is.

    Raises `NothingKnown`, `StoreAway`.
    """
    turn = story.turn_of(storage, person, sid) if person is not None else None
    if turn is None:
        found = storage.find(sid)
        if found is None:
            raise NothingKnown(f"nothing is known of {sid}")
        user_id, key = found
        turn = storage.get_turn(user_id, key.split("#")[1])
    if turn is None:
        raise NothingKnown(f"{sid} belongs to a turn that is gone")
    return story.tell(storage, turn)
