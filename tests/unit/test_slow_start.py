"""A process that has just started serves few people at a time."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from runtime.host import REAL
from runtime.settings import Settings
from tests.conftest import wait_until
from worker import process
from worker.slow_start import SlowStart


@pytest.mark.parametrize(("seconds", "most"), [(0, 1), (0.9, 1), (1, 2), (3, 8), (5, 20), (86_400, 20)])
def test_twice_as_many_visits_run_after_each_second(seconds: float, most: int) -> None:
    now = [0.0]
    start = SlowStart(20, replace(REAL, monotonic=lambda: now[0]))
    with start.place():
        now[0] = seconds
        assert start.places() == most


def test_a_visit_waits_for_the_one_before_it_and_then_runs() -> None:
    now = [0.0]
    start = SlowStart(20, replace(REAL, monotonic=lambda: now[0]))
    inside: list[int] = []
    may_end = threading.Event()

    def visit(number: int) -> None:
        with start.place():
            inside.append(number)
            may_end.wait(10)

    with start.place():
        visits = [threading.Thread(target=visit, args=(number,)) for number in range(3)]
        for one in visits:
            one.start()
        now[0] = 1.0
        wait_until(lambda: len(inside) == 1, what="one visit beside this one")
    may_end.set()
    for one in visits:
        one.join()
    assert sorted(inside) == [0, 1, 2]


def test_threads_that_begin_together_start_slowly_together(monkeypatch: pytest.MonkeyPatch) -> None:
    loads, together = list[int](), threading.Barrier(8)

    def load(_: object) -> Settings:
        loads.append(1)
        # a machine that is busy while it loads
        threading.Event().wait(0.05)
        return chosen

    chosen = Settings.load({})
    monkeypatch.setattr(Settings, "load", load)
    process._settings.cache_clear()
    process._slow_start.cache_clear()

    def begin(_: int) -> SlowStart:
        together.wait(10)
        return process.slow_start()

    with ThreadPoolExecutor(8) as threads:
        starts = list(threads.map(begin, range(8)))

    process._settings.cache_clear()
    process._slow_start.cache_clear()
    assert all(start is starts[0] for start in starts)
    assert loads == [1]


def test_a_visit_that_fails_gives_its_place_back() -> None:
    start = SlowStart(1)
    with pytest.raises(RuntimeError), start.place():
        raise RuntimeError
    with start.place():
        pass
