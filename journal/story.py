"""Build the timeline of one text: all that the journal knows of it and of its reply, in order.

Times that a visit wrote are Redis's clock. A story is made from rows alone, so that every reader of rows can show it:
the command line, the simulator's road view, an operator's page.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from journal.model import ReplyPart, Turn
from journal.ports import Journal
from journal.states import PartState, TurnState
from runtime.money import dollars

#: How many of a person's newest rows are searched for a reply's sid.
RECENT_ROWS: Final = 1000
#: Details that repeat from event to event and are long.
_IDS: Final = frozenset({"attempt", "sid"})
#: A code on such a part is of an attempt before: an earlier release left it there.
ARRIVED: Final = frozenset({"delivered", "read"})


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a timeline."""

    at: str
    what: str
    detail: Mapping[str, Any] = field(default_factory=dict)  # Any: JSON


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """Everything known of one text and its reply."""

    sid: str
    state: str
    events: Sequence[Event]
    #: The summary, for a reader who reads no further.
    verdict: str
    #: The cost of the reply, in messages and money, as far as the carrier has reported it.
    cost: str
    #: The id of its trace; empty: it was not traced.
    trace: str = ""

    def timed(self) -> Iterator[tuple[float, Event]]:
        """Yield each event with the seconds since the first."""
        started_at = datetime.fromisoformat(self.events[0].at) if self.events else None
        for event in self.events:
            assert started_at is not None
            yield (datetime.fromisoformat(event.at) - started_at).total_seconds(), event


def turn_of(journal: Journal, person: str, sid: str) -> Turn | None:
    """Return the turn of `person` that `sid` belongs to: the sid of a text or of its reply."""
    turn = journal.turns.get(person, sid)
    if turn is not None:
        return turn
    for part in journal.outbox.newest_parts(person, limit=RECENT_ROWS):
        if part.sid == sid:
            return journal.turns.get(person, part.turn)
    return None


def tell(journal: Journal, turn: Turn) -> Story:
    """Return the story of a turn."""
    parts = journal.outbox.parts(turn.user_id, turn.reply_sid)
    unsorted = (*_turn_events(turn), *(event for part in parts for event in _part_events(part)))
    # the sort is stable: events with the same time keep the order in which they happen
    events = sorted(unsorted, key=lambda event: event.at)
    return Story(
        sid=turn.sid, state=str(turn.state), events=events, verdict=_verdict(turn, parts), cost=_cost(turn, parts),
        trace=str(turn.facts.get("trace", "")),
    )  # fmt: skip


def _turn_events(turn: Turn) -> Iterator[Event]:
    facts = turn.facts
    thoughts = ("engine", "model", "thought_ms", "tokens_in", "tokens_out", "model_cost", "silent_engines")
    happened: Sequence[tuple[str | None, str, Mapping[str, Any]]] = (
        (turn.arrived_at.isoformat(), "received", {"repaired": True} if turn.repaired else {}),
        (facts.get("opened_at"), "opened", {"worker": facts.get("worker"), "tries": turn.tries}),
        (_iso(turn.due), "tried again", {"after workers died": turn.tries - 1}),
        (facts.get("thought_at"), "thought", {name: facts[name] for name in thoughts if name in facts}),
        (facts.get("answered_at"), "persisted", {"parts": turn.parts, "with the reply to": turn.turn}),
        (facts.get("settled_at"), f"settled {turn.state}", {"reason": turn.reason}),
        (facts.get("duplicate_at"), "brought again", {"times": facts.get("duplicates")}),
        (turn.restored_at, "restored", {}),
        (turn.revived_at, "revived", {}),
        (facts.get("discarded_at"), "discarded", {}),
    )
    return (Event(at, what, detail) for at, what, detail in happened if at)


def _iso(ms: int) -> str | None:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat() if ms else None


def _part_events(part: ReplyPart) -> Iterator[Event]:
    if part.again and "persisted_at" in part.facts:
        yield Event(part.facts["persisted_at"], "second try", {"part": part.number})
    for look in part.looks:
        yield Event(look, "not on the list", {"part": part.number})
    if part.perhaps_listed_at is not None:
        yield Event(part.perhaps_listed_at, "perhaps on list", {"part": part.number})
    for entry in part.facts.get("log", ()):
        detail = {name: value for name, value in entry.items() if name not in {"at", "state", "report"}}
        detail["part"] = f"{part.number}{', second try' if part.again else ''}"
        if "report" in entry:
            yield Event(entry["at"], f"reported {entry['report']}", detail)
        elif "word" in entry:
            yield Event(entry["at"], "operator's word", detail)
        else:
            yield Event(entry["at"], "claimed" if entry["state"] == "SENDING" else f"attempt: {entry['state']}", detail)


def _verdict(turn: Turn, parts: Sequence[ReplyPart]) -> str:
    if turn.state is TurnState.DEAD:
        return f"a dead letter: {turn.reason}; `dadacat dead-letters show {turn.sid}` has its traceback"
    if turn.state is not TurnState.ANSWERED:
        return f"no reply: {turn.state}" + (f" ({turn.reason})" if turn.reason else "")
    if not parts:
        return "answered, but its reply has no parts: look at the journal"
    return "; ".join(_fate(part) for part in parts)


def _fate(part: ReplyPart) -> str:
    if (
        part.state in (PartState.SENT, PartState.HELD)
        and not part.sid
        and part.facts.get("word") in ("sent", "not sent")
    ):
        return f"part {part.number}{' again' if part.again else ''} {part.reason}"
    words = {
        PartState.SENT: f"sent as {part.sid}, last reported {part.status}"
        + (f" with error {part.error_code}" if part.error_code and part.status not in ARRIVED else "")
        + (", after an attempt that may have been sent" if part.resent and part.resent != part.attempt_id else ""),
        PartState.UNKNOWN: "may have been sent: waits for evidence, and is not sent again",
        PartState.HELD: "may have been sent, and no evidence came: held, and only `dadacat held resend` sends it again",
        PartState.RETRY: "may have been sent, but is not on the carrier's list: sent again"
        if part.resent == part.attempt_id
        else f"not sent yet ({part.reason}); tried again",
        PartState.FAILED: f"refused for good: {part.reason}",
        PartState.SUPPRESSED: f"not sent: {part.reason}",
        PartState.NEW: "written, not yet sent",
        PartState.SENDING: "being sent right now, or its sender died",
    }
    return f"part {part.number}{' again' if part.again else ''} {words[part.state]}"


def _cost(turn: Turn, parts: Sequence[ReplyPart]) -> str:
    """Return segments and money, of messages and models: as charged, or as expected if not yet charged."""
    sent = [part for part in parts if part.state is PartState.SENT]
    costs = []
    if sent:
        segments = sum(part.segments or part.expected for part in sent)
        costs += [f"{segments} segment{'' if segments == 1 else 's'}"] if segments else []
        costs += [_price(sent)]
    model_cost = int(turn.facts.get("model_cost", 0))
    if model_cost:
        costs.append(f"{dollars(model_cost, digits=6)} USD for the model")
    return ", ".join(costs)


def _price(sent: Sequence[ReplyPart]) -> str:
    prices = [part.price for part in sent if part.price is not None]
    if len(prices) < len(sent):
        expected = sum(part.cost for part in sent)
        return f"about {dollars(expected)} USD, not charged yet" if expected else "price not known yet"
    try:
        # a price is a debit: Twilio writes it with a minus sign
        total = -sum(Decimal(price) for price in prices)
    except InvalidOperation:
        return " + ".join(prices)
    return f"{total} {sent[0].price_unit or ''}".strip()


def as_lines(story: Story, *, width: int = 80) -> Iterator[str]:
    """Yield the story as lines for a terminal: each event with the time since the first.

    Details that do not fit beside their event stand below it. An id is shown where it changes.
    """
    yield f"{story.sid}  {story.state}"
    shown: dict[str, Any] = {}
    for since, event in story.timed():
        detail = {name: value for name, value in event.detail.items() if name not in _IDS or shown.get(name) != value}
        shown |= detail
        line = f"  {event.at[:19]} {since:+10.3f} s  {event.what:<18}"
        words = as_words(detail)
        if len(line) + 1 + len(words) <= width:
            yield f"{line} {words}".rstrip()
            continue
        yield line.rstrip()
        yield from _wrapped(words, width, indent=6)
    yield from _wrapped(story.verdict, width, indent=2)
    if story.cost:
        yield from _wrapped(story.cost, width, indent=2)
    if story.trace:
        yield f"  trace {story.trace}"


def _wrapped(words: str, width: int, *, indent: int) -> Iterator[str]:
    yield from textwrap.wrap(
        words,
        width,
        initial_indent=" " * indent,
        subsequent_indent=" " * (indent + 2),
        break_long_words=False,
        break_on_hyphens=False,
    )


def as_words(detail: Mapping[str, Any]) -> str:  # Any: JSON
    """Return an event's details in one line."""
    return "  ".join(f"{name}={value}" for name, value in detail.items() if value is not None)
