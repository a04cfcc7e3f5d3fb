"""Accounts for every text, from the outside: what telephones sent, what the network's list shows, and both tables.

A text is answered once, in order; or its reply is in doubt, which only a fault that really hid its outcome excuses; or it is lost, doubled
or out of order, and the auditor names it. It trusts no state that it can check: a part that says SENT must be on the list, and a message on
the list must be some part's own.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

#: A fault this long before the claim, or after it, may have hidden an attempt's outcome: a send takes up to 13 s.
EXCUSES_BEFORE_SECONDS: Final = 2.0
EXCUSES_AFTER_SECONDS: Final = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SentText:
    """A text that a telephone sent."""

    sid: str
    person: str
    #: The order in which this telephone's texts were sent.
    place: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A message of ours on the network's list."""

    sid: str
    person: str
    body: str
    created: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row of the journal."""

    person: str
    key: str
    state: str
    sid: str = ""
    arrived: str = ""
    turn: str = ""
    content: str = ""
    #: Seconds since 1970 at which its last attempt was claimed.
    claimed: float = 0.0
    repaired: bool = False
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Something that was broken on purpose, and when."""

    at: float
    what: str
    #: How long it lasted.
    seconds: float = 0.0


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
    #: In doubt, and nothing excuses it.
    unexcused: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Whether the promise was kept."""
        return not (self.lost or self.doubled or self.swapped or self.unexcused)


def audit(texts: Sequence[SentText], shown: Sequence[Shown], rows: Iterable[Row], faults: Sequence[Fault]) -> Verdict:
    """Account for every text."""
    verdict = Verdict(texts=len(texts))
    by_key = {(row.person, row.key): row for row in rows}
    parts: Mapping[tuple[str, str], list[Row]] = _parts(by_key)
    listed = Counter(message.sid for message in shown)
    owners: Counter[str] = Counter(row.sid for row in by_key.values() if row.key.startswith("out#") and row.sid)
    for text in texts:
        turn = by_key.get((text.person, f"in#{text.sid}"))
        if turn is None or turn.state == "FILED":
            verdict.lost.append(f"{text.sid}: {'never filed' if turn is None else 'never answered'}")
        elif turn.state != "ANSWERED":
            _settled(verdict, text, turn)
        else:
            _answered(verdict, text, parts.get((text.person, turn.turn or text.sid), []), listed, faults)
    _strangers(verdict, shown, owners, by_key.values())
    _order(verdict, texts, shown, by_key)
    return verdict


def _parts(by_key: Mapping[tuple[str, str], Row]) -> Mapping[tuple[str, str], list[Row]]:
    found: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for (person, key), row in by_key.items():
        if key.startswith("out#"):
            found[person, key.split("#")[1]].append(row)
    return found


def _settled(verdict: Verdict, text: SentText, turn: Row) -> None:
    if turn.state == "SILENT":
        verdict.silent += 1
    else:
        verdict.lost.append(f"{text.sid}: {turn.state} ({turn.reason})")


def _answered(
    verdict: Verdict, text: SentText, parts: Sequence[Row], listed: Mapping[str, int], faults: Sequence[Fault]
) -> None:
    if not parts:
        verdict.lost.append(f"{text.sid}: answered without a reply")
    for part in parts:
        if part.state == "SENT":
            if listed.get(part.sid, 0) != 1:
                verdict.lost.append(f"{text.sid}: its reply {part.sid} is not on the list")
            else:
                verdict.answered += 1
        elif part.state in ("UNKNOWN", "HELD", "SENDING"):
            excuse = _excuse(part, faults)
            if excuse:
                verdict.held[text.sid] = excuse
            else:
                verdict.unexcused.append(f"{text.sid}: {part.state}, claimed at {part.claimed:.1f}")
        else:
            verdict.lost.append(f"{text.sid}: its reply is {part.state} ({part.reason})")


def _excuse(part: Row, faults: Sequence[Fault]) -> str:
    """The fault that may have hidden what became of an attempt."""
    for fault in faults:
        if fault.at - EXCUSES_AFTER_SECONDS <= part.claimed <= fault.at + fault.seconds + EXCUSES_BEFORE_SECONDS:
            return f"{fault.what} at {fault.at:.1f}"
    return ""


def _strangers(verdict: Verdict, shown: Sequence[Shown], owners: Mapping[str, int], rows: Iterable[Row]) -> None:
    """A message that is no part's own is a second SMS, unless it is the one that a part in doubt is waiting to be told of."""
    doubtful = Counter(
        (row.person, row.content)
        for row in rows
        if row.key.startswith("out#") and row.state in ("UNKNOWN", "HELD", "SENDING")
    )
    for message in shown:
        owned = owners.get(message.sid, 0)
        if owned > 1:
            verdict.doubled.append(f"{message.sid}: {owned} parts say that it is theirs")
        elif owned == 0:
            if doubtful[message.person, message.body] > 0:
                doubtful[message.person, message.body] -= 1
            else:
                verdict.doubled.append(f"{message.sid}: nobody's own")


def _order(
    verdict: Verdict, texts: Sequence[SentText], shown: Sequence[Shown], by_key: Mapping[tuple[str, str], Row]
) -> None:
    """Replies must have been created in the order in which their texts reached us; only texts that were fetched back are excused."""
    created = {message.sid: place for place, message in enumerate(shown)}
    people: dict[str, list[tuple[str, int, str]]] = defaultdict(list)
    for text in texts:
        turn = by_key.get((text.person, f"in#{text.sid}"))
        part = by_key.get((text.person, f"out#{text.sid}#0"))
        if turn is None or part is None or turn.repaired or part.sid not in created:
            continue
        people[text.person].append((turn.arrived, created[part.sid], text.sid))
    for replies in people.values():
        for (_, earlier, _), (_, later, sid) in pairwise(sorted(replies)):
            if later < earlier:
                verdict.swapped.append(f"{sid}: answered before the text before it")


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
        "faults": dict(Counter(fault.what for fault in faults)),
    }
