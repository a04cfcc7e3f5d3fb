"""Run many days on all cores."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Final, TypeVar

#: Days that a process is given at a time: so few that all cores end at about the same time.
CHUNK: Final = 4

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_parallel(
    work: Callable[[_Item], _Result], items: Iterable[_Item], *, processes: int | None = None, chunk: int = 1
) -> Iterator[_Result]:
    """Do the work for each item in a process of its own for each core; yield the results in order."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes or cores(), mp_context=context) as pool:
        yield from pool.map(work, items, chunksize=chunk)
