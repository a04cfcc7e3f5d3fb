"""Ask Prometheus's own tool which alarms fire while processes export the same samples."""

from __future__ import annotations

import json
import math
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import yaml
from prometheus_client.parser import text_string_to_metric_families

from operations import alarms
from operations.alarms import ALARMS

#: Longer than the longest `for` and the longest range of an alarm.
MINUTES: Final = 90


def firing(pages: Mapping[str, str], folder: Path) -> set[str]:
    """Return the alarms that fire after `MINUTES` of these pages of metrics.

    `pages`: what each instance exports, by the instance's name.
    """
    (folder / "alarms.yml").write_text(alarms.rules())
    test = {
        "interval": "1m",
        "input_series": [
            {"series": series, "values": _constant(value)}
            for instance, page in pages.items()
            for series, value in _series(instance, page)
        ],
        "alert_rule_test": [
            {"eval_time": f"{MINUTES - 1}m", "alertname": alarm.name, "exp_alerts": []} for alarm in ALARMS
        ],
    }
    whole = {"rule_files": ["alarms.yml"], "evaluation_interval": "1m", "tests": [test]}
    (folder / "tests.yml").write_text(yaml.safe_dump(whole))
    command = ["promtool", "test", "rules", str(folder / "tests.yml")]
    tested = subprocess.run(command, capture_output=True, text=True, check=False)
    said = tested.stdout + tested.stderr
    fired = {alarm.name for alarm in ALARMS if f"alertname: {alarm.name}," in said}
    assert bool(fired) == bool(tested.returncode), said
    return fired


def _constant(value: float) -> str:
    # promtool reads no repeated NaN
    return " ".join(["NaN"] * MINUTES) if math.isnan(value) else f"{value}x{MINUTES}"


def _series(instance: str, page: str) -> Iterator[tuple[str, float]]:
    asked = {name for alarm in ALARMS for name in re.findall(r"\bdadacat_\w+", alarm.expression())}
    for metric in text_string_to_metric_families(page):
        for sample in metric.samples:
            if sample.name not in asked:
                continue
            labels = {**sample.labels, "instance": instance}
            named = ", ".join(f"{name}={json.dumps(value)}" for name, value in labels.items())
            yield f"{sample.name}{{{named}}}", sample.value
