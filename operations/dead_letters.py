"""List, show, replay and discard dead letters: dead turns, and reply parts that were refused for good."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from inbox.ports import Inbox
from journal.model import RowName, Turn
from journal.store import Journal
from operations.errors import BadRequest, NotFound
from runtime.isolation import BadItem, isolated
from worker.put_back import put_back


class DeadLetters:
    """The dead letters of one installation."""

    def __init__(self, journal: Journal, inbox: Inbox) -> None:
        self._journal = journal
        self._inbox = inbox

    def list(self, limit: int) -> Iterator[dict[str, Any]]:  # Any: JSON
        """Yield the dead letters, oldest first: key, state, reason and time."""
        for row in islice(self._journal.dead_letters.list(), limit):
            unread: list[BadItem] = []
            summary: dict[str, Any] = {}
            with isolated("row", row.key, unread.append):
                summary = self._summary(row)
            yield {"key": row.key, **summary, **({"reason": unread[0].error} if unread else {})}

    def show(self, name: str) -> dict[str, Any]:  # Any: JSON
        """Return one dead letter, with its traceback. Raises `BadRequest`.

        `name`: a key such as `out#SM123#0`, or the sid of the text.
        """
        row = self._find(name)
        turn = self._turn(row)
        parts = self._journal.outbox.parts(row.user_id, turn.reply_sid)
        return {
            "key": row.key,
            "person": row.user_id,
            **self._summary(row),
            "text": turn.content,
            "tries": turn.tries,
            "error": turn.error,
            "payload": turn.facts.get("payload"),
            "parts": [{**asdict(part), "facts": None} for part in parts],
        }

    def replay(self, name: str) -> bool:
        """Queue a dead letter again. Raises `BadRequest`.

        A second replay finds no dead letter and does nothing (False).
        """
        row = self._find(name)
        turn = self._turn(row)
        if turn.is_unreadable:
            raise BadRequest("this entry can never be read: discard it")
        if not self._journal.dead_letters.revive(row, now=self._inbox.clock.now()):
            return False
        put_back(self._inbox.texts, turn)
        return True

    def discard(self, name: str) -> bool:
        """Take a dead letter off the list; its row stays. Raises `BadRequest`."""
        return self._journal.dead_letters.discard(self._find(name), now=datetime.now(UTC))

    def _find(self, name: str) -> RowName:
        row = next((row for row in self._journal.dead_letters.list() if name in (row.key, row.sid)), None)
        if row is None:
            raise NotFound(f"{name} is not a dead letter")
        return row

    def _turn(self, row: RowName) -> Turn:
        turn = self._journal.turns.get(row.user_id, row.sid)
        if turn is None:
            raise NotFound(f"{row.key} belongs to a turn that no longer exists")
        return turn

    def _summary(self, row: RowName) -> dict[str, Any]:  # Any: JSON
        if row.is_turn:
            turn = self._journal.turns.get(row.user_id, row.sid)
            if turn is None:
                return {}
            return {"state": str(turn.state), "reason": turn.reason, "since": turn.facts.get("settled_at")}
        part = self._journal.outbox.part(row)
        if part is None:
            return {}
        return {
            "state": str(part.state),
            "reason": part.reason,
            "code": part.error_code,
            "since": part.facts.get("failed_at"),
        }
