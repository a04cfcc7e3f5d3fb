"""The rows of the protocol's crash table, K0 to K14, as faults at one exact step on the wire.

A point is armed for one text. It strikes once, at the first exchange that matches its step, and records the strike.
The table in `docs/explanation/protocol.md` says what recovers the text. The auditor says whether it was recovered.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from chaos.proxy import When
from chaos.steps import Step


class Action(StrEnum):
    """The fault that a point injects."""

    #: SIGKILL the process that made the request.
    KILL = "kill"
    #: Close the connection; every process lives on.
    CUT = "cut"
    #: SIGSTOP the process that made the request, for longer than its lease.
    SLEEP = "sleep"
    #: SIGKILL the process that made the request, and delete the queue of wake-up tasks.
    KILL_AND_EMPTY_QUEUE = "kill, queue deleted"
    #: SIGKILL Redis; the launcher starts it again.
    KILL_REDIS = "kill redis"
    #: The store answers this request, and every one for a while after, with a throttling error.
    THROTTLE = "throttle"
    #: All workers lose the store for a while.
    AWAY = "away"
    #: FLUSHALL on Redis.
    FLUSH = "redis emptied"
    #: The same person sends another text, and it is accepted before the exchange goes on.
    TEXT = "another text"
    #: The simulated carrier misbehaves for this person by its rules; the wire itself is left alone.
    RULES = "rules"


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One variant of a row of the crash table."""

    row: str
    name: str
    do: Action
    service: str = ""
    step: Step | None = None
    when: When = When.BEFORE
    #: The simulator's fault rules for the person while the text is processed.
    rules: Sequence[dict[str, object]] = ()

    @property
    def label(self) -> str:
        """Return its name in the fault log, such as `K6: killed after the claim`."""
        return f"{self.row}: {self.name}"


def _rule(at: str, do: str, **more: object) -> dict[str, object]:
    return {"at": at, "do": do, **more}


POINTS: Final = (
    Point(row="K0", name="webhook killed before redis has it", do=Action.KILL, service="redis", step=Step.ACCEPT),
    Point(
        row="K1", name="webhook killed before its 200", do=Action.KILL, service="redis", step=Step.ACCEPT,
        when=When.AFTER,
    ),
    Point(row="K2", name="killed inside the take", do=Action.KILL, service="redis", step=Step.POP, when=When.AFTER),
    Point(
        row="K2", name="killed inside the take, queue deleted", do=Action.KILL_AND_EMPTY_QUEUE, service="redis",
        step=Step.POP, when=When.AFTER,
    ),
    Point(
        row="K2", name="redis killed inside the take", do=Action.KILL_REDIS, service="redis", step=Step.POP,
        when=When.AFTER,
    ),
    Point(row="K3", name="killed after filing", do=Action.KILL, service="dynamodb", step=Step.FILE, when=When.AFTER),
    Point(row="K3", name="killed before persist", do=Action.KILL, service="dynamodb", step=Step.PERSIST),
    Point(
        row="K4", name="persist's answer lost", do=Action.CUT, service="dynamodb", step=Step.PERSIST, when=When.AFTER
    ),
    Point(
        row="K5", name="killed after persist", do=Action.KILL, service="dynamodb", step=Step.PERSIST, when=When.AFTER
    ),
    Point(row="K5", name="killed before the claim arrives", do=Action.KILL, service="dynamodb", step=Step.CLAIM),
    Point(
        row="K6", name="killed after the claim", do=Action.KILL, service="dynamodb", step=Step.CLAIM, when=When.AFTER
    ),
    Point(row="K7", name="twilio's answer lost", do=Action.CUT, service="twilio", step=Step.SEND, when=When.AFTER),
    Point(
        row="K7", name="killed before twilio's answer", do=Action.KILL, service="twilio", step=Step.SEND,
        when=When.AFTER,
    ),
    Point(row="K8", name="killed after bind", do=Action.KILL, service="dynamodb", step=Step.BIND, when=When.AFTER),
    Point(row="K8", name="killed before removing", do=Action.KILL, service="redis", step=Step.REMOVE),
    Point(row="K9", name="asleep before persist", do=Action.SLEEP, service="dynamodb", step=Step.FILE, when=When.AFTER),
    Point(
        row="K9", name="asleep after the claim", do=Action.SLEEP, service="dynamodb", step=Step.CLAIM, when=When.AFTER
    ),
    Point(row="K10", name="store throttles", do=Action.THROTTLE, service="dynamodb", step=Step.PERSIST),
    Point(row="K10", name="store away", do=Action.AWAY, service="dynamodb", step=Step.CLAIM),
    Point(row="K11", name="redis emptied before filing", do=Action.FLUSH, service="dynamodb", step=Step.OPEN),
    Point(
        row="K11", name="redis emptied after filing", do=Action.FLUSH, service="dynamodb", step=Step.PERSIST,
        when=When.AFTER,
    ),
    Point(
        row="K12", name="callback overtakes, twice", do=Action.RULES,
        rules=(_rule("callback", "before"), _rule("callback", "double")),
    ),
    Point(row="K12", name="callbacks reversed", do=Action.RULES, rules=(_rule("callback", "reverse"),)),
    Point(
        row="K12", name="no callback, answer lost", do=Action.CUT, service="twilio", step=Step.SEND, when=When.AFTER,
        rules=(_rule("callback", "never"),),
    ),
    Point(row="K12", name="report's write lost", do=Action.CUT, service="dynamodb", step=Step.REPORT, when=When.AFTER),
    Point(row="K13", name="a text before the last look", do=Action.TEXT, service="redis", step=Step.CLOSE),
    Point(
        row="K13", name="a text after the last look", do=Action.TEXT, service="redis", step=Step.CLOSE, when=When.AFTER
    ),
    # With skewed clocks, each worker's clock differs from the next worker's by at least ten minutes.
    # The worker that takes over here goes by another clock than the killed one.
    Point(
        row="K14", name="taken over under another clock", do=Action.KILL, service="dynamodb", step=Step.FILE,
        when=When.AFTER,
    ),
)  # fmt: skip

ROWS: Final = tuple(dict.fromkeys(point.row for point in POINTS))


#: What only kills a process.
KILLS: Final = frozenset({Action.KILL, Action.KILL_REDIS})


def points_of(row: str, *, kills_only: bool = False) -> tuple[Point, ...]:
    """Return the variants of one row; `kills_only`: only those that kill a process and do nothing else."""
    return tuple(
        point for point in POINTS if point.row == row and (not kills_only or (point.do in KILLS and not point.rules))
    )
