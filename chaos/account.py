"""The account of a run: what its rounds amount to, and what was injected.

A round's rows, messages and faults are forgotten once they are audited, so a run of hours keeps this account and the
last round only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from chaos.auditor import OFFENCES, Verdict
from chaos.growth import Sample, quarters
from chaos.witness import Fault


@dataclass(slots=True, kw_only=True)
class Account(Verdict):
    """The sum of all rounds."""

    #: How often each fault struck.
    faults: dict[str, int] = field(default_factory=dict)
    kills: int = 0
    cuts: int = 0
    #: Attempts whose mark said BEGUN when their process was killed: only these may stay in doubt after a kill.
    begun_at_death: int = 0
    #: Attempts of which the mark of a killed process proves that nothing left.
    proven_at_death: int = 0
    #: How often each row of the crash table was struck.
    rows: Mapping[str, int] = field(default_factory=dict)
    #: Why the run proves nothing: no text was sent, a row was never struck, or a figure grew.
    unproven: list[str] = field(default_factory=list)
    rounds: int = 0
    over_time: Sequence[Sample] = ()

    @property
    def good(self) -> bool:
        """Return whether no round has an offence, and the run proves something."""
        return not any(getattr(self, offence) for offence in (*OFFENCES, "unproven"))

    def add(self, verdict: Verdict, faults: Sequence[Fault]) -> None:
        """Add a round."""
        self.rounds += 1
        for sum_ in ("texts", "answered", "silent", "excused_from_order"):
            setattr(self, sum_, getattr(self, sum_) + getattr(verdict, sum_))
        self.held |= verdict.held
        for offence in OFFENCES:
            getattr(self, offence).extend(getattr(verdict, offence))
        for what, count in Counter(fault.what for fault in faults).items():
            self.faults[what] = self.faults.get(what, 0) + count
        self.kills += sum(fault.kind == "kill" for fault in faults)
        self.cuts += sum(fault.kind == "cut" for fault in faults)
        self.begun_at_death += sum(len(fault.attempts) for fault in faults if fault.kind == "kill")
        self.proven_at_death += sum(fault.proven for fault in faults)

    def as_json(self) -> dict[str, Any]:  # Any: JSON
        """Return the account as JSON data."""
        return {"good": self.good, **asdict(self), "quarters": dict(quarters(self.over_time))}
