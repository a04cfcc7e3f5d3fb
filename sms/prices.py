"""Estimated prices of messages; a price that Twilio reports takes precedence.

The prices are data, in `sms/prices.toml`. Amounts are in millionths of a US dollar, as in `runtime.money`.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final, Self

from runtime.money import MICRO
from sms.messages import bare

#: Dollars for a segment. A price above it is a mistake, and the sums of budgets would not hold it.
HIGHEST_PRICE: Final = 1_000
_PREFIX: Final = re.compile(r"\+[0-9]{0,15}")
_CHANNEL: Final = re.compile(r"[a-z]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tariff:
    """Prices of outbound messages, in millionths of a dollar."""

    #: Price per segment by number prefix, such as `+44`; `+` applies to all other numbers.
    segment: Mapping[str, int]
    #: Price per message of any length by channel, such as `whatsapp`.
    channel: Mapping[str, int]

    def cost(self, to: str, segments: int, *, messages: int = 1) -> int:
        """Return the price of these segments, sent to an address in this number of messages."""
        name, colon, _ = to.partition(":")
        if colon:
            return messages * self.channel.get(name, 0)
        number = bare(to)
        prefixes = [prefix for prefix in self.segment if number.startswith(prefix)]
        return segments * (self.segment[max(prefixes, key=len)] if prefixes else self.segment.get("+", 0))

    @classmethod
    def parse(cls, given: Mapping[str, Any]) -> Self:  # Any: TOML's own types
        """Read the tables `segment` and `channel`, in US dollars. Raises `ValueError` for another form."""
        return cls(
            segment=_prices(given.get("segment", {}), _PREFIX, 'the beginning of a number, such as "+49"'),
            channel=_prices(given.get("channel", {}), _CHANNEL, "a channel, such as whatsapp"),
        )

    def over(self, other: Tariff) -> Tariff:
        """Return both tariffs merged; a price of this one overrides the other's."""
        return Tariff(segment={**other.segment, **self.segment}, channel={**other.channel, **self.channel})


def _prices(given: Any, names: re.Pattern[str], what: str) -> dict[str, int]:  # Any: TOML's own types
    try:
        wrong = [name for name in given if not names.fullmatch(name)]
        prices = {str(name): round(float(price) * MICRO) for name, price in given.items()}
    except (TypeError, ValueError, AttributeError, OverflowError) as exc:
        raise ValueError("segment and channel must hold prices in US dollars") from exc
    if wrong:
        raise ValueError(f"{wrong[0]} is not {what}")
    if not all(0 <= price <= HIGHEST_PRICE * MICRO for price in prices.values()):
        raise ValueError(f"a price must not be negative, nor above {HIGHEST_PRICE:,}")
    return prices


def shipped() -> Tariff:
    """Return the tariff that comes with DadaCat."""
    return Tariff.parse(tomllib.loads(files("sms").joinpath("prices.toml").read_text()))
