"""Builders of test data. A test names only the values that matter to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import count
from typing import Any

from conversation import journal
from conversation.journal import Turn, TurnState
from conversation.storage import DynamoDBStorage
from sms.messages import InboundSms, MessageSid
from sms.signature import Key

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)
ANN = "+15551230001"
BEN = "+15551230002"
OUR_NUMBER = "+15005550006"

_numbers = count(1)


def a_sid() -> str:
    return f"SM{next(_numbers):032x}"


def a_text(body: str = "hello", *, sender: str = ANN, sid: str | None = None, **more: Any) -> InboundSms:
    return InboundSms(sid=MessageSid(sid or a_sid()), sender=sender, to=OUR_NUMBER, body=body, **more)


def a_turn(content: str = "hello", *, user_id: str = ANN, sid: str | None = None, at: int = 0) -> Turn:
    return Turn(
        user_id=user_id,
        sid=sid or a_sid(),
        state=TurnState.FILED,
        arrived=journal.arrived(f"{NOW_MS + at}-0"),
        content=content,
        to=OUR_NUMBER,
    )


def asked_of(storage: DynamoDBStorage) -> list[str]:
    """Record the names of all DynamoDB operations from now on, in order, in the returned list."""
    database, seen = storage._db, list[str]()
    ask = database.ask

    def noted(operation: str, **request: Any) -> dict[str, Any]:
        seen.append(operation)
        return ask(operation, **request)

    database.ask = noted  # type: ignore[method-assign]
    return seen


def tokens(*secrets: str) -> Callable[[], Sequence[Key]]:
    """Return auth tokens that never change, for a `Validator`."""
    keys = [Key(secret) for secret in secrets]
    return lambda: keys
