"""Watch what a run of hours must not let grow: memory, descriptors, Redis keys, table rows, files.

The samples are few however long the run is: when there are `MOST_SAMPLES`, every second one is dropped.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Final

import redis
from botocore.exceptions import BotoCoreError, ClientError

from chaos.outside import Outside
from chaos.tree import Tree, family_of

EVERY_SECONDS: Final = 15.0
MOST_SAMPLES: Final = 240
#: A run of this length shows what grows: the caches of a process are full, and each round was forgotten.
LEAST_SECONDS: Final = 3600.0
#: In its last quarter, a figure may be so many times that of the second, and so much more: processes start anew.
MOST_TIMES: Final = 1.5
MOST_MORE: Final = 30.0
_MEGABYTE: Final = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """What one process used."""

    pid: int
    #: Its memory and that of its children; a shared page counts by share.
    megabytes: float
    descriptors: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One look at everything. A figure is -1 if its server did not answer."""

    #: Seconds since the start.
    at: float
    processes: Mapping[str, Use]
    redis_keys: int
    redis_megabytes: float
    table_rows: int
    mark_files: int
    #: The size of the data folder.
    disk_megabytes: float


class Growth:
    """Takes a sample every `EVERY_SECONDS`, in a thread of its own."""

    def __init__(self, tree: Tree, outside: Outside) -> None:
        self.samples: list[Sample] = []
        self._tree = tree
        self._outside = outside
        self._over = threading.Event()
        self._started_at = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="growth")

    def start(self) -> None:
        """Begin to take samples."""
        self._thread.start()

    def stop(self) -> None:
        """Take no more samples."""
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(EVERY_SECONDS):
            self.samples.append(self._sample())
            if len(self.samples) >= MOST_SAMPLES:
                del self.samples[::2]
            self._tree.keep_logs_small()

    def _sample(self) -> Sample:
        keys, redis_bytes = self._redis()
        return Sample(
            at=time.monotonic() - self._started_at,
            processes={name: _use(pid) for name, pid in self._tree.processes()},
            redis_keys=keys,
            redis_megabytes=redis_bytes / _MEGABYTE,
            table_rows=self._rows(),
            mark_files=sum(1 for _ in self._tree.data.glob("run/marks/*/*.mark")),
            disk_megabytes=sum(_sizes(self._tree.data)) / _MEGABYTE,
        )

    def _redis(self) -> tuple[int, float]:
        try:
            client = self._outside.redis
            return int(client.dbsize()), float(client.info("memory")["used_memory"])
        except redis.RedisError:
            return -1, -1.0  # it is being killed right now

    def _rows(self) -> int:
        try:
            return self._outside.tables.count()
        except (BotoCoreError, ClientError):
            return -1


def _use(pid: int) -> Use:
    family = list(family_of(pid))
    return Use(
        pid=pid, megabytes=sum(map(_megabytes, family)), descriptors=sum(_descriptors(member) for member in family)
    )


def _megabytes(pid: int) -> float:
    with suppress(OSError, ValueError, StopIteration):
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("Pss:")).split()[1]) / 1024
    return 0.0


def _descriptors(pid: int) -> int:
    with suppress(OSError):
        return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
    return 0


def _sizes(folder: Path) -> Iterator[int]:
    for path in folder.rglob("*"):
        with suppress(OSError):
            yield path.stat().st_size if path.is_file() else 0


def quarters(samples: Sequence[Sample]) -> Iterator[tuple[str, Sequence[float]]]:
    """Yield each figure with its median in each quarter of the run."""
    if not samples:
        return
    figures: dict[str, Callable[[Sample], float]] = {
        "redis keys": lambda sample: sample.redis_keys,
        "redis MB": lambda sample: sample.redis_megabytes,
        "table rows": lambda sample: sample.table_rows,
        "mark files": lambda sample: sample.mark_files,
        "data folder MB": lambda sample: sample.disk_megabytes,
    }
    names = dict.fromkeys(name for sample in samples for name in sample.processes)
    for name in names:
        figures[f"{name} MB"] = lambda sample, name=name: _of(sample, name).megabytes  # type: ignore[misc]
        figures[f"{name} descriptors"] = lambda sample, name=name: _of(sample, name).descriptors  # type: ignore[misc]
    for figure, value in figures.items():
        known = [[value(sample) for sample in part if value(sample) > 0] for part in _quarters_of(samples)]
        yield figure, [median(part) if part else 0.0 for part in known]


def grown(samples: Sequence[Sample]) -> Iterator[str]:
    """Yield each figure that grew over a run of at least `LEAST_SECONDS`."""
    if not samples or samples[-1].at < LEAST_SECONDS:
        return
    for figure, (_, second, _, last) in quarters(samples):
        if last > MOST_TIMES * second + MOST_MORE:
            yield f"{figure}: {second:.0f} in the second quarter, {last:.0f} in the last"


def _of(sample: Sample, name: str) -> Use:
    return sample.processes.get(name, Use(pid=0, megabytes=0.0, descriptors=0))


def _quarters_of(samples: Sequence[Sample]) -> list[Sequence[Sample]]:
    bounds = [round(len(samples) * quarter / 4) for quarter in range(5)]
    return [samples[start:end] for start, end in pairwise(bounds)]
