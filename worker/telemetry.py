"""What a worker tells its operator: named events, each with one log line and at most one metric.

The names of events and metrics are an interface: dashboards and alarms are built on them.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Protocol

from conversation.journal import Part, PartState, Turn, TurnState
from inbox.payloads import Who
from runtime import logs, metrics

log = logs.get("worker")

#: Repairs that an operator should look at: a reply in doubt for good, and webhooks that are being lost.
_GRAVE = frozenset({"held", "missed late"})


class Event(Protocol):
    """Something that happened."""

    @property
    def line(self) -> tuple[int, str, dict[str, Any]]:  # Any: the fields of a log line
        """The log line: its level, its name, and its fields."""

    def count(self) -> None:
        """Add the event to its metric, if it has one."""


class Telemetry(Protocol):
    """Where events go."""

    def emit(self, event: Event) -> None:
        """Log and count the event. Never raises."""


class LogsAndMetrics:
    """`Telemetry` of a running process."""

    def emit(self, event: Event) -> None:
        """Write the event's log line and add it to its metric."""
        event.count()
        level, name, fields = event.line
        log.log(level, name, **fields)


class Silent:
    """`Telemetry` of a command at a terminal, which prints its result itself."""

    def emit(self, event: Event) -> None:
        """Drop the event."""


SILENT: Final = Silent()


class _Uncounted:
    """An event without a metric."""

    def count(self) -> None:
        """Do nothing."""


class Alarm(StrEnum):
    """What an operator should look at."""

    #: The carrier refuses our account or its configuration: nothing is sent any more.
    STOPPED = "sending stopped"
    #: The carrier says that two machines talk to each other.
    LOOP = "loop"
    #: An answer about one message that an operator should know of.
    STRANGE = "carrier objects"


@dataclass(frozen=True, slots=True)
class Alarmed:
    """The operator should look at something."""

    alarm: Alarm
    reason: str

    @property
    def line(self) -> tuple[int, str, dict[str, Any]]:
        """The alarm, with its reason."""
        return logging.ERROR, str(self.alarm), {"reason": self.reason}

    def count(self) -> None:
        """Count alarms by name."""
        metrics.ALARMS.labels(alarm=self.alarm.name.lower()).inc()


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnSettled:
    """A turn got its reply, or the verdict that it gets none."""

    who: Who
    turn: Turn
    state: TurnState
    reason: str
    fence: int

    @property
    def line(self) -> tuple[int, str, dict[str, Any]]:
        """The turn's new state; a dead letter is an error."""
        level = logging.ERROR if self.state is TurnState.DEAD else logging.INFO
        fields = {"sid": self.turn.sid, "state": str(self.state), "reason": self.reason or None, "fence": self.fence}
        return level, "turn settled", {"who": self.who, **fields}

    def count(self) -> None:
        """Count turns by state."""
        metrics.TURNS.labels(state=self.state).inc()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyComposed:
    """An engine wrote a reply in `seconds`, after the engines in `silent` had written none."""

    who: Who
    engine: str
    seconds: float
    silent: tuple[str, ...]

    @property
    def line(self) -> tuple[int, str, dict[str, Any]]:
        """The silent engines; without any, nothing that is worth a line by default."""
        if self.silent:
            return logging.WARNING, "engines silent", {"who": self.who, "engines": list(self.silent)}
        return logging.DEBUG, "reply composed", {"who": self.who, "engine": self.engine}

    def count(self) -> None:
        """Observe the time by engine."""
        metrics.THINK_SECONDS.labels(engine=self.engine).observe(self.seconds)


@dataclass(frozen=True, slots=True)
class Parked(_Uncounted):
    """A visit left a person until later."""

    who: Who
    why: str

    @property
    def line(self) -> tuple[int, str, dict[str, Any]]:
        """The reason."""
        return logging.INFO, "parked", {"who": self.who, "why": self.why}


@dataclass(frozen=True, slots=True)
class PartAttempted:
    """A part of a reply changed its state."""

    part: Part

    @property
    def line(self) -> tuple[int, str, dict[str, Any]]:
        """The part; anything but SENT is a warning."""
        part = self.part
        level = logging.INFO if part.state is PartState.SENT else logging.WARNING
        return level, "part attempted", {
            "turn": part.turn, "number": part.number, "state": str(part.state), "sid": part.sid,
            "tries": part.tries, "error_code": part.error_code, "reason": part.reason,
        }  # fmt: skip

    def count(self) -> None:
        """Count parts by state."""
        metrics.PARTS.labels(state=self.part.state).inc()


@dataclass(frozen=True, slots=True)
class SecondTry:
    """A message that was not delivered is sent once more."""

    part: Part

    @property
    def line(self) -> tuple[int, str, dict[str, Any]]:
        """The new part, and when it is due."""
        fields = {"turn": self.part.turn, "number": self.part.number, "due": self.part.due}
        return logging.WARNING, "second try", fields

    def count(self) -> None:
        """Count it as a repair."""
        metrics.REPAIRED.labels(kind="sent again").inc()


@dataclass(frozen=True, slots=True)
class MemoryFolded:
    """A folding of a person's memory ended."""

    who: Who
    outcome: str

    @property
    def line(self) -> tuple[int, str, dict[str, Any]]:
        """The outcome."""
        return logging.INFO, "memory", {"who": self.who, "outcome": self.outcome}

    def count(self) -> None:
        """Count foldings by outcome."""
        metrics.MEMORIES.labels(outcome=self.outcome).inc()


@dataclass(frozen=True, slots=True)
class ReportWritten:
    """A delivery report was taken from the inbox. `outcome`: bound, foreign or unreadable."""

    outcome: str
    sid: str | None

    @property
    def line(self) -> tuple[int, str, dict[str, Any]]:
        """The report; only a dropped one is worth a line by default."""
        if self.outcome == "bound":
            return logging.DEBUG, "report written", {"sid": self.sid}
        return logging.WARNING, "report dropped", {"outcome": self.outcome, "sid": self.sid}

    def count(self) -> None:
        """Count reports by outcome."""
        metrics.RECEIPTS.labels(outcome=self.outcome).inc()


@dataclass(frozen=True, slots=True)
class Repaired:
    """The reconciler repaired the row `key`."""

    kind: str
    key: str

    @property
    def line(self) -> tuple[int, str, dict[str, Any]]:
        """The repair; an operator should look at some kinds."""
        level = logging.ERROR if self.kind in _GRAVE else logging.WARNING
        return level, "repaired", {"kind": self.kind, "key": self.key}

    def count(self) -> None:
        """Count repairs by kind."""
        metrics.REPAIRED.labels(kind=self.kind).inc()


@dataclass(frozen=True, slots=True)
class LeaseNotRenewed(_Uncounted):
    """A renewal failed; the fence decides what the lease's holder may still write."""

    error: Exception

    @property
    def line(self) -> tuple[int, str, dict[str, Any]]:
        """The error's name."""
        return logging.WARNING, "lease not renewed", {"error": type(self.error).__name__}


@dataclass(frozen=True, slots=True)
class RecountBegan(_Uncounted):
    """The spending is counted again."""

    @property
    def line(self) -> tuple[int, str, dict[str, Any]]:
        """The reason."""
        return logging.WARNING, "what was spent is counted again: redis was empty", {}
