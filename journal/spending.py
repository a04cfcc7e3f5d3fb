"""What one row of the journal cost. Amounts: see `runtime.money`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from journal.model import RowName
from journal.states import PartState
from runtime.isolation import BadItem
from runtime.money import MICRO

#: The attributes from which a row's cost is read.
COSTS: Final = (
    "user_id", "message_key", "state", "sid", "turn", "engine", "model_cost", "tokens_in", "tokens_out", "answered_at",
    "persisted_at", "cost", "expected", "segments", "price", "price_unit", "sender", "to",
)  # fmt: skip
#: In these states nothing was sent, so nothing is charged, unless the carrier says otherwise.
_NOT_SENT: Final = frozenset({PartState.FAILED, PartState.SUPPRESSED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """The cost of one model call or one message."""

    user_id: str
    at: datetime
    #: The engine that wrote the words; for a message, the engine whose words it carried.
    engine: str
    #: The cost, in millionths of a dollar.
    model: int = 0
    sms: int = 0
    replies: int = 0
    segments: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    #: The carrier itself has reported what it charged.
    reported: bool = False
    #: The turn, for a reply.
    turn: str = ""
    #: Which of our numbers was texted, or sent the message; empty for a memory.
    number: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CostPage:
    """One page of the journal's costs; it may be empty and not the last.

    `cursor` is where the next page starts; None: this is the last.
    """

    costs: tuple[Cost, ...]
    cursor: str | None
    #: Rows whose cost cannot be read.
    unreadable: tuple[BadItem, ...] = ()


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
    name = RowName(user_id=row["user_id"], key=row["message_key"])
    engine = str(row.get("engine", ""))
    if name.is_part:
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
            number=str(row.get("sender", "")),
        )
    if name.is_turn and row.get("turn") != row.get("sid"):
        return None  # answered together with another text, whose row has the cost of the reply
    return Cost(
        user_id=row["user_id"],
        at=datetime.fromisoformat(row["answered_at"]),
        engine=engine,
        model=int(row.get("model_cost", 0)),
        replies=int(name.is_turn),
        tokens_in=int(row.get("tokens_in", 0)),
        tokens_out=int(row.get("tokens_out", 0)),
        turn=str(row.get("turn", "")),
        number=str(row.get("to", "")),
    )
