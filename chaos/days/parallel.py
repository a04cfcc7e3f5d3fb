"""Run many days on all cores."""

from __future__ import annotations

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from itertools import islice
from typing import Final, TypeVar

#: Days that a process is given at a time: so few that all cores end at about the same time.
CHUNK: Final = 4
#: Chunks that are handed out for each process: so many that none waits while a long day ends elsewhere.
AHEAD: Final = 8

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_parallel(
    work: Callable[[_Item], _Result], items: Iterable[_Item], *, processes: int | None = None, chunk: int = 1
) -> Iterator[_Result]:
    """Do the work for each item in a process of its own for each core; yield the results in order.

    Items are taken as results are: there may be millions.
    """
    processes = processes or cores()
    chunks, left = _chunks(items, chunk), deque[Future[Sequence[_Result]]]()
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        for some in islice(chunks, AHEAD * processes):
            left.append(pool.submit(_all, work, some))
        while left:
            done = left.popleft().result()
            for some in islice(chunks, 1):
                left.append(pool.submit(_all, work, some))
            yield from done


def _chunks(items: Iterable[_Item], size: int) -> Iterator[Sequence[_Item]]:
    rest = iter(items)
    while some := tuple(islice(rest, size)):
        yield some


def _all(work: Callable[[_Item], _Result], items: Sequence[_Item]) -> Sequence[_Result]:
    return [work(item) for item in items]
