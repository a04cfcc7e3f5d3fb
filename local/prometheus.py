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
#: However fast the alarms are, a process on a busy machine has so long to answer: a series that is missing for one
#: evaluation begins the waiting time of its alarm anew.
SHORTEST_SCRAPE_SECONDS: Final = 4.0
#: Prometheus's own.
SCRAPE_TIMEOUT_SECONDS: Final = 10.0


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
    interval = INTERVAL_SECONDS / faster
    scrape = max(interval, SHORTEST_SCRAPE_SECONDS)
    lines = [
        "global:",
        f"  scrape_interval: {_milliseconds(scrape)}",
        f"  scrape_timeout: {_milliseconds(min(scrape, SCRAPE_TIMEOUT_SECONDS))}",
        f"  evaluation_interval: {_milliseconds(interval)}",
        "rule_files: [alarms.yml]",
        "scrape_configs:",
    ]
    for job, ports in targets.items():
        addresses = ", ".join(f'"127.0.0.1:{port}"' for port in ports)
        lines += [f"  - job_name: {job}", f"    static_configs: [{{targets: [{addresses}]}}]"]
    return "\n".join(lines) + "\n"


def _milliseconds(seconds: float) -> str:
    return f"{round(1000 * seconds)}ms"
