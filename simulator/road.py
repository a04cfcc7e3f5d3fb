"""The road view of one text: its stations in the network and in the journal."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

from conversation.errors import ConversationError
from journal.story import Rows
from runtime import logs
from simulator.store import Message
from sms.messages import user_of

#: The stations in the order in which a text passes them.
STATIONS: Final = (
    "received", "acknowledged", "opened", "thought", "persisted", "claimed", "sent", "delivered",
)  # fmt: skip

log = logs.get("simulator")


def of(message: Message, journal: Rows, messages: Iterable[Message]) -> dict[str, Any]:  # Any: JSON
    """Return the stations that one inbound text has passed, each with its time in seconds since 1970.

    `messages`: messages of the network to the same telephone, among which the reply is looked up.
    """
    times: dict[str, float] = {name: when for name, when in message.stations if name in STATIONS}
    facts: dict[str, Any] = {
        "webhook": next((name for name, _ in message.stations if name.startswith(("lost", "no webhook"))), None)
    }
    try:
        turn = journal.turns.get(message.sender, message.sid) or journal.turns.get(
            user_of(message.sender, message.recipient, per_number=True), message.sid
        )
        parts = journal.outbox.parts(turn.user_id, turn.turn) if turn and turn.turn else ()
    except ConversationError as exc:
        log.warning("journal not read", error=type(exc).__name__)
        turn, parts = None, ()
    if turn is not None:
        facts |= {
            "state": str(turn.state),
            "reason": turn.reason,
            "tries": turn.tries,
            "engine": turn.facts.get("engine"),
        }
        times |= _times(
            turn.facts,
            {"opened_at": "opened", "thought_at": "thought", "answered_at": "persisted"},
        )
    for part in parts:
        times |= _times(part.facts, {"claimed_at": "claimed"})
        facts |= {"reply": part.sid, "part": str(part.state), "part_reason": part.reason}
    replies = {other.sid: other for other in messages}
    for part in parts:
        reply = replies.get(part.sid or "")
        if reply is not None:
            times |= {name: when for name, when in reply.stations if name in {"sent", "delivered"}}
    return {
        "sid": message.sid,
        "facts": {name: value for name, value in facts.items() if value is not None},
        "stations": [{"name": name, "at": times[name]} for name in STATIONS if name in times],
        "all": list(STATIONS),
    }


def _times(facts: Any, names: dict[str, str]) -> dict[str, float]:  # Any: the row's other attributes
    return {
        station: datetime.fromisoformat(facts[attribute]).timestamp()
        for attribute, station in names.items()
        if attribute in facts
    }
