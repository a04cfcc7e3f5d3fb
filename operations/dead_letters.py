"""Do the work of the operator's commands: explain, reconcile, dead letters.

The command line only reads arguments and prints.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from conversation.journal import Turn
from conversation.storage import DynamoDBStorage
from conversation.story import Story
from inbox.ports import Inbox
from operations.explain import explain
from sms.errors import CarrierAway
from sms.twilio import TwilioLedger
from worker.delivery_failures import text_of
from worker.reconcile import Reconciler, Report, Step

_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


class BadRequest(Exception):
    """The request cannot be carried out; the message says why."""


def duration(given: str) -> timedelta:
    """Parse a duration such as `90m`, `24h` or `2d`. Raises `BadRequest`."""
    match = re.fullmatch(r"(\d{1,4})([mhd])", given)
    if match is None:
        raise BadRequest("a duration is a number and m, h or d: 90m, 24h, 2d")
    return timedelta(**{_UNITS[match.group(2)]: int(match.group(1))})


def ago(given: str) -> datetime:
    """Return the moment a duration such as `24h` ago. Raises `BadRequest`."""
    return datetime.now(UTC) - duration(given)


def story(storage: DynamoDBStorage, ledger: TwilioLedger, sid: str, person: str | None) -> Story:
    """Return everything known about one text. Raises `NothingKnown`."""
    if person is None:
        try:
            person = ledger.person_of(sid)
        except CarrierAway:
            person = None
    return explain(storage, sid, person=person)


def reconcile(reconciler: Reconciler, since: str | None, progress: Callable[[Step], None]) -> Report:
    """Run the reconciler now. Raises `BadRequest`, `CarrierAway`."""
    return reconciler.reconcile(since=duration(since) if since else None, progress=progress)


class DeadLetters:
    """The dead letters: dead turns, and reply parts that were refused for good."""

    def __init__(self, storage: DynamoDBStorage, inbox: Inbox) -> None:
        self._storage = storage
        self._inbox = inbox

    def list(self, limit: int) -> Iterator[dict[str, Any]]:  # Any: JSON
        """Yield the dead letters, oldest first: key, state, reason and time."""
        for row in islice(self._storage.dead_letters(), limit):
            yield {"key": row.key, **self._summary(row.user_id, row.key)}

    def show(self, name: str) -> dict[str, Any]:  # Any: JSON
        """Return one dead letter, with its traceback. Raises `BadRequest`.

        `name` is a MessageSid, or a key such as `out#SM123#0`.
        """
        user_id, key = self._find(name)
        turn = self._turn(user_id, key)
        parts = self._storage.parts(user_id, turn.turn or turn.sid)
        return {
            "key": key,
            "person": user_id,
            **self._summary(user_id, key),
            "text": turn.content,
            "tries": turn.tries,
            "error": turn.facts.get("error"),
            "payload": turn.facts.get("payload"),
            "parts": [{**asdict(part), "facts": None} for part in parts],
        }

    def replay(self, name: str) -> bool:
        """Queue a dead letter again. Raises `BadRequest`.

        A second replay finds no dead letter and does nothing (False).
        """
        user_id, key = self._find(name)
        turn = self._turn(user_id, key)
        if turn.sid.startswith("unreadable-"):
            raise BadRequest("this entry can never be read: discard it")
        if not self._storage.revive(user_id, key, now=datetime.now(UTC)):
            return False
        self._inbox.texts.accept(text_of(turn))
        return True

    def discard(self, name: str) -> bool:
        """Take a dead letter off the list; its row stays. Raises `BadRequest`."""
        user_id, key = self._find(name)
        return self._storage.discard(user_id, key, now=datetime.now(UTC))

    def _find(self, name: str) -> tuple[str, str]:
        keys = {name, f"in#{name}"}
        for row in self._storage.dead_letters():
            if row.key in keys:
                return row.user_id, row.key
        raise BadRequest(f"{name} is not a dead letter")

    def _turn(self, user_id: str, key: str) -> Turn:
        turn = self._storage.get_turn(user_id, key.split("#")[1])
        if turn is None:
            raise BadRequest(f"{key} belongs to a turn that no longer exists")
        return turn

    def _summary(self, user_id: str, key: str) -> dict[str, Any]:  # Any: JSON
        turn = self._storage.get_turn(user_id, key.split("#")[1])
        if key.startswith("in#"):
            return (
                {"state": str(turn.state), "reason": turn.reason, "since": turn.facts.get("settled_at")} if turn else {}
            )
        part = next((part for part in self._storage.parts(user_id, key.split("#")[1]) if part.key == key), None)
        if part is None:
            return {}
        return {
            "state": str(part.state),
            "reason": part.reason,
            "code": part.error_code,
            "since": part.facts.get("failed_at"),
        }
