"""A short day of chaos: real processes, kills, cuts, and every text accounted for. The long one: `dadacat chaos --minutes 60`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dadacat.chaos import runner

pytestmark = pytest.mark.road


@pytest.mark.timeout(420)
def test_a_short_day_loses_doubles_and_swaps_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # a shell that names somebody's Redis: chaos must not go near it
    monkeypatch.setenv("REDIS_URL", "redis://192.0.2.1:6379/0")
    monkeypatch.setenv("TWILIO_API_BASE_URL", "https://api.twilio.com")
    plan = runner.Plan(seconds=30, seed=20, data=tmp_path, workers=2, people=30, rate=5, fault_every=1.0)

    good, account = runner.run(plan, lambda _: None)

    assert good, json.dumps(account, indent=1)
    assert account["texts"] > 50
    assert account["answered"] + len(account["held"]) == account["texts"]
    assert sum(account["faults"].values()) > 8
    assert (tmp_path / "chaos.json").exists()
