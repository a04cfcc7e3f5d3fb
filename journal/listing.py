"""A row's place in the sparse index `unsettled`, which lists the rows that still need work.

unsettled   the bucket of the person, `00` to `15`, `dead` for a dead letter, or `held` for a held part
since       since when it is unsettled, as an ISO timestamp
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from conversation import schema, transcript
from conversation.models import Role
from conversation.table import Update
from journal import codec, states
from journal.model import ReplyPart, bucket
from journal.states import PartState, TurnState

#: An update that removes these takes a row off the index.
ATTRIBUTES: Final = ("unsettled", "since")


def listed(user_id: str, since: datetime) -> dict[str, str]:
    """Return the attributes that put a row on the index."""
    return {"unsettled": bucket(user_id), "since": since.isoformat()}


def moved(update: Update, state: TurnState | PartState, now: datetime) -> Update:
    """Return the update that moves a row to `state`, with the row's place in the index adapted."""
    if state in (TurnState.DEAD, PartState.FAILED, PartState.HELD):
        place = states.HELD_PARTS if state is PartState.HELD else states.DEAD_LETTERS
        return replace(update, set={**update.set, "unsettled": place, "since": now.isoformat()})
    if state in states.UNSETTLED_PARTS:
        return update
    return replace(update, remove=(*update.remove, *ATTRIBUTES))


def new_part(names: schema.Names, part: ReplyPart, token: str, now: datetime, **more: Any) -> Update:
    """Create a reply part's row, on the index. The update's condition fails if the row exists."""
    attributes: Mapping[str, Any] = {
        **codec.encode(part),
        "role": str(Role.ASSISTANT),
        "persisted_at": now.isoformat(),
        "token": token,
        **listed(part.user_id, now),
        **names.expiry(now),
        **more,
    }
    return transcript.new_row(names, part.user_id, part.key, attributes)
