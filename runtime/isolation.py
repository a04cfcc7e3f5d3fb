"""Keep one bad item of a loop from ending the loop.

The item is set aside: the caller counts it, logs it and lists it, and the loop goes on with the next.

    for row in rows:
        with isolated("row", row.key, set_aside):
            repair(row)

An error that lies outside (`runtime.errors.OUTSIDE`) ends the loop as before: no item is to blame.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from runtime.errors import OUTSIDE, Away, Discreet


@dataclass(frozen=True, slots=True, kw_only=True)
class BadItem:
    """An item that could not be handled. It names no person and repeats no words."""

    #: What it is, such as `row`, `message` or `report`.
    kind: str
    #: Which one it is, such as `out#SM1#0` or a sid.
    name: str
    #: What is wrong with it.
    error: str


SetAside = Callable[[BadItem], None]


@contextmanager
def isolated(
    kind: str, name: str, set_aside: SetAside, *, outside: tuple[type[Exception], ...] = OUTSIDE
) -> Iterator[None]:
    """Handle one item in the block; if that fails because of the item, pass the item to `set_aside`."""
    try:
        yield
    except Exception as exc:
        # whatever is wrong with one item must not stop the others
        if isinstance(exc, outside) and not (isinstance(exc, Away) and exc.about_item):
            raise
        set_aside(BadItem(kind=kind, name=name, error=described(exc)))


def described(exc: BaseException) -> str:
    """Return what went wrong: the error's message if it may be shown, else its type and its place."""
    if isinstance(exc, Discreet):
        return str(exc)
    places = traceback.extract_tb(exc.__traceback__)
    place = f" at {Path(places[-1].filename).name}:{places[-1].lineno}" if places else ""
    return f"{type(exc).__name__}{place}"
