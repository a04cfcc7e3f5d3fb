"""Report the progress of an operation that takes long."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final, TypeVar

Item = TypeVar("Item")
#: Called with the current step and how many items it has done, such as `("rows", 300)`.
Progress = Callable[[str, int], None]

#: Progress is reported once per this many items.
EVERY: Final = 100


def silent(step: str, done: int) -> None:
    """Report nothing."""
    del step, done


def with_progress(items: Iterable[Item], step: str, progress: Progress) -> Iterator[Item]:
    """Yield the items, and report their count every `EVERY` items."""
    for number, item in enumerate(items, 1):
        if number % EVERY == 0:
            progress(step, number)
        yield item
