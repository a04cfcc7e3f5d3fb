"""Builders of test data. A test names only the values that matter to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from cat import recall
from cat.chain import Cat
from cat.ports import Engine
from conversation import entries
from conversation.dynamodb import DynamoDB
from conversation.storage import DynamoDBStorage
from inbox.ports import Place
from inbox.stopped import Stopped
from journal.model import Turn
from journal.states import TurnState
from sms import codes
from sms.credentials import Login
from sms.messages import InboundSms, MessageSid
from sms.ports import NotCreated, Scope
from sms.signature import Key

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)
ANN = "+15551230001"
BEN = "+15551230002"
OUR_NUMBER = "+15005550006"
LEASE = timedelta(seconds=20)
WAKE_AGAIN = timedelta(seconds=60)
PROBE_EVERY = timedelta(seconds=30)

#: A window that holds a whole short conversation.
WINDOW = recall.Terms(tokens=2000, age=timedelta(hours=72))

_numbers = count(1)


def a_sid() -> str:
    return f"SM{next(_numbers):032x}"


def a_text(body: str = "hello", *, sender: str = ANN, sid: str | None = None, **more: Any) -> InboundSms:
    return InboundSms(sid=MessageSid(sid or a_sid()), sender=sender, to=OUR_NUMBER, body=body, **more)


def refused(code: int | None = None, *, status: int = 400) -> NotCreated:
    """Return the outcome of a send that Twilio refused."""
    return NotCreated(verdict=codes.of_answer(status, code))


def place_of(stop: Stopped) -> Place:
    return Place(Scope(stop.scope), stop.name)


def a_cat(engines: Sequence[Engine], **more: Any) -> Cat:
    return Cat(engines, **{"deadline_seconds": 20, "max_segments": 3, "max_parts": 1, **more})


def a_turn(content: str = "hello", *, user_id: str = ANN, sid: str | None = None, at: int = 0) -> Turn:
    return Turn(
        user_id=user_id,
        sid=sid or a_sid(),
        state=TurnState.FILED,
        arrived=entries.arrived(f"{NOW_MS + at}-0"),
        content=content,
        to=OUR_NUMBER,
    )


def asked_of(storage: DynamoDBStorage) -> list[str]:
    """Record the names of all DynamoDB operations from now on, in order, in the returned list."""
    assert isinstance(storage.tables, DynamoDB)
    seen: list[str] = []
    events = storage.tables.ready().meta.events
    events.register("before-call.dynamodb", lambda model, **_: seen.append(model.name))
    return seen


def tokens(*secrets: str) -> Callable[[], Sequence[Key]]:
    """Return auth tokens that never change, for a `Validator`."""
    keys = [Key(secret) for secret in secrets]
    return lambda: keys


def a_login(username: str, password: str) -> Login:
    return Login(lambda: [(username, password)])
