"""The network's misbehaviour. Today it has none: this is the place that the network asks at every station.

A fault plan answers four questions, each at the moment when the network could go wrong: how long a station takes, and whether it happens at all.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """How the network behaves."""

    #: From creation to `sent`, in seconds.
    sending_seconds: float = 0.05
    #: From `sent` to `delivered`, in seconds.
    delivery_seconds: float = 0.25
