"""What a worker process has one of: its settings, its keys, its worker, and the flag that stops it."""

from __future__ import annotations

import ctypes
import multiprocessing
import threading
from functools import cache
from typing import TYPE_CHECKING

from runtime.secrets import Keys
from runtime.settings import Settings, environment
from worker.build.cat import check_cat
from worker.slow_start import SlowStart

if TYPE_CHECKING:
    from worker.build.worker import Worker


class _Flag:
    """Is set once and never cleared.

    The children that a prefork pool forks share it. It has no lock that a killed child could leave locked.
    """

    def __init__(self) -> None:
        self._value = multiprocessing.RawValue(ctypes.c_bool, False)

    def set(self) -> None:
        """Set the flag."""
        self._value.value = True

    def is_set(self) -> bool:
        """Return whether the flag is set."""
        return bool(self._value.value)


#: Set when the process is asked to stop: visits end after the turn in hand.
stopping = _Flag()
#: A cache alone lets two threads that ask at the same time build two. What is built may ask for its parts.
_building = threading.RLock()


def settings() -> Settings:
    """Return the settings of this process. Raises `SettingsError`."""
    with _building:
        return _settings()


def keys() -> Keys:
    """Return the keys of this process, which may change while it runs."""
    with _building:
        return _keys()


def worker() -> Worker:
    """Return this process's worker, built at the first call. Raises `SettingsError`."""
    with _building:
        return _built()


def slow_start() -> SlowStart:
    """Return what keeps this process from serving many people at once in its first seconds."""
    with _building:
        return _slow_start()


def built() -> Worker | None:
    """Return this process's worker, if it was built."""
    return _built() if _built.cache_info().currsize else None


def rebuild() -> None:
    """Forget what was built: a forked process must not share its parent's connections."""
    _built.cache_clear()


@cache
def _settings() -> Settings:
    chosen = Settings.load(environment())
    check_cat(chosen)
    return chosen


@cache
def _keys() -> Keys:
    return Keys(settings(), environment)


@cache
def _slow_start() -> SlowStart:
    return SlowStart(settings().worker.concurrency)


@cache
def _built() -> Worker:
    from worker.build.worker import worker as build  # noqa: PLC0415 - Celery's beat and Flower need no worker

    return build(settings(), keys(), stopping.is_set)
