"""The parameters of a run of chaos."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The parameters of a run: duration, load, faults and seed."""

    seconds: float
    seed: int
    data: Path
    workers: int = 3
    people: int = 60
    #: Texts per second, all people together.
    rate: float = 6.0
    #: Mean number of seconds between two faults.
    fault_every: float = 1.5
    #: How often each row of the crash table is struck before the random faults begin.
    each_point: int = 0
    #: Rows to strike, such as `["K6"]`. If empty, all.
    rows: Sequence[str] = ()
    #: The folder of Amazon's DynamoDB Local, which then takes the embedded store's place.
    dynamodb_local: Path | None = None
    #: Whether SIGKILL is the only fault.
    kills_only: bool = False
    #: A run is audited in rounds of this length, and what was audited is forgotten, so that hours of it stay small.
    round_seconds: float = 600.0
    #: The value of `DOUBLE_TEXT_POLICY`, which says how several waiting texts are answered.
    policy: str = "each"

    def rounds(self) -> Iterator[float]:
        """Yield the length of each round; there is at least one."""
        left = self.seconds
        yield min(left, self.round_seconds)
        while (left := left - self.round_seconds) > 0:
            yield min(left, self.round_seconds)
