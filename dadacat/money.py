"""Money as everybody here counts it: in millionths of a US dollar, as whole numbers. Sums are exact, and Redis and DynamoDB add them."""

from __future__ import annotations

from typing import Final

#: Millionths in a dollar.
MICRO: Final = 1_000_000


def dollars(millionths: int, digits: int = 4) -> str:
    """An amount as people read it, without its currency."""
    return f"{millionths / MICRO:.{digits}f}"
