"""What is kept of a danger between a person's texts, in the attribute `danger` of the conversation.

It lasts until the person sent three calm texts, or for a day. RESET does not end it. An erasure deletes it with the
item.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final, Self

from cat.danger.model import CALM, Danger, Kind, Tier

#: Calm texts after which the cat plays again, and the time after which it does without them.
CALM_TEXTS: Final = 3
LASTS: Final = timedelta(days=1)
#: A certain danger is answered beyond every limit, and not again for so long.
EXCEPTION_EVERY: Final = timedelta(minutes=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """The latest danger and what came after it; times in milliseconds of Redis's clock."""

    danger: Danger = CALM
    heard_ms: int = 0
    #: Calm texts since.
    calm: int = 0
    #: When a text was last answered beyond the limits.
    excepted_ms: int = 0

    def lasts(self, now_ms: int) -> bool:
        """Return whether the cat is still quiet: a certain danger, less than a day and three calm texts ago."""
        return self.danger.tier is Tier.CERTAIN and self.calm < CALM_TEXTS and self._is_fresh(now_ms)

    def asks(self, now_ms: int) -> bool:
        """Return whether the cat has just asked whether a text was a game."""
        return self.danger.tier is Tier.POSSIBLE and not self.calm and self._is_fresh(now_ms)

    def may_except(self, now_ms: int) -> bool:
        """Return whether a certain danger may be answered beyond the limits again."""
        return now_ms - self.excepted_ms >= _milliseconds(EXCEPTION_EVERY)

    def after(self, heard: Danger, now_ms: int, *, calm: int = 1) -> Self:
        """Return the state after a reply. `calm`: how many texts it answered in which no danger was heard."""
        if heard.tier is Tier.CERTAIN or (heard.tier and not self.lasts(now_ms)):
            return replace(self, danger=heard, heard_ms=now_ms, calm=0)
        if heard.tier:
            return replace(self, heard_ms=now_ms, calm=0)
        after = replace(self, calm=self.calm + calm)
        # what is over is not kept: neither a count that grows with each text nor that there was danger
        return after if after.lasts(now_ms) else type(self)(excepted_ms=self.excepted_ms)

    def to_json(self) -> str:
        """Return the state as it is stored."""
        danger = self.danger
        # an older program knows no fire
        kind = Kind.EMERGENCY if danger.kind is Kind.FIRE else danger.kind
        return json.dumps(
            {
                "tier": int(danger.tier), "kind": str(kind), "fire": danger.kind is Kind.FIRE, "young": danger.young,
                "heard": self.heard_ms, "calm": self.calm, "excepted": self.excepted_ms,
            },
            separators=(",", ":"),
        )  # fmt: skip

    @classmethod
    def from_json(cls, stored: str) -> Self:
        """Read a stored state; anything else is none."""
        try:
            values = json.loads(stored) if stored else {}
            if not values:
                return cls()
            kind = Kind.FIRE if values.get("fire") else Kind(values["kind"])
            return cls(
                danger=Danger(Tier(values["tier"]), kind, bool(values["young"])),
                heard_ms=int(values.get("heard", 0)),
                calm=int(values.get("calm", 0)),
                excepted_ms=int(values.get("excepted", 0)),
            )
        except (ValueError, KeyError, TypeError, AttributeError):
            return cls()

    def _is_fresh(self, now_ms: int) -> bool:
        return now_ms - self.heard_ms < _milliseconds(LASTS)


def _milliseconds(time: timedelta) -> int:
    return int(time.total_seconds() * 1000)
