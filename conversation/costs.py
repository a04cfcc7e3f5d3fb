"""Read costs from journal rows. Amounts are in the unit of `runtime.money`."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from conversation.journal import PartState
from conversation.models import in_milliseconds
from conversation.ports import Cost, Journal
from runtime.money import MICRO

#: In these states nothing was sent, so nothing is charged, unless the carrier says otherwise.
_NOT_SENT: Final = frozenset({PartState.FAILED, PartState.SUPPRESSED})


def memo(user_id: str, facts: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """Return the row that records the cost of updating a memory.

    It has no `arrived`, because it is not a line of the transcript.
    """
    return {
        "user_id": user_id,
        "message_key": f"memo#{in_milliseconds(now):013d}#{secrets.token_hex(4)}",
        "state": "SETTLED",
        "answered_at": now.isoformat(),
        **facts,
    }


def charge_of(price: str | None, unit: str | None) -> int | None:
    """Return the carrier's charge in millionths of a dollar, such as 7500 for a `price` of `-0.00750`.

    The carrier writes a debit with a minus sign. None: no price yet, or another currency.
    """
    if price is None or (unit or "USD").upper() != "USD":
        return None
    try:
        return -int((Decimal(price) * MICRO).to_integral_value())
    except (InvalidOperation, ValueError):
        return None


def cost_of(row: Mapping[str, Any]) -> Cost | None:  # Any: DynamoDB's values
    """Return the cost that a row records; None if it records none."""
    key = str(row["message_key"])
    engine = str(row.get("engine", ""))
    if key.startswith("out#"):
        charged = charge_of(row.get("price"), row.get("price_unit"))
        if charged is None and row.get("state") in _NOT_SENT:
            return None
        return Cost(
            user_id=row["user_id"],
            at=datetime.fromisoformat(row["persisted_at"]),
            engine=engine,
            sms=int(row.get("cost", 0)) if charged is None else charged,
            segments=int(row.get("segments") or row.get("expected", 0)),
            reported=charged is not None,
        )
    replied = key.startswith("in#")
    if replied and row.get("turn") != row.get("sid"):
        return None  # answered together with another text, whose row has the cost of the reply
    return Cost(
        user_id=row["user_id"],
        at=datetime.fromisoformat(row["answered_at"]),
        engine=engine,
        model=int(row.get("model_cost", 0)),
        replies=int(replied),
        tokens_in=int(row.get("tokens_in", 0)),
        tokens_out=int(row.get("tokens_out", 0)),
        turn=str(row.get("turn", "")),
    )


def since(journal: Journal, begin: datetime) -> Iterator[Cost]:
    """Yield all costs since `begin`, in no order, by scanning every row."""
    cursor: str | None = None
    while True:
        page = journal.costs(since=begin, cursor=cursor)
        yield from page.costs
        cursor = page.cursor
        if cursor is None:
            return
