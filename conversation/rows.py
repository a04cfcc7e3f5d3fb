"""Rows of the journal: their form as values and back, and the writes that make and move them.

The conditions of the moves come from the tables in `conversation.journal`. Attributes of the rows: the header of `conversation.storage`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from conversation import journal
from conversation.dynamodb import Row, Write
from conversation.journal import Part, PartState, Turn, TurnState
from conversation.models import Role
from conversation.ports import Answer

#: Ends an update that takes a row off the sparse index.
OFF_THE_LIST = " REMOVE #unsettled, #since"
#: Adds an event to a part's log, with the values of `logged`.
LOG = "#log = list_append(if_not_exists(#log, :nolog), :event)"


def row_write(table: str, user_id: str, key: str, attributes: Mapping[str, Any]) -> Write:
    """Make a row, if there is none."""
    return Write(
        table=table,
        key={"user_id": user_id, "message_key": key},
        update="SET " + ", ".join(f"#{name} = :{name}" for name in attributes),
        condition="attribute_not_exists(#user_id)",
        values=dict(attributes),
    )


def part_write(table: str, part: Part, token: str, now: datetime, **more: int) -> Write:
    """Make a part's row, if there is none."""
    service = part.messaging_service_sid
    return row_write(
        table,
        part.user_id,
        part.key,
        {
            "state": str(part.state),
            "arrived": part.arrived,
            "role": str(Role.ASSISTANT),
            "content": part.content,
            "turn": part.turn,
            "number": part.number,
            "sender": part.sender,
            "persisted_at": now.isoformat(),
            "token": token,
            **({"messaging_service_sid": service} if service else {}),
            **({"expected": part.expected, "cost": part.cost} if part.expected else {}),
            **({"engine": part.facts["engine"]} if "engine" in part.facts else {}),
            **listed(part.user_id, now),
            **more,
        },
    )


def answered_write(table: str, answer: Answer, turn: Turn, now: datetime) -> Write:
    """Move a turn to ANSWERED, with the mark of whoever froze the words."""
    sources = journal.turn_sources(TurnState.ANSWERED)
    facts = {**answer.facts, "answered_at": now.isoformat(), "fence": answer.conversation.fence}
    return Write(
        table=table,
        key=key(turn),
        update=(
            "SET #state = :answered, #token = :token, #turn = :turn, #parts = :parts, "
            + ", ".join(f"#{name} = :{name}" for name in facts)
            + OFF_THE_LIST
        ),
        condition=state_in(sources),
        values={
            "answered": str(TurnState.ANSWERED),
            "token": answer.token,
            "turn": answer.turns[0].sid,
            "parts": len(answer.parts),
            **facts,
            **states(sources),
        },
    )


def settle_write(table: str, turn: Turn, state: TurnState, reason: str, now: datetime) -> Write:
    """End a turn without a reply."""
    sources = journal.turn_sources(state)
    return Write(
        table=table,
        key=key(turn),
        update=f"SET #state = :state, #reason = :reason, #settled_at = :now{listing(state)}",
        condition=state_in(sources),
        values={
            "state": str(state),
            "reason": reason,
            "now": now.isoformat(),
            **states(sources),
            **listing_values(state),
        },
    )


def listed(user_id: str, now: datetime) -> dict[str, str]:
    """The attributes that put a row on the sparse index."""
    return {"unsettled": journal.bucket(user_id), "since": now.isoformat()}


def listing(state: str) -> str:
    """What becomes of a row's place in the sparse index when it comes to `state`."""
    if state in (TurnState.DEAD, PartState.FAILED):
        return ", #unsettled = :dead, #since = :now"
    return "" if state in journal.UNSETTLED_PARTS else OFF_THE_LIST


def listing_values(state: str) -> dict[str, str]:
    """The values of `listing`."""
    return {"dead": journal.DEAD_LETTERS} if state in (TurnState.DEAD, PartState.FAILED) else {}


def logged(**event: Any) -> dict[str, Any]:
    """The values of `_LOG`, an event added to a part's log."""
    return {"nolog": [], "event": [{name: value for name, value in event.items() if value is not None}]}


def key(row: Turn | Part) -> dict[str, str]:
    """The key of a turn's or a part's row."""
    return {"user_id": row.user_id, "message_key": row.key}


def state_in(states: Sequence[str]) -> str:
    """The condition that a row is in one of these states."""
    return f"#state IN ({', '.join(f':from_{state}' for state in states)})"


def states(sources: Sequence[str]) -> dict[str, str]:
    """The values of `state_in`."""
    return {f"from_{state}": str(state) for state in sources}


_TURN_FIELDS = frozenset(
    {"user_id", "message_key", "sid", "state", "arrived", "content", "to", "tries", "turn", "parts", "token", "reason"}
)
_PART_FIELDS = frozenset(
    {
        "user_id",
        "message_key",
        "turn",
        "number",
        "state",
        "arrived",
        "content",
        "sender",
        "messaging_service_sid",
        "sid",
        "attempt_id",
        "tries",
        "due",
        "unknown_since",
        "fence",
        "status",
        "error_code",
        "reason",
        "again",
        "segments",
        "price",
        "price_unit",
        "expected",
        "cost",
    }
)


def turn(row: Row) -> Turn:
    """A turn from its row."""
    return Turn(
        state=TurnState(row["state"]),
        facts={name: value for name, value in row.items() if name not in _TURN_FIELDS},
        **{name: row[name] for name in _TURN_FIELDS - {"message_key", "state"} if name in row},
    )


def part(row: Row) -> Part:
    """A part from its row."""
    return Part(
        state=PartState(row["state"]),
        facts={name: value for name, value in row.items() if name not in _PART_FIELDS},
        **{name: row[name] for name in _PART_FIELDS - {"message_key", "state"} if name in row},
    )
