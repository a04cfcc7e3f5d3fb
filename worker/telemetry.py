"""What a worker tells its operator: named events, each with one log line and at most one metric.

The names of events and metrics are an interface: dashboards and alarms are built on them.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from logging import DEBUG, ERROR, INFO, WARNING
from typing import Any, Final, Protocol

from prometheus_client import Counter, Histogram

from cat.danger.model import Tier
from conversation.errors import ConversationError
from inbox.payloads import Who
from inbox.ports import Place, Stop
from journal.model import ReplyPart, Turn
from journal.states import STATUS_RANK, PartState, TurnState
from runtime import logs, tracing
from runtime.errors import Away
from runtime.isolation import BadItem
from runtime.money import MICRO
from sms import ports
from sms.errors import CarrierAway
from worker import metrics

log = logs.get("worker")

#: A step of a text's road, as a trace shows it.
span: Final = tracing.span

#: An alarm that stays true is logged again after this time, not at each text that waits; its metric counts each.
ALARM_AGAIN_SECONDS: Final = 60.0
#: Different alarms that are remembered for it.
_MOST_ALARMS: Final = 1000

#: What an operator should look at: a reply in doubt for good, webhooks that are being lost, and a person who got a
#: reply twice because the carrier's list had not shown the first.
_GRAVE = frozenset({"held", "missed late", "sent twice"})
#: Why a visit left a person until later, apart from what is away.
_PARKED = frozenset({"due later", "enough", "fenced", "error"})
#: Stands for the engines in the reason that none was asked.
ALL_ENGINES: Final = "all of them"


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened: one log line, and one metric where there is one.

    `seconds` is observed by a histogram; a counter counts one. `again_seconds`: the same line is not logged again
    before this time is over.
    """

    level: int
    name: str
    fields: Mapping[str, Any]  # Any: the fields of a log line
    metric: Counter | Histogram | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    again_seconds: float = 0.0


class Telemetry(Protocol):
    """Where events go."""

    def emit(self, event: Event) -> None:
        """Log and count the event."""


class LogsAndMetrics:
    """`Telemetry` of a running process."""

    def __init__(self) -> None:
        self._logged: dict[tuple[object, ...], float] = {}

    def emit(self, event: Event) -> None:
        """Write the event's log line and add it to its metric."""
        metric = event.metric.labels(**event.labels) if event.metric is not None and event.labels else event.metric
        if isinstance(metric, Counter):
            metric.inc()
        elif metric is not None:
            metric.observe(event.seconds)
        if not event.again_seconds or self._is_news(event):
            log.log(event.level, event.name, **event.fields)

    def _is_news(self, event: Event) -> bool:
        """Return whether the same line was not logged a moment ago."""
        line, now = (event.name, *event.fields.items()), time.monotonic()
        if now < self._logged.get(line, 0.0):
            return False
        if len(self._logged) >= _MOST_ALARMS:
            self._logged.clear()
        self._logged[line] = now + event.again_seconds
        return True


class Silent:
    """`Telemetry` of a command at a terminal, which prints its result itself."""

    def emit(self, event: Event) -> None:
        """Drop the event."""


#: One for a process: an alarm that two parts of it raise is logged once.
OF_THIS_PROCESS: Final = LogsAndMetrics()
SILENT: Final = Silent()


class Alarm(StrEnum):
    """What an operator should look at, apart from what is stopped."""

    #: The carrier says that two machines talk to each other.
    LOOP = "loop"
    #: An answer about one message that an operator should know of.
    STRANGE = "carrier objects"
    #: A store refuses us: a permission, a login, a table or its memory is wrong. Texts wait.
    REFUSED = "refused"
    #: The carrier has a message that a mark proved unsent: marks are not believed any more.
    CONTRADICTED = "a proof was contradicted"


def alarmed(alarm: Alarm, reason: str) -> Event:
    """The operator should look at something."""
    return Event(ERROR, str(alarm), {"reason": reason}, metrics.ALARMS, {"alarm": alarm.name.lower()})


def stopped(place: Place, stop: Stop) -> Event:
    """The carrier refuses the account, a sender, a channel or a person: nothing is sent there."""
    alarm = "stopped" if place.scope is ports.Scope.ACCOUNT else f"stopped_{place.scope}"
    fields = {"reason": stop.reason, "scope": str(place.scope), "name": place.name or None}
    return Event(ERROR, "sending stopped", fields, metrics.ALARMS, {"alarm": alarm})


def resumed(place: Place) -> Event:
    """The carrier takes messages again, and everyone who waited is woken."""
    return Event(WARNING, "sending resumed", {"scope": str(place.scope), "name": place.name or None})


def away(exc: Exception) -> Event:
    """Something outside cannot be used, so work waits; an alarm if an operator must mend it."""
    fields = {"reason": str(exc) if isinstance(exc, Away) else type(exc).__name__}
    if isinstance(exc, Away) and exc.refuses:
        labels = {"alarm": Alarm.REFUSED.name.lower()}
        return Event(ERROR, str(Alarm.REFUSED), fields, metrics.ALARMS, labels, again_seconds=ALARM_AGAIN_SECONDS)
    labels = {"what": _what(exc)}
    return Event(WARNING, "away", fields, metrics.AWAY, labels, again_seconds=ALARM_AGAIN_SECONDS)


def _what(exc: Exception) -> str:
    """Return what cannot be used, as the metric calls it."""
    if isinstance(exc, ConversationError):
        return "store"
    if isinstance(exc, CarrierAway):
        return "carrier"
    return "inbox" if isinstance(exc, Away) else "machine"


def set_aside(item: BadItem) -> Event:
    """An item of a loop could not be handled, and the others go on."""
    fields = {"kind": item.kind, "item": item.name, "error": item.error}
    return Event(ERROR, "set aside", fields, metrics.SET_ASIDE, {"kind": item.kind}, again_seconds=ALARM_AGAIN_SECONDS)


def turn_settled(who: Who, turn: Turn, state: TurnState, reason: str, fence: int) -> Event:
    """A turn got its reply, or the verdict that it gets none."""
    level = ERROR if state is TurnState.DEAD else INFO
    fields = {"who": who, "sid": turn.sid, "state": str(state), "reason": reason or None, "fence": fence}
    return Event(level, "turn settled", fields, metrics.TURNS, {"state": state, "reason": reason})


def reply_composed(who: Who, engine: str, seconds: float, silent: Sequence[str]) -> Event:
    """An engine wrote a reply, after the engines in `silent` had written none."""
    labels = {"engine": engine}
    if silent:
        fields = {"who": who, "engines": list(silent)}
        return Event(WARNING, "engines silent", fields, metrics.THINK_SECONDS, labels, seconds)
    return Event(DEBUG, "reply composed", {"who": who, **labels}, metrics.THINK_SECONDS, labels, seconds)


def count_silence(silent: Sequence[str]) -> None:
    """Count the engines that wrote no reply, each entry as `<engine>: <reason>`."""
    for engine in (entry.partition(": ")[0] for entry in silent):
        if engine == ALL_ENGINES:
            metrics.BUDGET_REFUSALS.labels(kind="model").inc()
        else:
            metrics.ENGINE_FAILURES.labels(engine=engine).inc()


def count_cost(engine: str, *, model: int, sms: int) -> None:
    """Count what a reply costs, in millionths of a dollar."""
    metrics.MODEL_COST.labels(engine=engine).inc(model / MICRO)
    metrics.MESSAGE_COST.inc(sms / MICRO)


def count_unpaid() -> None:
    """Count a reply that the budget for messages does not pay."""
    metrics.BUDGET_REFUSALS.labels(kind="sms").inc()


def count_reply(part: ReplyPart, now_ms: int) -> None:
    """Count how long a text waited for the first message of its reply, which Twilio took now."""
    if part.number == 0 and not part.again:
        metrics.REPLY_SECONDS.observe(max(0, now_ms - part.arrived_ms) / 1000)


def count_status(status: str) -> None:
    """Count a status that the carrier reported."""
    metrics.STATUSES.labels(status=status if status in STATUS_RANK else "other").inc()


def count_danger(tier: Tier) -> None:
    """Count a reply to danger. There is no event and no log line: neither may show whose it is."""
    metrics.DANGERS.labels(tier=tier.name.lower()).inc()


def parked(who: Who, why: str) -> Event:
    """A visit left a person until later."""
    outcome = why if why in _PARKED else "away"
    return Event(INFO, "parked", {"who": who, "why": why}, metrics.VISITS, {"outcome": outcome})


def visit_done(who: Who) -> Event:
    """A visit answered all that waited."""
    return Event(DEBUG, "visit done", {"who": who}, metrics.VISITS, {"outcome": "done"})


def part_attempted(part: ReplyPart, outcome: ports.Outcome | None = None) -> Event:
    """A part of a reply changed its state, by the outcome of an attempt if there was one."""
    fields = {
        "turn": part.turn, "number": part.number, "state": str(part.state), "sid": part.sid,
        "tries": part.tries, "error_code": part.error_code, "reason": part.reason,
    }  # fmt: skip
    level = INFO if part.state is PartState.SENT else WARNING
    verdict = outcome.verdict if isinstance(outcome, ports.NotCreated | ports.Unknown) else None
    scope = verdict.scope if verdict else ports.Scope.MESSAGE
    return Event(level, "part attempted", fields, metrics.PARTS, {"state": part.state, "scope": scope})


def second_try_cancelled(part: ReplyPart) -> Event:
    """A message that was reported as not delivered was delivered after all: it is not sent once more."""
    fields = {"turn": part.turn, "number": part.number}
    return Event(INFO, "second try cancelled", fields, metrics.REPAIRED, {"kind": "not sent again"})


def second_try(part: ReplyPart) -> Event:
    """A message that was not delivered is sent once more."""
    fields = {"turn": part.turn, "number": part.number, "due": part.due}
    return Event(WARNING, "second try", fields, metrics.REPAIRED, {"kind": "sent again"})


def memory_folded(who: Who, outcome: str) -> Event:
    """A folding of a person's memory ended."""
    return Event(INFO, "memory", {"who": who, "outcome": outcome}, metrics.MEMORIES, {"outcome": outcome})


def report_written(outcome: str, sid: str | None) -> Event:
    """A delivery report was taken: bound, of an unknown status, foreign or unreadable."""
    is_bound = outcome in ("bound", "unknown status")
    level, name = (DEBUG, "report bound") if is_bound else (WARNING, "report dropped")
    return Event(level, name, {"outcome": outcome, "sid": sid}, metrics.RECEIPTS, {"outcome": outcome})


def repaired(kind: str, key: str) -> Event:
    """The reconciler repaired the row `key`."""
    level = ERROR if kind in _GRAVE else WARNING
    return Event(level, "repaired", {"kind": kind, "key": key}, metrics.REPAIRED, {"kind": kind})


def lease_not_renewed(error: Exception) -> Event:
    """A renewal failed; the fence decides what the lease's holder may still write."""
    return Event(WARNING, "lease not renewed", {"error": type(error).__name__}, metrics.LEASE_LOSSES)


def lease_lost(who: Who) -> Event:
    """Another worker may hold the lease by now; the fence decides what its former holder may still write."""
    return Event(WARNING, "lease lost", {"who": who}, metrics.LEASE_LOSSES)


def neighbour_died(*, visits: int, in_doubt: int) -> Event:
    """A process of this machine died, and its marks are settled; `in_doubt` attempts may have been sent."""
    return Event(WARNING, "neighbour died", {"visits": visits, "in_doubt": in_doubt})


def marks_in_memory(why: str) -> Event:
    """What this process is about to send is not written down: if it is killed, a reply may stay in doubt."""
    return Event(WARNING, "marks in memory only", {"why": why})


def look_failed(error: Exception) -> Event:
    """A look for dead neighbours ended early; the next one begins anew."""
    return Event(ERROR, "look failed", {"error": type(error).__name__}, again_seconds=ALARM_AGAIN_SECONDS)


def proof_waits(why: str) -> Event:
    """A mark cannot be settled now; it is tried again."""
    return Event(INFO, "proof waits", {"why": why})


def recount_began() -> Event:
    """The spending is counted again."""
    return Event(WARNING, "what was spent is counted again: redis was empty", {})
