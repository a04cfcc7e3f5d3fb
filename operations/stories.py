"""Read the stories and the roads of texts from the journal, for the simulator's page and the console."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from conversation.errors import ConversationError
from journal import story
from journal.model import ReplyPart, Turn
from journal.ports import Journal
from runtime import logs
from worker.user_ids import user_ids_of

#: Station to the attribute of a turn with its time.
_TURN_TIMES: Final = {"opened": "opened_at", "thought": "thought_at", "persisted": "answered_at"}

#: The stations that the journal knows, in the order in which a text passes them.
STATIONS: Final = ("received", *_TURN_TIMES, "claimed", "sent", "delivered")

log = logs.get("simulator")


@dataclass(frozen=True, slots=True)
class JournalStories:
    """Implements `simulator.stories.Stories`. A journal that cannot be read has no story."""

    journal: Journal

    def of_text(self, person: str, number: str, sid: str) -> dict[str, Any] | None:  # Any: JSON
        """Return the story of a text that `person` sent to `number`."""
        return self._first(person, number, lambda user_id: self.journal.turns.get(user_id, sid))

    def of_reply(self, person: str, number: str, sid: str) -> dict[str, Any] | None:  # Any: JSON
        """Return the story of the text to which the message `sid` is a reply."""
        return self._first(person, number, lambda user_id: story.turn_of(self.journal, user_id, sid))

    def _first(self, person: str, number: str, turn_of: Callable[[str], Turn | None]) -> dict[str, Any] | None:
        try:
            users = user_ids_of(person, number, per_number=False)
            turn = next(filter(None, map(turn_of, users)), None)
            return self._story(turn) if turn is not None else None
        except ConversationError as exc:
            log.warning("journal not read", error=type(exc).__name__)
            return None

    def _story(self, turn: Turn) -> dict[str, Any]:
        told, parts = story.tell(self.journal, turn), self.journal.outbox.parts(turn.user_id, turn.reply_sid)
        return {
            "sid": turn.sid,
            "state": str(turn.state),
            "reason": turn.reason,
            "tries": turn.tries,
            "engine": turn.facts.get("engine"),
            "times": _times(turn, parts),
            "parts": [{"sid": part.sid, "state": str(part.state), "reason": part.reason} for part in parts],
            "verdict": told.verdict,
            "cost": told.cost,
            "events": [
                {"at": event.at, "since": since, "what": event.what, "details": story.as_words(event.detail)}
                for since, event in told.timed()
            ],
        }


def road(journal: Journal, turn: Turn) -> dict[str, Any]:  # Any: JSON
    """Return the stations that a text has passed as the journal knows them, as `road.js` draws them."""
    parts = journal.outbox.parts(turn.user_id, turn.reply_sid)
    times = {"received": turn.arrived_at.timestamp(), **_times(turn, parts)}
    facts = {"state": str(turn.state), "reason": turn.reason, "tries": turn.tries, "engine": turn.facts.get("engine")}
    for part in parts:
        facts |= {"reply": part.sid, "part": str(part.state), "part_reason": part.reason, "status": part.status}
        for station in ("sent", "delivered"):
            if stamp := part.facts.get(f"{station}_at"):
                times[station] = datetime.fromisoformat(stamp).timestamp()
    return {
        "sid": turn.sid,
        "facts": {name: value for name, value in facts.items() if value is not None},
        "stations": [{"name": name, "at": times[name]} for name in STATIONS if name in times],
        "all": list(STATIONS),
    }


def _times(turn: Turn, parts: Sequence[ReplyPart]) -> dict[str, float]:
    stamps = {station: turn.facts.get(attribute) for station, attribute in _TURN_TIMES.items()}
    stamps["claimed"] = next((part.claimed_at for part in reversed(parts) if part.claimed_at), None)
    return {name: datetime.fromisoformat(stamp).timestamp() for name, stamp in stamps.items() if stamp is not None}
