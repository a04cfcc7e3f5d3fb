"""Conditional writes that are tried again while other writers are faster."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Final, NoReturn, TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception_type

from conversation.errors import ConditionFailed, Conflict, TooMuchContention
from conversation.table import Tables, Update
from runtime.host import REAL, Host

#: How long writers of one conversation compete before one of them gives up.
CONTENTION_SECONDS: Final = 30.0
#: The longest pause between two attempts; the actual one is drawn evenly below it.
CONTENTION_PAUSE_SECONDS: Final = 0.25

_Result = TypeVar("_Result")


def until_it_holds(attempt: Callable[[], _Result], *, seconds: float, host: Host = REAL) -> _Result:
    """Call `attempt` until it raises neither `ConditionFailed` nor `Conflict`; return its result.

    Raises `TooMuchContention` after so many seconds.
    """
    until = host.monotonic() + seconds
    retrying = Retrying(
        retry=retry_if_exception_type((ConditionFailed, Conflict)),
        stop=lambda _: host.monotonic() >= until,
        wait=lambda _: host.random() * CONTENTION_PAUSE_SECONDS,
        sleep=host.sleep,
        retry_error_callback=_give_up,
    )
    return retrying(attempt)


def _give_up(state: RetryCallState) -> NoReturn:
    del state
    raise TooMuchContention("other writers changed this conversation too often") from None


def holds(tables: Tables, update: Update) -> bool:
    """Carry out one update; return whether its condition held."""
    try:
        tables.update(update)
    except ConditionFailed:
        return False
    return True


def wins(tables: Tables, update: Update) -> bool:
    """Carry out one update that only one caller can make; return whether this call made it.

    The update leaves a token in `won_by`, by which a repetition after a lost answer recognizes its own write.
    """
    token = uuid.uuid4().hex
    try:
        tables.update(replace(update, set={**update.set, "won_by": token}))
    except ConditionFailed as failed:
        row = failed.rows[0]
        return row is not None and row.get("won_by") == token
    return True
