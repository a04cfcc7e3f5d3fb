"""Find the turn to which a MessageSid belongs; `conversation.story` then describes the turn.

The journal's key begins with the person, and a sid alone does not name the person.
Twilio's record of the message names the person. If Twilio has no record (deleted, or out of reach), the journal is
searched, which takes longer the larger it is.
"""

from __future__ import annotations

from contextlib import suppress

from conversation import story
from conversation.journal import RowName
from conversation.storage import DynamoDBStorage
from conversation.story import Story
from operations.errors import BadRequest
from sms.errors import CarrierAway
from sms.twilio import TwilioLedger


def explain(storage: DynamoDBStorage, ledger: TwilioLedger, sid: str, *, person: str | None = None) -> Story:
    """Return the story of the text `sid`, inbound or outbound.

    `person` is the person of that text, such as `+15551230001`, or None if unknown.
    Raises `BadRequest` if neither the journal nor Twilio knows the sid, `StoreAway`.
    """
    if person is None:
        with suppress(CarrierAway):
            person = ledger.person_of(sid)
    turn = story.turn_of(storage, person, sid) if person is not None else None
    if turn is None:
        place = storage.find(sid)
        if place is None:
            raise BadRequest(f"nothing is known of {sid}")
        row = RowName(*place)
        turn = storage.get_turn(row.user_id, row.sid)
    if turn is None:
        raise BadRequest(f"{sid} belongs to a turn that is gone")
    return story.tell(storage, turn)
