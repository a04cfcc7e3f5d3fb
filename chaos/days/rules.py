"""What must hold at every moment of a day, by what reaches Redis, the tables and the carrier."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from chaos.days.kernel import Process, Thread
from chaos.days.machine import Webhook
from chaos.days.network import START, attempt_of
from chaos.days.plan import What
from conversation import schema
from conversation.memory_table import MemoryTables
from conversation.table import Check, Row, Update
from journal.model import part_of_attempt
from sms.messages import InboundSms
from sms.ports import OutboundSms
from worker.delivery import CLAIM_GOOD_FOR_SECONDS

if TYPE_CHECKING:
    from chaos.days.day import Day

#: Faults after which a lease may run out, or be lost, while its holder works.
_DISTURB_LEASES: Final = frozenset({What.REDIS_AWAY, What.REDIS_DEMOTED, What.REDIS_EMPTIED})
_LEASE_CALLS: Final = frozenset({"take", "renew", "close", "release_until", "give_back", "leave"})
_ENDS: Final = frozenset({"give_back", "leave", "release_until", "close"})
_KEYWORDS: Final = frozenset({"STOP", "START"})
_START_MS: Final = int(START.timestamp() * 1000)
#: A webhook's request takes no longer: what is confirmed later was stored later.
_IN_FLIGHT_SECONDS: Final = 10.0
#: An age is computed from two clocks' milliseconds.
_SLACK_SECONDS: Final = 1.0
#: A request begins so soon after its claim, or not at all.
_LATEST_SECONDS: Final = CLAIM_GOOD_FOR_SECONDS + _SLACK_SECONDS
#: A claim may be this much older than its first byte, and the age was looked at before it.
_OLDEST_CLAIM_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class _Held:
    """A lease, as it was last granted."""

    token: str
    holder: Process
    at: float


class Rules:
    """Watches a day, and says at once what must not happen."""

    def __init__(self, day: Day, people: Mapping[str, str], lease_seconds: float) -> None:
        self._day = day
        self._lease_seconds = lease_seconds
        #: Hash of a person to the person.
        self._people = people
        self._leases: dict[str, _Held] = {}
        #: Whether a fault of this day makes leases run out.
        self._disturbed = any(f.what in _DISTURB_LEASES or f.call in _LEASE_CALLS for f in day.plan.faults)
        self._texts: dict[str, InboundSms] = {}
        #: Sids of the texts that a webhook answered with 200, since Redis was last emptied.
        self._confirmed: set[str] = set()
        self._emptied_at = -_IN_FLIGHT_SECONDS
        self._keywords = _Keywords(day)
        #: Thread and person to the last keyword when the thread last looked into the person's inbox.
        self._looked: dict[tuple[Thread | None, str], str] = {}
        #: Key of a part to when it was last claimed.
        self._claims: dict[str, float] = {}
        #: Key of a part to when it was held, and to the attempts at it that are in doubt.
        self.held_at: dict[str, float] = {}
        self._doubts: dict[str, set[str]] = defaultdict(set)

    def know(self, texts: Sequence[InboundSms]) -> None:
        """Learn which texts the day has."""
        self._texts = {str(text.sid): text for text in texts}

    def emptied(self) -> None:
        """Forget what Redis has forgotten."""
        self._emptied_at = self._day.kernel.now
        self._leases.clear()
        self._confirmed.clear()
        self._keywords.emptied()
        self._looked.clear()

    def confirmed(self, text: InboundSms) -> None:
        """Note that a webhook answered a text with 200."""
        if self._day.kernel.now - self._emptied_at > _IN_FLIGHT_SECONDS:
            self._confirmed.add(text.sid)

    # Redis

    def redis(self, name: str, args: Sequence[Any], answer: Any, process: Process) -> None:
        """Judge a command that took effect."""
        if name == "accept":
            self._accepted(_arguments(args), answer, process)
        elif name == "xrange":
            self._looked_at(args[1])
        elif name in _LEASE_CALLS:
            self._lease(name, args, answer, process)

    def _accepted(self, arguments: tuple[Sequence[str], Sequence[str]], answer: Any, process: Process) -> None:
        _, values = arguments
        for number, outcome in enumerate(answer):
            sid = values[1 + 6 * number + 3]
            text = self._texts.get(sid)
            if outcome != 1 or text is None:
                continue
            row = _row_of(self._day, text)
            is_news = _is_open(row)
            if is_news and text.body in _KEYWORDS:
                late = json.loads(values[1 + 6 * number + 2]).get("late", 0)
                self._keywords.heard(text, row, self._day.kernel.now - late)
            if is_news and sid in self._confirmed and not isinstance(process, Webhook):
                self._day.offend(f"vanished: the inbox lost {sid}, which a webhook had confirmed")

    def _looked_at(self, key: Any) -> None:
        person = self._people.get(_text(key).rpartition(":")[2])
        if person is not None:
            self._looked[self._day.kernel.current, person] = self._keywords.last(person)

    def _lease(self, name: str, args: Sequence[Any], answer: Any, process: Process) -> None:
        names, values = _arguments(args)
        key, now = names[0], self._day.kernel.now
        held = self._leases.get(key)
        if name == "take" and answer[0] == 1:
            if held is not None and not held.holder.is_dead:
                self._taken_from(key, held)
            self._leases[key] = _Held(values[1], process, now)
        elif held is not None and values[0] == held.token:
            if name == "renew" and answer == 1:
                self._leases[key] = _Held(held.token, held.holder, now)
            elif name in _ENDS and answer == 1:
                del self._leases[key]
                if name == "give_back" and not held.holder.is_dead:
                    self._day.offend(f"given back: {key} is taken from {held.holder.name}, which lives")

    def _taken_from(self, key: str, held: _Held) -> None:
        now = self._day.kernel.now
        if now < held.at + self._lease_seconds - _SLACK_SECONDS:
            self._day.offend(f"shared: {key} is taken while {held.holder.name} holds it")
        elif not self._disturbed and held.holder.stopped_until <= held.at:
            self._day.offend(f"run out: {key} was not renewed, though {held.holder.name} works")

    # The tables

    def watched(self, tables: MemoryTables) -> _Watched:
        """Return the tables, watched."""
        return _Watched(tables, self)

    def wrote(self, writes: Sequence[Update | Check]) -> None:
        """Judge writes that took effect."""
        for write in writes:
            if isinstance(write, Update) and write.table == schema.MESSAGES:
                if write.set.get("state") == "HELD":
                    self.held_at[write.key["message_key"]] = self._day.kernel.now
                elif "claimed_at" in write.set:
                    self._claimed(write)

    def _claimed(self, claim: Update) -> None:
        day, person, key = self._day, claim.key["user_id"], claim.key["message_key"]
        self._claims[key] = day.kernel.now
        if key in self.held_at:
            day.offend(f"held: {key} is claimed, and no operator said so")
        doubts = len(self._doubts[key])
        if doubts > day.plan.terms.resend:
            day.offend(f"in doubt: {key} is claimed after {doubts} attempts whose outcome is unknown")
        if self._looked.get((day.kernel.current, person)) == "STOP":
            day.offend(f"stopped: {key} is claimed, and its person sent STOP")
        row = day.tables.get(schema.MESSAGES, claim.key)
        assert row is not None
        if row.get("serious"):
            return
        age = day.kernel.now - _seconds(row)
        if age > day.plan.terms.max_age + _OLDEST_CLAIM_SECONDS:
            day.offend(f"too old: {key} is claimed {age:.0f} s after its text")

    # The carrier

    def begins(self, message: OutboundSms) -> None:
        """Judge a request whose first byte leaves now."""
        attempt = attempt_of(message)
        key = part_of_attempt(attempt) or attempt
        age = self._day.kernel.now - self._claims[key]
        if age > _LATEST_SECONDS and self._keywords.last(message.to) == "STOP":
            self._day.offend(f"stopped: {key} is sent {age:.0f} s after its claim, and its person sent STOP meanwhile")

    def doubted(self, attempt: str) -> None:
        """Note that the outcome of an attempt is unknown."""
        self._doubts[part_of_attempt(attempt) or attempt].add(attempt)


class _Keywords:
    """Of each person the keyword that was sent last, of those that reached the inbox."""

    def __init__(self, day: Day) -> None:
        self._day = day
        #: Person to the keyword, and when it was sent.
        self._last: dict[str, tuple[float, InboundSms]] = {}

    def heard(self, text: InboundSms, row: Row | None, at: float) -> None:
        """Note a keyword that came in, unless a later one is known; one that comes back is as old as its row."""
        sent = at if row is None else _seconds(row) - int(row.get("found_after", 0))
        if sent >= self._last.get(text.sender, (0.0, text))[0]:
            self._last[text.sender] = sent, text

    def last(self, person: str) -> str:
        """Return the keyword; empty: there is none."""
        return self._last[person][1].body if person in self._last else ""

    def emptied(self) -> None:
        """Forget those that only Redis knew: a settled one stands in the journal."""
        self._last = {who: kept for who, kept in self._last.items() if not _is_open(_row_of(self._day, kept[1]))}


class _Watched:
    """Tables that say which writes took effect."""

    def __init__(self, behind: MemoryTables, rules: Rules) -> None:
        self._behind, self._rules = behind, rules

    def __getattr__(self, name: str) -> Any:
        return getattr(self._behind, name)

    def transact(self, *writes: Update | Check) -> None:
        """Carry out a transaction."""
        self._behind.transact(*writes)
        self._rules.wrote(writes)

    def update(self, update: Update) -> Any:
        """Carry out an update."""
        row = self._behind.update(update)
        self._rules.wrote([update])
        return row


def _row_of(day: Day, text: InboundSms) -> Row | None:
    return day.tables.get(schema.MESSAGES, {"user_id": text.sender, "message_key": f"in#{text.sid}"})


def _is_open(row: Row | None) -> bool:
    return row is None or row["state"] == "FILED"


def _seconds(row: Row) -> float:
    """Return when a row's text arrived, in seconds of the day."""
    return (int(row["arrived"].partition("-")[0]) - _START_MS) / 1000


def _arguments(args: Sequence[Any]) -> tuple[Sequence[str], Sequence[str]]:
    """Return the keys and the arguments of a script."""
    count = int(args[2])
    words = [_text(arg) for arg in args[3:]]
    return words[:count], words[count:]


def _text(word: Any) -> str:
    return word.decode(errors="replace") if isinstance(word, bytes) else str(word)
