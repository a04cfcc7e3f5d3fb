"""The report of a benchmark: ratios, goals, and signed requests."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import report
from benchmarks.load import Plan, form, request
from benchmarks.report import Goal, Ratio, Study
from sms import signature
from sms.signature import Validator
from tests.builders import tokens


def test_a_ratio_is_of_pairs_that_were_measured_one_after_the_other() -> None:
    # the machine was half as fast in the second round, for both
    assert Ratio.of([100, 50, 90], [10, 5, 10]) == Ratio(median=10, low=9, high=10)


def test_every_goal_is_a_row_met_or_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "RESULTS", tmp_path)
    monkeypatch.setattr(report, "bars", lambda *_: None)
    study = Study(name="cats", title="Cats", command="scripts/bench cats")
    for sample in (1.0, 3.0, 2.0):
        study.add("purrs/s", "ours", sample)
    study.goals = [
        Goal(goal="purr", figure="2 purrs/s", ratio=str(study.ratio("purrs/s", "ours", "ours")), met=True),
        Goal(goal="bark", figure="no", met=False),
    ]

    study.save()

    page = (tmp_path / "README.md").read_text()
    assert "| purr | 2 purrs/s | 1.00 (1.00 to 1.00) | yes | `scripts/bench cats` |" in page
    assert "| bark | no |  | no | `scripts/bench cats` |" in page
    assert json.loads((tmp_path / "cats.json").read_text())["samples"]["purrs/s"]["ours"] == [1.0, 3.0, 2.0]


def test_what_the_loader_brings_is_signed_as_twilio_signs() -> None:
    plan = Plan(host="127.0.0.1", port=8400, connections=1, seconds=1)
    head, _, body = request(plan, 7).partition(b"\r\n\r\n")
    signed = next(line for line in head.decode().split("\r\n") if line.startswith("X-Twilio-Signature"))

    fields = dict(signature.form_pairs(body))

    assert fields == form(7, plan.people)
    assert Validator("http://127.0.0.1:8400", tokens("be" * 16)).accepts("/sms", fields, signed.partition(": ")[2])
