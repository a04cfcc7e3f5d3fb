"""Count money in whole millionths of a US dollar.

Sums of whole numbers are exact, and Redis and DynamoDB can add them.
"""

from __future__ import annotations

from typing import Final

#: Millionths per dollar.
MICRO: Final = 1_000_000


def dollars(millionths: int, digits: int = 4) -> str:
    """Format an amount for people, without its currency: 12,800 millionths are `0.0128`."""
    return f"{millionths / MICRO:.{digits}f}"
