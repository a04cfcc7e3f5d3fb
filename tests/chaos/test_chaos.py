"""A short day of chaos: real processes, kills and cuts, and every text accounted for.

For a long day run `dadacat chaos --minutes 60`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from chaos import points, runner
from chaos.plan import Plan
from chaos.tree import ChaosFailed
from tests.conftest import wait_until

pytestmark = pytest.mark.road


@pytest.mark.timeout(1500)
def test_a_short_day_loses_doubles_and_swaps_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The caller's shell names a real Redis and the real Twilio: chaos must not touch them.
    monkeypatch.setenv("REDIS_URL", "redis://192.0.2.1:6379/0")
    monkeypatch.setenv("TWILIO_API_BASE_URL", "https://api.twilio.com")
    plan = Plan(seconds=12, seed=20, data=tmp_path, workers=3, people=30, rate=5, fault_every=0.8, each_point=1)

    good, account = runner.run(plan, lambda _: None)

    assert good, json.dumps(account, indent=1)
    assert account["texts"] > 50
    assert account["answered"] + len(account["held"]) == account["texts"]
    assert set(account["rows"]) == set(points.ROWS)
    # how many random faults fit beside them depends on the machine
    assert account["kills"] >= rows_that_only(*points.KILLS)
    assert account["cuts"] >= rows_that_only(points.Action.CUT)
    assert (tmp_path / "chaos.json").exists()


def rows_that_only(*actions: points.Action) -> int:
    """Return how many rows of the crash table have no other action than these; each was struck once."""
    return sum(all(point.do in actions for point in points.points_of(row)) for row in points.ROWS)


@pytest.mark.timeout(900)
def test_a_worker_killed_right_after_its_claim_holds_nothing_back_and_sends_no_second_sms(tmp_path: Path) -> None:
    plan = Plan(seconds=0, seed=1, data=tmp_path, workers=2, each_point=2, rows=["K6"])

    good, account = runner.run(plan, lambda _: None)

    assert good, json.dumps(account, indent=1)
    assert account["rows"] == {"K6": 2}
    assert account["held"] == {}


@pytest.mark.long
@pytest.mark.timeout(1500)
def test_a_day_of_kills_in_rounds_forgets_what_was_audited_and_holds_only_what_had_begun(tmp_path: Path) -> None:
    plan = Plan(seconds=40, seed=3, data=tmp_path, workers=2, people=20, rate=4, kills_only=True, round_seconds=20)

    good, account = runner.run(plan, lambda _: None)

    assert good, json.dumps(account, indent=1)
    assert account["rounds"] == 2
    assert len(account["held"]) <= account["begun_at_death"]
    assert set(account["faults"]) <= {"kill worker", "kill webhook", "kill the fallback's webhook", "kill redis"}
    before, after = (account["over_time"][place]["table_rows"] for place in (0, -1))
    assert after < before + account["texts"] * 2, "the rows of the first round are gone"


def test_a_row_that_does_not_exist_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(ChaosFailed, match="K99"):
        runner.run(Plan(seconds=0, seed=1, data=tmp_path, each_point=1, rows=["K99"]), lambda _: None)


def test_a_row_at_which_nothing_only_kills_is_told_so(tmp_path: Path) -> None:
    plan = Plan(seconds=0, seed=1, data=tmp_path, each_point=1, rows=["K6", "K12"], kills_only=True)

    with pytest.raises(ChaosFailed, match="no point of K12 only kills"):
        runner.run(plan, lambda _: None)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_run_that_is_asked_to_stop_leaves_no_process(tmp_path: Path) -> None:
    command = [str(Path(sys.executable).parent / "dadacat"), "chaos", "--minutes", "5", "--data", str(tmp_path)]
    with (tmp_path / "said").open("wb") as said:
        run = subprocess.Popen(command, stdout=said, stderr=said)
    wait_until(lambda: (tmp_path / "run").exists() and len(processes_of(tmp_path)) > 8, what="the tree")

    run.terminate()

    assert run.wait(timeout=120) != 0
    assert processes_of(tmp_path) == []


def processes_of(data: Path) -> list[int]:
    """Return the processes that work in this folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (process / "cwd").readlink().is_relative_to(data):
                found.append(int(process.name))
    return found
