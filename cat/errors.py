"""Errors of engines.

The reaction to each is the same: ask the engine again if time is left, or ask the next engine.
"""

from __future__ import annotations

from collections.abc import Mapping


class CatError(Exception):
    """Root of the errors of this package."""


class EngineFailed(CatError):
    """An engine gave no reply: it is unreachable, broken or too slow, or it refused or sent no words.

    - `transient`: the same engine may answer a moment later.
    - `paid`: the engine may have done the work, so the call may be billed.
    - `refused`: the engine is healthy and rejects this request.
    - `used`: the tokens that the server counted, as facts of a reply; empty if they are not known.
    """

    def __init__(
        self,
        message: str,
        *,
        transient: bool = False,
        paid: bool = False,
        refused: bool = False,
        used: Mapping[str, int] | None = None,
    ) -> None:
        super().__init__(message)
        self.transient = transient
        self.paid = paid
        self.refused = refused
        self.used = used or {}
        #: What the call may have cost, in millionths of a dollar; `cat.engines.guarded` sets it.
        self.cost = 0
