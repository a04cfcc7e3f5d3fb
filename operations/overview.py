"""Is every text answered? If not: whose, since when and why. Every page and command asks here.

`Overviews.look` reads Redis at every call, the lists of held replies and dead letters every few seconds, and the whole
journal seldom (`operations.recent`). What needs the operator is a list of `Trouble`, the worst first. Who waits stands
in Redis, so it is told as well while DynamoDB does not answer.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from enum import IntEnum
from itertools import islice
from typing import Any, Final

import redis

from conversation.errors import StoreAway
from inbox import processes, snapshot
from inbox import server as redis_server
from inbox.budget import Caps
from inbox.durations import moment
from inbox.inbox import RedisClock
from inbox.ports import Circuit
from inbox.server import Server
from inbox.snapshot import Snapshot, WaitingPerson
from inbox.state import STUCK_AFTER_SECONDS
from inbox.stopped import Stopped, described
from journal.states import DEAD_LETTERS, HELD_PARTS
from journal.store import Journal
from operations import marks
from operations.recent import Recent, Recents
from runtime.money import MICRO, dollars
from runtime.settings import Settings
from worker.build.budget import caps
from worker.build.inbox import circuit

#: Lists of the journal are read again after this time: they change when an operator or the reconciler acts.
LISTS_SECONDS: Final = 5.0
#: After a reading that failed: one that gets no answer holds its reader up for some seconds.
AWAY_SECONDS: Final = 20.0
#: Lists are counted up to here; a longer one is shown as "1000 or more".
MOST_LISTED: Final = 1000
#: A text is composed and sent within this time, also by a slow model.
PATIENT_SECONDS: Final = 30.0
#: From this part of a budget, or of Redis's memory, the operator is told.
NEAR: Final = 0.8


class Level(IntEnum):
    """How much the operator has to do."""

    OK = 0
    ATTENTION = 1
    WRONG = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """One thing that needs the operator."""

    level: Level
    what: str
    #: Which subject has more about it: `waiting`, `held`, `dead-letters`, `set-aside`, `limits`, `health`.
    where: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What was spent of one budget, in millionths of a dollar."""

    kind: str
    span: str
    spent: int
    #: None: no limit.
    cap: int | None

    @property
    def part(self) -> float | None:
        """Return how much of the budget is spent, 1.0 for all of it; None without a limit."""
        return None if self.cap is None else (self.spent / self.cap if self.cap else 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lists:
    """How many items wait for an operator's decision; at most `MOST_LISTED` are counted."""

    held: int = 0
    dead: int = 0
    set_aside: int = 0
    #: Marks of killed workers are not believed since then; None: they are.
    distrusted_since: datetime | None = None
    #: Why the journal could not be read: the lists are then those of before.
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """The state of one installation at one moment."""

    snapshot: Snapshot
    server: Server
    stopped: Sequence[Stopped]
    lists: Lists
    budgets: Sequence[Budget]
    #: The last day; None until the journal was read for the first time.
    recent: Recent | None = None
    troubles: Sequence[Trouble] = field(default=())

    @property
    def at(self) -> datetime:
        """When this was read, by Redis's clock."""
        return moment(self.snapshot.now_ms)

    @property
    def level(self) -> Level:
        """How bad the worst trouble is."""
        return max((trouble.level for trouble in self.troubles), default=Level.OK)

    @property
    def verdict(self) -> str:
        """Say in one sentence whether every text is answered."""
        waiting, lists = self.snapshot, self.lists
        if not waiting.people and not lists.held and not lists.dead:
            return "No person waits." if lists.problem else "Every text is answered."
        people = {0: "No person waits", 1: "1 person waits"}.get(waiting.people, f"{waiting.people} people wait")
        longest = f", the longest for {span(waiting.oldest_seconds)}" if waiting.people else ""
        dead = f"; {_much(lists.dead)} could not be answered" if lists.dead else ""
        held = f"; {_much(lists.held)} may not have been answered" if lists.held else ""
        return f"{people}{longest}{dead}{held}."

    def to_json(self) -> dict[str, Any]:  # Any: JSON
        """Return the overview as a JSON object. People are named by their hash alone."""
        waiting = self.snapshot
        return {
            "at": self.at.isoformat(timespec="seconds"),
            "level": self.level.name.lower(),
            "verdict": self.verdict,
            "troubles": [{**asdict(trouble), "level": trouble.level.name.lower()} for trouble in self.troubles],
            "oldest_seconds": round(waiting.oldest_seconds, 1),
            "people_waiting": waiting.people,
            "texts_waiting": waiting.texts,
            "people_served": waiting.served,
            "wake_ups": waiting.wake_ups,
            "reports": waiting.reports,
            "agenda": waiting.agenda,
            "waiting": [
                {
                    "who": person.who,
                    "since": moment(person.since_ms).isoformat(timespec="seconds"),
                    "texts": person.texts,
                    "why": why(person, waiting.now_ms),
                }
                for person in waiting.waiting
            ],
            "stopped": [
                {"scope": stop.scope, "name": stop.name, "reason": stop.reason, "people": stop.people}
                for stop in self.stopped
            ],
            "held": self.lists.held,
            "dead": self.lists.dead,
            "set_aside": self.lists.set_aside,
            "budgets": [
                {
                    "kind": budget.kind,
                    "span": budget.span,
                    "spent_usd": budget.spent / MICRO,
                    "cap_usd": None if budget.cap is None else budget.cap / MICRO,
                }
                for budget in self.budgets
            ],
            "redis": asdict(self.server) | {"most_bytes": self.server.most_bytes or None},
            "recent": self.recent.to_json() if self.recent else None,
        }


class Overviews:
    """Reads overviews; one object serves many readers. Every method may be called from any thread."""

    def __init__(
        self,
        journal: Journal,
        client: redis.Redis,
        circuit: Circuit,
        *,
        caps: Mapping[str, Caps],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`caps`: the budgets of `model` and `sms`."""
        self._journal = journal
        self._redis = client
        self._circuit = circuit
        self._caps = caps
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._lists = Lists()
        self._lists_due = 0.0
        self.recents = Recents(journal, RedisClock(client).now)

    def look(self, *, wait: bool = False) -> Overview:
        """Return the overview. Raises `InboxAway`; with `wait`, `StoreAway` too.

        `wait`: read the journal now; otherwise the latest digest is taken, and renewed in the background.
        """
        stopped = self._circuit.stopped()
        now = snapshot.read(self._redis, stopped)
        lists = self._read_lists()
        server = redis_server.read(self._redis)
        budgets = tuple(_budgets(now, self._caps))
        recent = self.recents.now() if wait and not lists.problem else self.recents.latest()
        troubles = [*_absent(self._redis), *_troubles(now, server, stopped, lists, budgets)]
        troubles.sort(key=lambda trouble: -trouble.level)
        return Overview(
            snapshot=now, server=server, stopped=stopped, lists=lists, budgets=budgets, recent=recent, troubles=troubles
        )

    def _read_lists(self) -> Lists:
        with self._lock:
            if self._monotonic() >= self._lists_due:
                try:
                    self._lists, pause = self._lists_now(), LISTS_SECONDS
                except StoreAway as exc:
                    self._lists, pause = replace(self._lists, problem=str(exc) or type(exc).__name__), AWAY_SECONDS
                self._lists_due = self._monotonic() + pause
            return self._lists

    def _lists_now(self) -> Lists:
        unsettled = self._journal.unsettled
        held, dead = (
            sum(1 for _ in islice(unsettled.rows(bucket, limit=100), MOST_LISTED))
            for bucket in (HELD_PARTS, DEAD_LETTERS)
        )
        aside = sum(1 for _ in islice(self._journal.set_aside.all(), MOST_LISTED))
        return Lists(held=held, dead=dead, set_aside=aside, distrusted_since=marks.distrusted_since(self._journal))


def build(chosen: Settings, journal: Journal, client: redis.Redis) -> Overviews:
    """Return the reader of the installation that the settings name."""
    models, messages = caps(chosen.budgets)
    return Overviews(journal, client, circuit(chosen, client), caps={"model": models, "sms": messages})


def why(person: WaitingPerson, now_ms: int) -> str:
    """Say why a person still waits."""
    if person.is_served:
        return "a worker serves this person now"
    if person.stopped is not None:
        what = f"{person.stopped.scope} {person.stopped.name if person.stopped.scope != 'destination' else ''}".strip()
        return f"nothing is sent ({what}): {person.stopped.reason}"
    if person.due_ms is not None and person.due_ms > now_ms:
        return f"the next visit is due in {span((person.due_ms - now_ms) / 1000)}"
    return "waits for a worker"


def span(seconds: float) -> str:
    """Return a duration in its largest unit, such as `3 h` or `0.4 s`."""
    units = ((86_400, "d"), (3600, "h"), (60, "min"))
    whole = next((f"{int(seconds // size)} {unit}" for size, unit in units if seconds >= size), None)
    return whole or (f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s")  # noqa: PLR2004 - two digits


def _budgets(now: Snapshot, caps: Mapping[str, Caps]) -> Iterator[Budget]:
    for kind, cap in caps.items():
        for name, most in (("day", cap.day), ("month", cap.month)):
            yield Budget(kind=kind, span=name, spent=now.spent.get((name, kind), 0), cap=most)


def _absent(client: redis.Redis) -> Iterator[Trouble]:
    """Yield the processes without which nothing goes on; a hosted Redis may not list them."""
    roles = {process.role for process in processes.connected(client)}
    if roles and "worker" not in roles:
        yield Trouble(level=Level.WRONG, what="no worker is connected to Redis: no text is answered", where="health")
    if roles and "beat" not in roles:
        what = "beat is not connected to Redis: what was lost is not found again"
        yield Trouble(level=Level.ATTENTION, what=what, where="health")


def _troubles(
    now: Snapshot, server: Server, stopped: Sequence[Stopped], lists: Lists, budgets: Sequence[Budget]
) -> Iterator[Trouble]:
    if now.oldest_seconds > PATIENT_SECONDS:
        level = Level.WRONG if now.oldest_seconds > STUCK_AFTER_SECONDS else Level.ATTENTION
        reason = why(now.waiting[0], now.now_ms)
        yield Trouble(level=level, what=f"a text waits for {span(now.oldest_seconds)}: {reason}", where="waiting")
    wide = [stop for stop in stopped if stop.scope != "destination"]
    alone = [stop for stop in stopped if stop.scope == "destination"]
    for sentence in described(wide):
        yield Trouble(level=Level.WRONG, what=sentence, where="limits")
    for sentence in described(alone):
        yield Trouble(level=Level.ATTENTION, what=sentence, where="limits")
    if lists.problem:
        what = f"DynamoDB cannot be used, so no text is answered: {lists.problem}"
        yield Trouble(level=Level.WRONG, what=what, where="health")
    yield from _lists(lists)
    yield from _near(budgets)
    if server.appends is False:
        what = "Redis keeps no append-only file: a restart loses acknowledged texts"
        yield Trouble(level=Level.WRONG, what=what, where="health")
    if server.most_bytes and server.used_bytes and server.used_bytes >= NEAR * server.most_bytes:
        what = (
            f"Redis uses {server.used_bytes / server.most_bytes:.0%} of its memory: when it is full, no text is taken"
        )
        yield Trouble(level=Level.ATTENTION, what=what, where="health")


def _lists(lists: Lists) -> Iterator[Trouble]:
    for number, one, many, what, where in (
        (lists.held, "reply", "replies", "may have been sent: decide what becomes of it", "held"),
        (lists.dead, "dead letter", "dead letters", "could not be finished", "dead-letters"),
        (lists.set_aside, "item", "items", "could not be handled, and the others went on", "set-aside"),
    ):
        if number:
            noun = one if number == 1 else many
            yield Trouble(level=Level.ATTENTION, what=f"{_much(number)} {noun} {what}", where=where)
    if lists.distrusted_since is not None:
        what = f"marks of killed workers are not believed since {lists.distrusted_since:%Y-%m-%d %H:%M}"
        yield Trouble(level=Level.ATTENTION, what=what, where="health")


def _much(number: int) -> str:
    return f"{number} or more" if number >= MOST_LISTED else str(number)


def _near(budgets: Sequence[Budget]) -> Iterator[Trouble]:
    for budget in budgets:
        if budget.cap and budget.part is not None and budget.part >= NEAR:
            what = f"{budget.part:.0%} of the {budget.kind} budget of the {budget.span} is spent"
            what += f": {dollars(budget.spent, 2)} of {dollars(budget.cap, 2)} USD"
            level = Level.WRONG if budget.part >= 1 and budget.kind == "sms" else Level.ATTENTION
            yield Trouble(level=level, what=what, where="limits")
