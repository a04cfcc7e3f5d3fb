"""Each event of a worker gives one log line, and one count where it has a metric."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

from conversation.errors import StoreAway
from inbox.errors import InboxAway
from inbox.payloads import Who
from inbox.ports import Place, Stop
from journal.model import ReplyPart
from journal.states import PartState, TurnState
from runtime import logs
from runtime.metrics import REGISTRY
from sms.errors import CarrierAway
from sms.ports import ErrorClass, NotCreated, Scope, Verdict
from tests.builders import ANN, NOW_MS, OUR_NUMBER, a_turn
from worker import telemetry

WHO = Who("w")
SENDER = Place(Scope.SENDER, OUR_NUMBER)
PART = ReplyPart(
    user_id=ANN, turn="SM1", number=1, state=PartState.SENT, arrived=f"{NOW_MS}-0", content="prrt", sender=OUR_NUMBER
)


def settled(state: TurnState) -> telemetry.Event:
    return telemetry.turn_settled(who=WHO, turn=a_turn(sid="SM1"), state=state, reason="", fence=2)


def composed(*silent: str) -> telemetry.Event:
    return telemetry.reply_composed(who=WHO, engine="dada", seconds=0.1, silent=silent)


def refused(scope: Scope) -> NotCreated:
    return NotCreated(verdict=Verdict(error_class=ErrorClass.CONFIGURATION, scope=scope, code=21606, means="no"))


@pytest.fixture(autouse=True)
def fresh_log(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Log by structlog's defaults: a command that another test ran in this process configured it for good."""
    configured = structlog.get_config()
    structlog.reset_defaults()
    monkeypatch.setattr(telemetry, "log", logs.get("worker"))
    yield
    structlog.configure(**configured)


@pytest.mark.parametrize(
    ("event", "level", "line", "metric", "labels"),
    [
        (
            settled(TurnState.ANSWERED),
            "info",
            "turn settled",
            "dadacat_turns_total",
            {"state": "ANSWERED", "reason": ""},
        ),
        (settled(TurnState.DEAD), "error", "turn settled", "dadacat_turns_total", {"state": "DEAD", "reason": ""}),
        (composed(), "debug", "reply composed", "dadacat_think_seconds_count", {"engine": "dada"}),
        (composed("x: down"), "warning", "engines silent", "dadacat_think_seconds_count", {"engine": "dada"}),
        (telemetry.parked(WHO, "due later"), "info", "parked", "dadacat_visits_total", {"outcome": "due later"}),
        (telemetry.parked(WHO, "StoreAway"), "info", "parked", "dadacat_visits_total", {"outcome": "away"}),
        (telemetry.visit_done(WHO), "debug", "visit done", "dadacat_visits_total", {"outcome": "done"}),
        (
            telemetry.part_attempted(PART),
            "info",
            "part attempted",
            "dadacat_parts_total",
            {"state": "SENT", "scope": "message"},
        ),
        (
            telemetry.part_attempted(replace(PART, state=PartState.RETRY), refused(Scope.SENDER)),
            "warning",
            "part attempted",
            "dadacat_parts_total",
            {"state": "RETRY", "scope": "sender"},
        ),
        (telemetry.away(StoreAway("x")), "warning", "away", "dadacat_away_total", {"what": "store"}),
        (telemetry.away(InboxAway("x")), "warning", "away", "dadacat_away_total", {"what": "inbox"}),
        (telemetry.away(CarrierAway("x")), "warning", "away", "dadacat_away_total", {"what": "carrier"}),
        (telemetry.away(MemoryError()), "warning", "away", "dadacat_away_total", {"what": "machine"}),
        (telemetry.lease_lost(WHO), "warning", "lease lost", "dadacat_lease_losses_total", {}),
        (telemetry.second_try(PART), "warning", "second try", "dadacat_repaired_total", {"kind": "sent again"}),
        (telemetry.memory_folded(WHO, "folded"), "info", "memory", "dadacat_memories_total", {"outcome": "folded"}),
        (
            telemetry.report_written("bound", "SM1"),
            "debug",
            "report bound",
            "dadacat_receipts_total",
            {"outcome": "bound"},
        ),
        (
            telemetry.report_written("foreign", None),
            "warning",
            "report dropped",
            "dadacat_receipts_total",
            {"outcome": "foreign"},
        ),
        (telemetry.repaired("settled", "k"), "warning", "repaired", "dadacat_repaired_total", {"kind": "settled"}),
        (telemetry.repaired("held", "k"), "error", "repaired", "dadacat_repaired_total", {"kind": "held"}),
        (
            telemetry.stopped(Place(Scope.ACCOUNT), Stop(place=Place(Scope.ACCOUNT), who=Who("a"), reason="why")),
            "error",
            "sending stopped",
            "dadacat_alarms_total",
            {"alarm": "stopped"},
        ),
        (
            telemetry.stopped(SENDER, Stop(place=SENDER, who=Who("a"), reason="why")),
            "error",
            "sending stopped",
            "dadacat_alarms_total",
            {"alarm": "stopped_sender"},
        ),
        (telemetry.resumed(SENDER), "warning", "sending resumed", None, {}),
        (telemetry.lease_not_renewed(OSError()), "warning", "lease not renewed", "dadacat_lease_losses_total", {}),
        (telemetry.recount_began(), "warning", "what was spent is counted again: redis was empty", None, {}),
    ],
)
def test_an_event_is_one_line_and_one_count(
    event: telemetry.Event, level: str, line: str, metric: str | None, labels: dict[str, Any]
) -> None:
    before = REGISTRY.get_sample_value(metric, labels) or 0.0 if metric else 0.0

    with capture_logs() as lines:
        telemetry.LogsAndMetrics().emit(event)

    assert [(entry["log_level"], entry["event"]) for entry in lines] == [(level, line)]
    assert metric is None or REGISTRY.get_sample_value(metric, labels) == before + 1
