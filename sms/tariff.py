"""What a message costs before Twilio has said so. Facts are data: `sms/tariff.toml`; what Twilio reports goes before them.

Money is counted as `dadacat.money` counts it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Self

from dadacat.money import MICRO
from sms.messages import bare


@dataclass(frozen=True, slots=True, kw_only=True)
class Tariff:
    """Prices of outbound messages, in millionths of a dollar."""

    #: A segment, by the beginning of the number; `+` is anywhere else.
    segment: Mapping[str, int]
    #: A message on another channel, whatever its length, by the channel's name.
    channel: Mapping[str, int]

    def cost(self, to: str, segments: int, *, messages: int = 1) -> int:
        """What so many segments to this address cost, in so many messages."""
        name, colon, _ = to.partition(":")
        if colon:
            return messages * self.channel.get(name, 0)
        number = bare(to)
        known = [begin for begin in self.segment if number.startswith(begin)]
        return segments * (self.segment[max(known, key=len)] if known else self.segment.get("+", 0))

    @classmethod
    def parse(cls, given: Mapping[str, Any]) -> Self:  # Any: TOML's own types
        """Read the tables `segment` and `channel`, in US dollars. Raises `ValueError` for what is no such table."""
        return cls(segment=_prices(given.get("segment", {})), channel=_prices(given.get("channel", {})))

    def over(self, other: Tariff) -> Tariff:
        """This tariff laid over another: what stands in both is taken from this one."""
        return Tariff(segment={**other.segment, **self.segment}, channel={**other.channel, **self.channel})


def _prices(given: Any) -> dict[str, int]:  # Any: TOML's own types
    try:
        prices = {str(name): round(float(price) * MICRO) for name, price in given.items()}
    except (TypeError, ValueError, AttributeError) as exc:
        raise ValueError("segment and channel hold prices in US dollars") from exc
    if min(prices.values(), default=0) < 0:
        raise ValueError("a price is not negative")
    return prices


def shipped() -> Tariff:
    """What comes with DadaCat."""
    return Tariff.parse(tomllib.loads(files("sms").joinpath("tariff.toml").read_text()))
