"""Prometheus beside the tree: which processes it reads, and with which alarms.

The alarms are those of a deployment (`operations.alarms`). With `faster`, every time is divided by it, for a trial.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from local.errors import CannotStart
from local.programs import Program, http_answers
from operations.alarms import INTERVAL_SECONDS, rules
from runtime.settings import without_settings

#: The samples of some weeks of one machine.
KEPT_SIZE: Final = "512MB"
KEPT_DAYS: Final = 30


def program(
    port: int, folder: Path, targets: Mapping[str, Sequence[int]], env: Mapping[str, str], *, faster: float = 1.0
) -> Program:
    """Return a Prometheus that reads the ports of each job. Raises `CannotStart`."""
    path = shutil.which("prometheus")
    if path is None:
        raise CannotStart(
            "Prometheus is not installed: on Debian, apt-get install prometheus; or start without --observe"
        )
    folder.mkdir(parents=True, exist_ok=True)
    configuration = folder / "prometheus.yml"
    configuration.write_text(_configuration(targets, faster))
    (folder / "alarms.yml").write_text(rules(faster=faster))
    command = [
        path, f"--config.file={configuration}", f"--storage.tsdb.path={folder / 'samples'}",
        f"--storage.tsdb.retention.size={KEPT_SIZE}", f"--storage.tsdb.retention.time={KEPT_DAYS}d",
        f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn",
    ]  # fmt: skip
    return Program(
        name="prometheus",
        command=command,
        # it needs none of our secrets
        environment=without_settings(env),
        answers=lambda: http_answers(port, "/-/ready"),
    )


def _configuration(targets: Mapping[str, Sequence[int]], faster: float) -> str:
    interval = f"{round(1000 * INTERVAL_SECONDS / faster)}ms"
    lines = [
        "global:",
        f"  scrape_interval: {interval}",
        f"  scrape_timeout: {interval if faster > 1 else '10s'}",
        f"  evaluation_interval: {interval}",
        "rule_files: [alarms.yml]",
        "scrape_configs:",
    ]
    for job, ports in targets.items():
        addresses = ", ".join(f'"127.0.0.1:{port}"' for port in ports)
        lines += [f"  - job_name: {job}", f"    static_configs: [{{targets: [{addresses}]}}]"]
    return "\n".join(lines) + "\n"
