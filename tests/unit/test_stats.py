"""`dadacat stats` counts texts by the hour, and draws them."""

from __future__ import annotations

import re
import time
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from dadacat.cli import main
from operations import stats
from tests.builders import ANN, NOW, NOW_MS

HOUR_MS = 3_600_000


def counted(*hours: int) -> dict[str, dict[str, int]]:
    rows = [
        {"user_id": ANN, "message_key": f"in#SM{at}", "arrived": f"{NOW_MS + at * HOUR_MS}-0", "state": "ANSWERED"}
        for at in hours
    ]
    report = stats.counted(rows, since=NOW - timedelta(days=1), set_aside=lambda item: pytest.fail(item.error))
    hours_counted: dict[str, dict[str, int]] = report.to_json()["hours"]
    return hours_counted


def labels(path: Path) -> list[str]:
    return re.findall(r"<text[^>]*>((?:11-|2026-)[^<]+)</text>", path.read_text())


def test_texts_are_counted_by_the_hour_in_which_they_came() -> None:
    assert counted(0, 0, 2) == {
        "2026-11-22T12:00+00:00": {"ANSWERED": 2},
        "2026-11-22T14:00+00:00": {"ANSWERED": 1},
    }


@pytest.mark.parametrize(
    ("took", "median", "p95"),
    [([], None, None), ([90], 90, 90), ([100, 10_000], 5_050, 9_505), ([90] * 9 + [5_000], 90, 2_790.5)],
)
def test_no_time_is_longer_than_the_longest(took: list[int], median: float | None, p95: float | None) -> None:
    assert stats.Stats(thought_ms=took).to_json()["thought_ms"] == {"median": median, "p95": p95}


def test_a_year_of_hours_is_counted_in_a_moment() -> None:
    hours = range(365 * 24)

    started_at = time.process_time()
    texts = counted(*hours)

    # each hour was once looked for among all: minutes
    assert time.process_time() - started_at < 5
    assert len(texts) == len(hours)


def test_a_chart_has_a_bar_for_each_hour_and_of_a_long_time_for_each_day(tmp_path: Path) -> None:
    path = tmp_path / "texts.svg"

    stats.draw(counted(0, 2), path)
    assert labels(path) == ["11-22 12:00", "11-22 13:00", "11-22 14:00"]

    stats.draw(counted(0, 80), path)
    assert labels(path) == ["2026-11-22", "2026-11-23", "2026-11-24", "2026-11-25"]

    stats.draw({}, path)
    assert "Texts by outcome" in path.read_text()


def test_a_chart_is_an_svg_file() -> None:
    said = CliRunner().invoke(main, ["stats", "--plot", "texts.png"])

    assert said.exit_code == 2
    assert "name it texts.svg" in said.output
