"""One timeline of one text: what the journal and Twilio know of it, in the order in which it happened.

The journal's key begins with the person; a sid alone does not say whose it is. Twilio's own record does, and where Twilio has none (deleted,
or out of reach) the journal is searched, which takes time with its size.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from conversation.journal import Part, Turn
from conversation.storage import DynamoDBStorage


@dataclass(frozen=True, slots=True, order=True)
class Event:
    """Something that happened."""

    at: str
    what: str
    detail: Mapping[str, Any] = field(default_factory=dict, compare=False)  # Any: JSON


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """All that is known of one text and its reply."""

    sid: str
    state: str
    events: Sequence[Event]
    #: What somebody should know who reads no further.
    verdict: str


class NothingKnown(Exception):
    """Neither the journal nor Twilio knows this sid."""


def explain(storage: DynamoDBStorage, sid: str, *, person: str | None) -> Story:
    """The story of the text `sid`, inbound or outbound; `person` where it is known whose it is.

    Raises `NothingKnown`, `StoreAway`.
    """
    turn = _turn(storage, sid, person)
    parts = storage.parts(turn.user_id, turn.turn or turn.sid)
    events = sorted((*_turn_events(turn), *(event for part in parts for event in _part_events(part))))
    return Story(sid=turn.sid, state=str(turn.state), events=events, verdict=_verdict(turn, parts))


def _turn(storage: DynamoDBStorage, sid: str, person: str | None) -> Turn:
    """The turn that `sid` belongs to: its text's, or its reply's."""
    if person is not None:
        turn = storage.get_turn(person, sid)
        if turn is not None:
            return turn
        for part in storage.newest_parts(person, limit=1000):
            if part.sid == sid:
                turn = storage.get_turn(person, part.turn)
                if turn is not None:
                    return turn
    found = storage.find(sid)
    if found is None:
        raise NothingKnown(f"nothing is known of {sid}")
    user_id, key = found
    turn = storage.get_turn(user_id, key.split("#")[1])
    if turn is None:
        raise NothingKnown(f"{sid} belongs to a turn that is gone")
    return turn


def _turn_events(turn: Turn) -> Iterator[Event]:
    facts = turn.facts
    yield Event(turn.arrived_at.isoformat(), "received", {"repaired": True} if facts.get("repaired") else {})
    if "opened_at" in facts:
        yield Event(facts["opened_at"], "opened", {"worker": facts.get("worker"), "tries": turn.tries})
    if "thought_at" in facts:
        names = ("engine", "model", "thought_ms", "tokens_in", "tokens_out", "silent_engines")
        yield Event(facts["thought_at"], "thought", {name: facts[name] for name in names if name in facts})
    if "answered_at" in facts:
        yield Event(facts["answered_at"], "persisted", {"parts": turn.parts, "with the reply to": turn.turn})
    if "settled_at" in facts:
        yield Event(facts["settled_at"], f"settled {turn.state}", {"reason": turn.reason})
    for name in ("restored_at", "revived_at", "discarded_at"):
        if name in facts:
            yield Event(facts[name], name.removesuffix("_at"))
    if facts.get("duplicates"):
        yield Event(turn.arrived_at.isoformat(), "found again", {"times": facts["duplicates"]})


def _part_events(part: Part) -> Iterator[Event]:
    for entry in part.facts.get("log", ()):
        detail = {name: value for name, value in entry.items() if name not in {"at", "state", "report"}}
        detail["part"] = part.number
        if "report" in entry:
            yield Event(entry["at"], f"reported {entry['report']}", detail)
        else:
            yield Event(entry["at"], "claimed" if entry["state"] == "SENDING" else f"attempt: {entry['state']}", detail)


def _verdict(turn: Turn, parts: Sequence[Part]) -> str:
    if turn.state == "DEAD":
        return f"a dead letter: {turn.reason}; `dadacat dead-letters show {turn.sid}` has its traceback"
    if turn.state != "ANSWERED":
        return f"no reply: {turn.state}" + (f" ({turn.reason})" if turn.reason else "")
    if not parts:
        return "answered, but its reply has no parts: look at the journal"
    return "; ".join(_fate(part) for part in parts)


def _fate(part: Part) -> str:
    words = {
        "SENT": f"sent as {part.sid}, last reported {part.status}",
        "UNKNOWN": "may have been sent: waits for evidence, and is not sent again",
        "HELD": "may have been sent, and no evidence came: held, never sent again by itself",
        "RETRY": f"not sent yet ({part.reason}); tried again",
        "FAILED": f"refused for good: {part.reason}",
        "SUPPRESSED": f"not sent: {part.reason}",
        "NEW": "written, not yet sent",
        "SENDING": "being sent right now, or its sender died",
    }
    return f"part {part.number} {words[part.state]}"


def as_lines(story: Story) -> Iterator[str]:
    """The story for a terminal: each event with the time since the first."""
    yield f"{story.sid}  {story.state}"
    if not story.events:
        return
    begun = datetime.fromisoformat(story.events[0].at)
    for event in story.events:
        since = (datetime.fromisoformat(event.at) - begun).total_seconds()
        detail = "  ".join(f"{name}={value}" for name, value in event.detail.items() if value is not None)
        yield f"  {event.at[:19]}  {since:+10.3f} s  {event.what:<20} {detail}".rstrip()
    yield f"  {story.verdict}"
