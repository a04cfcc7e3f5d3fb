"""The auditor is told doctored histories, and names each offence."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dadacat.chaos.auditor import Fault, Row, SentText, Shown, Verdict, audit

ANN = "+15551230001"
HISTORY = tuple(range(4))


def a_history() -> tuple[list[SentText], list[Shown], list[Row]]:
    """Four texts, each answered once, in order."""
    texts = [SentText(sid=f"SM{n}", person=ANN, place=n) for n in HISTORY]
    shown = [Shown(sid=f"OUT{n}", person=ANN, body=f"re {n}", created=100.0 + n) for n in HISTORY]
    rows = [
        Row(person=ANN, key=f"in#SM{n}", state="ANSWERED", sid=f"SM{n}", arrived=f"{n:013d}-0", turn=f"SM{n}")
        for n in HISTORY
    ]
    rows += [
        Row(person=ANN, key=f"out#SM{n}#0", state="SENT", sid=f"OUT{n}", content=f"re {n}", claimed=100.0 + n)
        for n in HISTORY
    ]
    return texts, shown, rows


def changed(rows: list[Row], at: str, **fields: object) -> list[Row]:
    return [replace(row, **fields) if row.key == at else row for row in rows]  # type: ignore[arg-type]  # a row's own fields


def verdict_on(texts: list[SentText], shown: list[Shown], rows: list[Row], *faults: Fault) -> Verdict:
    return audit(texts, shown, rows, faults)


def test_an_honest_history_is_good() -> None:
    verdict = verdict_on(*a_history())

    assert verdict.good
    assert (verdict.texts, verdict.answered, verdict.held) == (4, 4, {})


@pytest.mark.parametrize(
    ("key", "fields"),
    [
        ("in#SM2", {"key": "in#gone"}),
        ("in#SM2", {"state": "FILED"}),
        ("in#SM2", {"state": "DEAD"}),
        ("in#SM2", {"state": "STALE"}),
        ("out#SM2#0", {"key": "gone"}),
        ("out#SM2#0", {"state": "FAILED", "sid": "OUT2"}),
        ("out#SM2#0", {"state": "NEW", "sid": "OUT2"}),
    ],
)
def test_a_loss_is_named(key: str, fields: dict[str, str]) -> None:
    texts, shown, rows = a_history()

    verdict = verdict_on(texts, shown, changed(rows, key, **fields))

    assert [offence.partition(":")[0] for offence in verdict.lost] == ["SM2"]
    assert not verdict.good


def test_a_reply_that_only_the_journal_knows_is_a_loss() -> None:
    texts, shown, rows = a_history()

    verdict = verdict_on(texts, [message for message in shown if message.sid != "OUT1"], rows)

    assert verdict.lost == ["SM1: its reply OUT1 is not on the list"]


def test_a_double_is_named() -> None:
    texts, shown, rows = a_history()

    verdict = verdict_on(texts, [*shown, Shown(sid="OUT9", person=ANN, body="re 1", created=104.0)], rows)

    assert verdict.doubled == ["OUT9: nobody's own"]
    assert not verdict.good


def test_one_message_that_two_parts_claim_is_named() -> None:
    texts, shown, rows = a_history()

    verdict = verdict_on(texts, shown[:-1], changed(rows, "out#SM3#0", sid="OUT2"))

    assert verdict.doubled == ["OUT2: 2 parts say that it is theirs"]


def test_a_swap_is_named() -> None:
    texts, shown, rows = a_history()
    shown[1], shown[2] = shown[2], shown[1]

    verdict = verdict_on(texts, shown, rows)

    assert verdict.swapped == ["SM2: answered before the text before it"]


def test_a_text_that_was_fetched_back_is_excused_from_order() -> None:
    texts, shown, rows = a_history()
    shown[1], shown[2] = shown[2], shown[1]

    assert verdict_on(texts, shown, changed(rows, "in#SM2", repaired=True)).good


def test_a_doubt_is_excused_only_by_a_fault_that_may_have_hidden_it() -> None:
    texts, shown, rows = a_history()
    rows = changed(rows, "out#SM2#0", state="HELD", sid="")

    excused = verdict_on(texts, shown, rows, Fault(at=103.0, what="kill worker"))
    unexcused = verdict_on(texts, shown, rows, Fault(at=500.0, what="kill worker"))

    assert excused.good
    assert excused.held == {"SM2": "kill worker at 103.0"}
    assert [offence.partition(":")[0] for offence in unexcused.unexcused] == ["SM2"]
    assert not unexcused.good
