"""Strike at exact steps on the wire: arm a point of the crash table, and wait until it strikes."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from chaos import points
from chaos.injector import STORE_TROUBLE_SECONDS, THROTTLED, Injector
from chaos.outside import Outside
from chaos.people import People
from chaos.points import Action, Point
from chaos.proxy import CUT, Exchange, Reaction, When
from chaos.steps import Step, attempt_of, step_of, took_effect
from chaos.tree import Member, Tree

#: An armed point is given up if no request has reached its step by then.
STRIKE_SECONDS: Final = 45.0
#: A text that is not in its inbox after this time is settled and will not reach the point any more.
OVER_SECONDS: Final = 5.0
#: At most this many texts are sent for each strike that a row needs.
MOST_TRIES: Final = 3


@dataclass(slots=True)
class Armed:
    """A point that waits for a request to reach its step."""

    point: Point
    person: str
    struck: threading.Event = field(default_factory=threading.Event)


class Strikes:
    """The armed points, and how often each row of the crash table was struck."""

    def __init__(
        self,
        tree: Tree,
        outside: Outside,
        people: People,
        injector: Injector,
        say: Callable[[str], None],
        *,
        kills_only: bool = False,
    ) -> None:
        self.struck: Counter[str] = Counter()
        self._tree = tree
        self._outside = outside
        self._people = people
        self._injector = injector
        self._kills_only = kills_only
        self._say = say
        self._armed: list[Armed] = []
        self._lock = threading.Lock()

    def arm(self, point: Point, person: str) -> Armed:
        """Arm a point for the next text of a person."""
        armed = Armed(point, person)
        with self._lock:
            self._armed.append(armed)
        return armed

    def disarm_all(self) -> None:
        """Give up all armed points."""
        with self._lock:
            self._armed.clear()

    def react(self, member: Member, exchange: Exchange) -> Reaction:
        """Inject the fault of the armed point whose step this exchange is, if any."""
        armed = self._matching(exchange)
        if armed is None:
            return None
        reaction = self._inject(armed, member, exchange)
        armed.struck.set()
        return reaction

    def _matching(self, exchange: Exchange) -> Armed | None:
        """Return and disarm the armed point whose step this exchange is."""
        if not self._armed:
            return None
        step = step_of(exchange.service, exchange.request)
        if step is None or (exchange.when is When.AFTER and not took_effect(exchange.service, exchange.answer)):
            return None
        with self._lock:
            for armed in self._armed:
                point = armed.point
                if (point.service, point.step, point.when) == (
                    exchange.service,
                    step,
                    exchange.when,
                ) and self._is_about(armed.person, step, exchange):
                    self._armed.remove(armed)
                    return armed
        return None

    def _is_about(self, person: str, step: Step, exchange: Exchange) -> bool:
        if step is Step.POP:
            return b"dadacat.answer" in exchange.answer
        if step in (Step.REMOVE, Step.CLOSE, Step.TAKE):
            return self._outside.who(person).encode() in exchange.request
        return person[1:].encode() in exchange.request

    def _inject(self, armed: Armed, member: Member, exchange: Exchange) -> Reaction:
        """Inject the fault. Count the row only if something was struck."""
        if not self._strike_now(armed, member, exchange):
            return None
        self.struck[armed.point.row] += 1
        match armed.point.do:
            case Action.KILL | Action.KILL_AND_EMPTY_QUEUE | Action.CUT | Action.KILL_REDIS | Action.AWAY:
                return CUT
            case Action.THROTTLE:
                return THROTTLED
            case Action.SLEEP | Action.FLUSH | Action.TEXT | Action.RULES:
                return None

    def _strike_now(self, armed: Armed, member: Member, exchange: Exchange) -> bool:
        """Strike; return whether there was something to strike."""
        label, injector = armed.point.label, self._injector
        match armed.point.do:
            case Action.KILL | Action.KILL_AND_EMPTY_QUEUE as do:
                return injector.kill(member, label) and (do is Action.KILL or injector.empty_queue())
            case Action.CUT:
                attempt = attempt_of(exchange.request) if exchange.service == "twilio" else ""
                return injector.note(label, kind="cut", attempt=attempt)
            case Action.SLEEP:
                return injector.put_to_sleep(member, label)
            case Action.KILL_REDIS:
                return injector.kill_redis(label)
            case Action.THROTTLE:
                return injector.throttle(member, label)
            case Action.AWAY:
                return injector.take_store_away(STORE_TROUBLE_SECONDS, label)
            case Action.FLUSH:
                return injector.flush(label)
            case Action.TEXT:
                return self._people.send_another(armed.person) and injector.note(label)
            case Action.RULES:
                return False  # the carrier's rules strike by themselves

    def strike_rows(self, rows: Sequence[str], each: int) -> None:
        """Strike `each` times at each of these rows of the crash table."""
        for row in rows:
            variants = itertools.cycle(points.points_of(row, kills_only=self._kills_only))
            for point in itertools.islice(variants, each * MOST_TRIES):
                if self.struck[row] >= each:
                    break
                self._strike(point)
            self._say(f"{row}: struck {self.struck[row]} times")

    def _strike(self, point: Point) -> None:
        """Send one text to a point. Count the point only if a request reached it."""
        person = self._people.new_person()
        self._injector.misbehave(*({**rule, "person": person} for rule in point.rules))
        armed = self.arm(point, person) if point.do is not Action.RULES else None
        self._people.send(person, f"{point.row} {person[-5:]}")
        if point.rules:
            self._outside.wait_for_delivery(person, STRIKE_SECONDS)
        if armed is not None:
            self._wait_for_strike(armed)
        elif _in_time(lambda: self._outside.rules_struck() > 0):  # a callback may follow the delivery
            self.struck[point.row] += 1
            self._injector.note(point.label)
        # otherwise no request would reach the next point
        _in_time(self._is_ready)
        # a text that is in hand at several kills would use up its tries
        _in_time(lambda: not self._outside.waits(person))

    def _wait_for_strike(self, armed: Armed) -> None:
        """Wait until an armed point strikes or its text is settled without reaching the point.

        A text can miss its point if a callback is faster than the answer that it overtakes.
        """
        started_at = time.monotonic()
        while not armed.struck.wait(0.2):
            elapsed = time.monotonic() - started_at
            over = elapsed > OVER_SECONDS and not self._outside.waits(armed.person)
            if over or elapsed > STRIKE_SECONDS:
                with self._lock:
                    if armed in self._armed:
                        self._armed.remove(armed)
                return

    def _is_ready(self) -> bool:
        """Return whether a worker and every webhook are ready."""
        return any(map(self._tree.answers, self._tree.of_role("worker"))) and all(
            map(self._tree.answers, self._tree.of_role("webhook"))
        )


def _in_time(true: Callable[[], bool]) -> bool:
    """Wait for a condition, `STRIKE_SECONDS` at most; return whether it holds."""
    deadline = time.monotonic() + STRIKE_SECONDS
    while not (holds := true()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return holds
