"""What a reconciliation found, and how far it has come."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True, kw_only=True)
class Report:
    """The findings of one reconciliation, as counts. Each part of it adds its own."""

    #: Turns and parts whose text was put back into the inbox.
    unfinished: int = 0
    #: Parts of unknown outcome that the carrier's list settled.
    settled: int = 0
    #: Parts of unknown outcome that are sent again, because the carrier's list did not show them.
    resent: int = 0
    #: Parts of unknown outcome that are held from now on: only a person may send them again.
    held: int = 0
    #: Texts whose webhook never arrived.
    missed: int = 0
    #: Those of the missed texts that were found more than a minute after they were sent.
    late: int = 0
    #: Messages whose final status the list showed before any callback reported it.
    reported: int = 0
    #: Messages whose segments and price were recorded.
    charged: int = 0


@dataclass(frozen=True, slots=True)
class Step:
    """The progress of a reconciliation; `total` may grow while it runs."""

    what: str
    done: int
    total: int
