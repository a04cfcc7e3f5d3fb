"""Accounts for every text, from the outside: what telephones sent, what the network's list shows, and both tables.

A text is answered once, in order; or its reply is in doubt, which only an entry of the fault log that names that very attempt excuses; or it is
lost, doubled or out of order, and the auditor names it. It trusts no state that it can check: a part that says SENT must be on the list, a message
on the list must be some part's own, there are as many parts as the turn says, what failed on its way has its second try and nothing else has one,
and what was said must stand in the conversation. The order is that of the inbox, which is the order in which texts reached us.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

from dadacat.chaos.witness import Fault
from sms import carrier_errors
from sms.ports import ErrorClass

IN_DOUBT: Final = frozenset({"UNKNOWN", "HELD", "SENDING"})
FAILED: Final = frozenset({"failed", "undelivered"})


@dataclass(frozen=True, slots=True, kw_only=True)
class SentText:
    """A text that a telephone sent."""

    sid: str
    person: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A message of ours on the network's list."""

    sid: str
    person: str
    body: str
    status: str = "delivered"
    error_code: int | None = None

    @property
    def wants_second_try(self) -> bool:
        """Whether it failed on its way by a code after which it is sent once more, and soon."""
        code = self.error_code
        return (
            self.status in FAILED
            and code is not None
            and carrier_errors.class_of(code) is ErrorClass.FAILED_LATER
            and not carrier_errors.waits_for_tomorrow(code)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row of the journal."""

    person: str
    key: str
    state: str
    sid: str = ""
    arrived: str = ""
    #: When a turn was persisted.
    answered: str = ""
    turn: str = ""
    content: str = ""
    number: int = 0
    #: A turn's: how many parts its reply has.
    parts: int = 0
    #: It is the second try at a part that failed on its way.
    again: bool = False
    #: The attempt that stands in it.
    attempt: str = ""
    #: Found by the reconciler, or put back by it: from order it is excused.
    repaired: bool = False
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Talk:
    """A person's item in the table of conversations: the keys of the messages in its window, oldest first."""

    person: str
    window: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All that the auditor goes by."""

    texts: Sequence[SentText]
    #: In the order of their creation.
    shown: Sequence[Shown]
    rows: Sequence[Row]
    talks: Sequence[Talk]
    #: Attempt to the fault that may have hidden its outcome.
    excuses: Mapping[str, str]
    #: Why a text may have been settled without a reply; empty: everybody is owed one.
    silences: frozenset[str] = frozenset()
    #: Nothing is under way any more: whatever may still come to rest has not.
    at_rest: bool = False


@dataclass(slots=True, kw_only=True)
class Verdict:
    """What became of all the texts."""

    texts: int = 0
    answered: int = 0
    #: Settled without a reply, as it should be.
    silent: int = 0
    #: In doubt, and excused by a fault: text to what excuses it.
    held: dict[str, str] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    swapped: list[str] = field(default_factory=list)
    #: In doubt, and nothing excuses it; or the evidence lies open and was not taken.
    unexcused: list[str] = field(default_factory=list)
    #: How many texts were left out when the order was looked at, because they were fetched or put back.
    excused_from_order: int = 0

    @property
    def good(self) -> bool:
        """Whether the promise was kept."""
        return not (self.lost or self.doubled or self.swapped or self.unexcused)


def audit(evidence: Evidence) -> Verdict:
    """Account for every text."""
    return _Audit(evidence).verdict()


class _Audit:
    def __init__(self, evidence: Evidence) -> None:
        self._given = evidence
        self._found = Verdict(texts=len(evidence.texts))
        self._rows = {(row.person, row.key): row for row in evidence.rows}
        self._parts: dict[tuple[str, str], list[Row]] = defaultdict(list)
        for row in evidence.rows:
            if row.key.startswith("out#"):
                self._parts[row.person, row.key.split("#")[1]].append(row)
        self._listed = {message.sid: message for message in evidence.shown}

    def verdict(self) -> Verdict:
        for text in self._given.texts:
            turn = self._rows.get((text.person, f"in#{text.sid}"))
            if turn is None or turn.state == "FILED":
                self._found.lost.append(f"{text.sid}: {'never filed' if turn is None else 'never answered'}")
            elif turn.state == "SILENT" and turn.reason in self._given.silences:
                self._found.silent += 1
            elif turn.state != "ANSWERED":
                self._found.lost.append(f"{text.sid}: {turn.state} ({turn.reason})")
            else:
                self._answered(text, turn)
        self._strangers()
        self._order()
        self._remembered()
        return self._found

    def _answered(self, text: SentText, turn: Row) -> None:
        parts = self._parts.get((text.person, turn.turn or text.sid), [])
        if not parts:
            self._found.lost.append(f"{text.sid}: answered without a reply")
            return
        offences = len(self._found.lost) + len(self._found.unexcused)
        self._counted(text, turn, sum(not part.again for part in parts))
        for part in parts:
            if part.again:
                self._second_try(text, part)
            if part.state == "SENT":
                self._sent(text, part)
            elif part.state in IN_DOUBT:
                self._doubt(text, part)
            else:
                self._found.lost.append(f"{text.sid}: its reply is {part.state} ({part.reason})")
        if len(self._found.lost) + len(self._found.unexcused) == offences and text.sid not in self._found.held:
            self._found.answered += 1

    def _counted(self, text: SentText, turn: Row, parts: int) -> None:
        if parts != turn.parts:
            offences = self._found.doubled if parts > turn.parts else self._found.lost
            offences.append(f"{text.sid}: its reply has {parts} parts, and should have {turn.parts}")

    def _sent(self, text: SentText, part: Row) -> None:
        shown = self._listed.get(part.sid)
        if shown is None:
            self._found.lost.append(f"{text.sid}: its reply {part.sid} is not on the list")
        elif not part.again and shown.wants_second_try:
            self._has_second_try(text, part)

    def _has_second_try(self, text: SentText, part: Row) -> None:
        if (part.person, f"{part.key}r") not in self._rows:
            self._found.lost.append(f"{text.sid}: its reply failed on its way, and was not tried again")

    def _second_try(self, text: SentText, part: Row) -> None:
        first = self._rows.get((part.person, part.key.removesuffix("r")))
        if first is None or first.sid not in self._listed or self._listed[first.sid].status not in FAILED:
            self._found.doubled.append(f"{text.sid}: tried again, though the first try did not fail")

    def _doubt(self, text: SentText, part: Row) -> None:
        excuse = self._given.excuses.get(part.attempt)
        if excuse and self._given.at_rest and part.state != "HELD":
            self._found.unexcused.append(f"{text.sid}: {part.state}, and never came to rest")
        elif excuse:
            self._found.held[text.sid] = f"{part.state}: {excuse}"
        else:
            self._found.unexcused.append(f"{text.sid}: {part.state}, and no fault touched attempt {part.attempt}")

    def _strangers(self) -> None:
        """A message that is no part's own is a second SMS, unless parts in doubt are waiting to be told of it."""
        owners = Counter(row.sid for row in self._rows.values() if row.key.startswith("out#") and row.sid)
        doubtful = Counter(
            (row.person, row.content)
            for row in self._rows.values()
            if row.key.startswith("out#") and row.state in IN_DOUBT
        )
        strangers: Counter[tuple[str, str]] = Counter()
        for message in self._given.shown:
            if owners[message.sid] > 1:
                self._found.doubled.append(f"{message.sid}: {owners[message.sid]} parts say that it is theirs")
            elif owners[message.sid] == 0:
                strangers[message.person, message.body] += 1
                if strangers[message.person, message.body] > doubtful[message.person, message.body]:
                    self._found.doubled.append(f"{message.sid}: nobody's own")
        for words, number in strangers.items():
            # fewer entries than parts in doubt that say the same: nobody can tell whose they are
            if number == doubtful[words]:
                self._found.unexcused.append(f"a reply to {words[0]} is in doubt, though the list shows it")

    def _order(self) -> None:
        """Messages must have been created in the order in which their texts reached us; only what was fetched or put back is excused."""
        created = {message.sid: place for place, message in enumerate(self._given.shown)}
        people: dict[str, list[tuple[str, int, int, str]]] = defaultdict(list)
        for text in self._given.texts:
            turn = self._rows.get((text.person, f"in#{text.sid}"))
            if turn is None or turn.turn not in ("", text.sid):
                continue
            if turn.repaired:
                self._found.excused_from_order += 1
                continue
            for part in self._parts.get((text.person, text.sid), ()):
                if part.sid in created and not part.again:
                    people[text.person].append((turn.arrived, part.number, created[part.sid], text.sid))
        for replies in people.values():
            for (_, _, earlier, _), (_, _, later, sid) in pairwise(sorted(replies)):
                if later < earlier:
                    self._found.swapped.append(f"{sid}: answered before the text before it")

    def _remembered(self) -> None:
        """The conversation holds what was said: the last answered text of each person, its reply, and nothing twice."""
        talks = {talk.person: talk for talk in self._given.talks}
        last: dict[str, Row] = {}
        for text in self._given.texts:
            turn = self._rows.get((text.person, f"in#{text.sid}"))
            if turn is not None and turn.state == "ANSWERED":
                # what was put back is answered late: the last in the window is the one whose words were persisted last
                last[text.person] = max(last.get(text.person, turn), turn, key=lambda row: (row.answered, row.arrived))
        for person, turn in last.items():
            window = talks[person].window if person in talks else ()
            for key in (turn.key, f"out#{turn.turn or turn.sid}#0"):
                if window.count(key) != 1:
                    self._found.lost.append(f"{turn.sid}: {key} stands {window.count(key)} times in the conversation")


def describe(verdict: Verdict, faults: Sequence[Fault]) -> dict[str, Any]:  # Any: JSON
    """The verdict and what was broken, as data."""
    return {
        "good": verdict.good,
        "texts": verdict.texts,
        "answered": verdict.answered,
        "silent": verdict.silent,
        "held": verdict.held,
        "lost": verdict.lost,
        "doubled": verdict.doubled,
        "swapped": verdict.swapped,
        "unexcused": verdict.unexcused,
        "excused_from_order": verdict.excused_from_order,
        "faults": dict(Counter(fault.what for fault in faults)),
        "kills": sum(fault.kind == "kill" for fault in faults),
        "cuts": sum(fault.kind == "cut" for fault in faults),
    }
