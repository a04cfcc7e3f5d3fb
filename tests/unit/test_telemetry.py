"""Each event of a worker gives one log line, and one count where it has a metric."""

from __future__ import annotations

from typing import Any

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from conversation.journal import Part, PartState, TurnState
from inbox.payloads import Who
from tests.builders import ANN, NOW_MS, OUR_NUMBER, a_turn
from worker.telemetry import (
    Alarm,
    Alarmed,
    Event,
    LeaseNotRenewed,
    LogsAndMetrics,
    MemoryFolded,
    Parked,
    PartAttempted,
    RecountBegan,
    Repaired,
    ReplyComposed,
    ReportWritten,
    SecondTry,
    TurnSettled,
)  # fmt: skip

WHO = Who("w")
PART = Part(
    user_id=ANN, turn="SM1", number=1, state=PartState.SENT, arrived=f"{NOW_MS}-0", content="prrt", sender=OUR_NUMBER
)


def settled(state: TurnState) -> TurnSettled:
    return TurnSettled(who=WHO, turn=a_turn(sid="SM1"), state=state, reason="", fence=2)


def composed(*silent: str) -> ReplyComposed:
    return ReplyComposed(who=WHO, engine="dada", seconds=0.1, silent=silent)


@pytest.mark.parametrize(
    ("event", "level", "line", "metric", "labels"),
    [
        (settled(TurnState.ANSWERED), "info", "turn settled", "dadacat_turns_total", {"state": "ANSWERED"}),
        (settled(TurnState.DEAD), "error", "turn settled", "dadacat_turns_total", {"state": "DEAD"}),
        (composed(), "debug", "reply composed", "dadacat_think_seconds_count", {"engine": "dada"}),
        (composed("x: down"), "warning", "engines silent", "dadacat_think_seconds_count", {"engine": "dada"}),
        (Parked(WHO, "due later"), "info", "parked", None, {}),
        (PartAttempted(PART), "info", "part attempted", "dadacat_parts_total", {"state": "SENT"}),
        (SecondTry(PART), "warning", "second try", "dadacat_repaired_total", {"kind": "sent again"}),
        (MemoryFolded(WHO, "folded"), "info", "memory", "dadacat_memories_total", {"outcome": "folded"}),
        (ReportWritten("bound", "SM1"), "debug", "report written", "dadacat_receipts_total", {"outcome": "bound"}),
        (ReportWritten("foreign", None), "warning", "report dropped", "dadacat_receipts_total", {"outcome": "foreign"}),
        (Repaired("settled", "k"), "warning", "repaired", "dadacat_repaired_total", {"kind": "settled"}),
        (Repaired("held", "k"), "error", "repaired", "dadacat_repaired_total", {"kind": "held"}),
        (Alarmed(Alarm.STOPPED, "why"), "error", "sending stopped", "dadacat_alarms_total", {"alarm": "stopped"}),
        (LeaseNotRenewed(OSError()), "warning", "lease not renewed", None, {}),
        (RecountBegan(), "warning", "what was spent is counted again: redis was empty", None, {}),
    ],
)
def test_an_event_is_one_line_and_one_count(
    event: Event, level: str, line: str, metric: str | None, labels: dict[str, Any]
) -> None:
    before = REGISTRY.get_sample_value(metric, labels) or 0.0 if metric else 0.0

    with capture_logs() as lines:
        LogsAndMetrics().emit(event)

    assert [(entry["log_level"], entry["event"]) for entry in lines] == [(level, line)]
    assert metric is None or REGISTRY.get_sample_value(metric, labels) == before + 1
