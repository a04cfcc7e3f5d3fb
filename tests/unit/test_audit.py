"""The audit finds every message sent to a person after STOP, and nothing else."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from journal import audit
from journal.audit import FORGOTTEN, SENT, UNDER_WAY
from tests.builders import ANN, NOW, NOW_MS


def keyword(word: str, *, at: int, heeded: int | None = None, sid: str = "SMstop") -> dict[str, Any]:
    return {
        "user_id": ANN, "message_key": f"in#{sid}", "sid": sid, "state": "SILENT", "reason": f"keyword {word}",
        "arrived": f"{NOW_MS + at * 1000:013d}-000000",
        "settled_at": (NOW + timedelta(seconds=heeded if heeded is not None else at)).isoformat(),
    }  # fmt: skip


def part(*claimed: int, state: str = "SENT", refused: tuple[int, ...] = (), sid: str = "SMout") -> dict[str, Any]:
    moments = {at: (NOW + timedelta(seconds=at)).isoformat() for at in claimed}
    log = [{"state": "SENDING", "at": moment, "attempt": str(at)} for at, moment in moments.items()]
    log += [{"state": "RETRY", "at": moments[at], "attempt": str(at)} for at in refused]
    return {"user_id": ANN, "message_key": "out#SM1#0", "state": state, "sid": sid, "log": log}


def found(*rows: dict[str, Any], is_active: bool = False) -> list[str]:
    return [finding.kind for finding in audit.audit(ANN, rows, is_active=is_active)]


def test_a_message_after_stop_is_an_offence_and_is_named() -> None:
    (finding,) = audit.audit(ANN, [part(20), keyword("stop", at=10)], is_active=False)

    assert (finding.kind, finding.stop, finding.key, finding.sid) == (SENT, "SMstop", "out#SM1#0", "SMout")
    assert finding.is_offence
    assert finding.at == NOW + timedelta(seconds=20)


def test_before_stop_and_after_start_messages_are_sent() -> None:
    stop, start = keyword("stop", at=10), keyword("start", at=30, sid="SMstart")

    assert found(stop, start, part(5), part(35), is_active=True) == []
    assert found(stop, start, part(25), is_active=True) == [SENT]


def test_what_was_under_way_is_told_and_is_no_offence() -> None:
    rows = [keyword("stop", at=10, heeded=12), part(11)]

    (finding,) = audit.audit(ANN, rows, is_active=False)
    assert finding.kind == UNDER_WAY
    assert not finding.is_offence


def test_what_the_carrier_refused_was_not_sent() -> None:
    assert found(keyword("stop", at=10), part(20, state="FAILED")) == []
    assert found(keyword("stop", at=10), part(5, 20, refused=(20,))) == []
    assert found(keyword("stop", at=10), part(20, state="SUPPRESSED")) == []


def test_what_may_have_been_sent_counts() -> None:
    assert found(keyword("stop", at=10), part(20, state="UNKNOWN")) == [SENT]
    assert found(keyword("stop", at=10), part(20, state="HELD")) == [SENT]


def test_a_stop_that_is_not_remembered_is_an_offence() -> None:
    assert found(keyword("stop", at=10), is_active=True) == [FORGOTTEN]


def test_a_second_stop_changes_nothing() -> None:
    rows = [keyword("stop", at=10), keyword("stop", at=20, sid="SMagain"), part(15)]

    assert found(*rows) == [SENT]


def test_a_row_without_a_log_is_judged_by_what_it_has() -> None:
    bare = {**part(20), "log": [], "sent_at": (NOW + timedelta(seconds=20)).isoformat()}

    assert found(keyword("stop", at=10), bare) == [SENT]
