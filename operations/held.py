"""Replies in doubt: list and show them, send a held one again, or say what became of it.

Nothing here acts by itself. A part is sent again only if an operator says so, once for each time, and not while its
outcome could still arrive. Before that, the carrier's list is looked at once more.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from conversation.models import parse_time
from inbox.durations import moment
from inbox.ports import Inbox
from journal.model import Binding, ReplyPart, RowName, Turn
from journal.states import PartState
from journal.store import Journal
from operations.errors import BadRequest, NotFound
from runtime.isolation import SetAside, isolated
from sms.ports import MessageList
from worker.put_back import put_back
from worker.reconcile import evidence, presence

_IN_DOUBT = (PartState.HELD, PartState.UNKNOWN)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldReplies:
    """The replies of one installation whose outcome is not known."""

    journal: Journal
    inbox: Inbox
    message_list: MessageList
    #: How long Twilio may hold a message: until then an outcome may still arrive.
    validity: timedelta

    def listed(self, limit: int, *, search: bool, set_aside: SetAside) -> Iterator[dict[str, Any]]:  # Any: JSON
        """Yield held replies, oldest first, then those of unknown outcome.

        `search`: read every row instead, and find those that an earlier release held.
        A row that cannot be read is handed to `set_aside`.
        """
        rows = self.journal.held.searched() if search else self.journal.held.listed()
        now = self.inbox.clock.now()
        yield from islice(self._summaries(rows, now, set_aside), limit)

    def show(self, name: str) -> dict[str, Any]:  # Any: JSON
        """Return a reply in doubt with its words and every event.

        `name`: a key such as `out#SM123#0`, or the sid of the text.
        """
        part = self._find(name)
        turn = self._turn(part)
        return {
            **self._summary(part, self.inbox.clock.now()),
            "text": turn.content,
            "words": part.content,
            "tries": part.tries,
            "log": part.facts.get("log", []),
        }

    def resend(self, name: str) -> str:
        """Have a held reply sent again, once; return what was done. Raises `BadRequest` if it may not be sent."""
        part, now = self._find(name), self.inbox.clock.now()
        turn = self._turn(part)
        self._check_over(part, now)
        conversation = self.journal.conversations.get(part.user_id)
        if conversation is None or not conversation.is_active:
            raise BadRequest("the person said STOP, or was forgotten: nothing may be sent")
        listed = self._listed(part, now)
        if listed is not None:
            return f"{part.key} was sent: Twilio lists it as {listed}. It is settled, and not sent again"
        if not self.journal.held.resend(part, now=now):
            raise BadRequest(f"{part.key} is not held any more: see `dadacat explain {turn.sid}`")
        put_back(self.inbox.texts, turn)
        return f"{part.key} is sent again"

    def settle(self, name: str, *, was_sent: bool) -> str:
        """Record the operator's word on what became of a held reply. Raises `BadRequest`."""
        part, now = self._find(name), self.inbox.clock.now()
        self._check_over(part, now)
        if not self.journal.held.settle(part, was_sent=was_sent, now=now):
            raise BadRequest(f"{part.key} is not held any more")
        return f"{part.key} is settled: {'sent' if was_sent else 'not sent'}"

    def _summaries(self, rows: Iterator[RowName], now: datetime, set_aside: SetAside) -> Iterator[dict[str, Any]]:
        for row in rows:
            part = None
            with isolated("row", row.key, set_aside):
                part = self.journal.outbox.part(row)
            if part is not None and part.state in _IN_DOUBT:
                yield self._summary(part, now)

    def _summary(self, part: ReplyPart, now: datetime) -> dict[str, Any]:
        doubtful_since = moment(part.unknown_since) if part.unknown_since else parse_time(part.claimed_at) or now
        return {
            "key": part.key,
            "person": part.user_id,
            "state": str(part.state),
            "since": doubtful_since.isoformat(timespec="seconds"),
            "age_seconds": int((now - doubtful_since).total_seconds()),
            "reason": _reason(part),
        }

    def _check_over(self, part: ReplyPart, now: datetime) -> None:
        """Raise `BadRequest` unless the part is held, and its outcome can no longer arrive."""
        if part.state not in _IN_DOUBT:
            raise BadRequest(f"{part.key} is not held: it is {part.state}")
        until = moment(part.unknown_since) + self.validity
        if now > until and part.state is PartState.UNKNOWN:
            raise BadRequest(
                f"{part.key} is in doubt still, though its outcome was due by {until.isoformat(timespec='seconds')}: "
                "the reconciler holds it, or has it sent again, when it has read Twilio's list"
            )
        if now <= until:
            raise BadRequest(
                f"the outcome of {part.key} may still arrive, until {until.isoformat(timespec='seconds')}; "
                "after that it is held at the next reconciliation"
            )

    def _listed(self, part: ReplyPart, now: datetime) -> str | None:
        """Bind a held part to the carrier's entry, and return its sid; None if the carrier lists none."""
        reading = presence.read(self.message_list, self.journal.outbox, self.inbox.clock, part.user_id, [part])
        # a held part is matched as it was while it was unknown
        parts = [replace(one, state=PartState.UNKNOWN) if one.state in _IN_DOUBT else one for one in reading.parts]
        matches = evidence.match(reading.listing, parts, now=reading.now)
        found = next((match for match in matches if match.part.key == part.key), None)
        if found is None:
            return None
        entry = found.entry
        sent = Binding(
            state=PartState.SENT, sid=entry.sid, status=entry.status, error_code=entry.error_code,
            segments=entry.segments, evidence="list",
        )  # fmt: skip
        self.journal.outbox.bind(part, sent, now=now)
        return entry.sid

    def _find(self, name: str) -> ReplyPart:
        rows = (row for row in self.journal.held.listed() if name in (row.key, row.sid))
        row = next(rows, None) or self._named(name)
        part = self.journal.outbox.part(row) if row is not None else None
        if part is None:
            raise NotFound(f"{name} is no reply in doubt: `dadacat held list` lists them")
        return part

    def _named(self, name: str) -> RowName | None:
        """Return the row of this key or sid, by reading every held row: an earlier release did not list them."""
        return next((row for row in self.journal.held.searched() if name in (row.key, row.sid)), None)

    def _turn(self, part: ReplyPart) -> Turn:
        turn = self.journal.turns.get(part.user_id, part.turn)
        if turn is None:
            raise BadRequest(f"{part.key} belongs to a turn that no longer exists")
        return turn


def _reason(part: ReplyPart) -> str | None:
    if part.proven_unsent == part.attempt_id:
        return f"{part.reason}; a mark proves that it was not sent"
    return part.reason
