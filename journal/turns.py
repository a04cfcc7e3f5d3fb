"""The rows of texts: recorded once, counted, settled, and answered in one transaction.

    in#<MessageSid>   state arrived sid role content to tries turn parts token reason filed_at answered_at settled_at …

Every write names its idempotency key and what a second call does.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from boto3.dynamodb.conditions import Attr

from conversation import transcript, window
from conversation.contention import holds, until_it_holds
from conversation.errors import ConditionFailed, Fenced
from conversation.fenced import fence_stands
from conversation.models import Conversation, Role
from conversation.rewrite import rewrite
from conversation.storage import DynamoDBStorage
from conversation.table import Update
from journal import codec, listing, states
from journal.model import Filed, FrozenReply, Turn, in_key, row_key
from journal.states import TurnState

#: How much of a traceback a dead letter keeps.
ERROR_CHARACTERS: Final = 6_000


class Turns:
    """Turns in the messages table. `now` is a time of Redis's clock, which alone decides."""

    def __init__(self, storage: DynamoDBStorage) -> None:
        self._storage = storage
        self._tables = storage.tables
        self._names = storage.names

    def get(self, user_id: str, sid: str) -> Turn | None:
        """Return a text's row, read consistently; None if there is none."""
        row = self._tables.get(self._names.messages, row_key(user_id, in_key(sid)))
        return codec.decode(Turn, row) if row else None

    def file(self, turn: Turn, *, now: datetime) -> Filed:
        """Record a text, keyed by its sid. If its row exists, return that row and change nothing."""
        attributes = {
            **codec.encode(turn),
            "role": str(Role.USER),
            "filed_at": now.isoformat(),
            **listing.listed(turn.user_id, now),
            **self._names.expiry(now),
        }
        try:
            self._tables.update(transcript.new_row(self._names, turn.user_id, turn.key, attributes))
        except ConditionFailed as failed:
            row = failed.rows[0]
            assert row is not None, "the condition fails only if the row exists"
            return Filed(turn=codec.decode(Turn, row), fresh=False)
        return Filed(turn=turn, fresh=True)

    def retry(self, turn: Turn, *, due_ms: int = 0) -> Turn:
        """Count one more try at a FILED or ANSWERED turn, before the work starts; return the row.

        `due_ms`: when the try begins, by Redis's clock; 0 for at once. The idempotency key is the number of tries in
        `turn`: a second call counts nothing. A turn that was settled without a reply is returned as it is.
        """
        update = self._update(
            turn,
            {"tries": turn.tries + 1, "due": due_ms},
            when=Attr("state").is_in([*states.UNFINISHED_TURNS]) & Attr("tries").eq(turn.tries),
        )
        try:
            return codec.decode(Turn, self._tables.update(update))
        except ConditionFailed as failed:
            row = failed.rows[0]
            return codec.decode(Turn, row) if row else turn

    def settle(self, turn: Turn, state: TurnState, *, reason: str, fence: int, now: datetime) -> None:
        """End a FILED turn without a reply. A second call changes nothing.

        Raises `Fenced` if another worker opened the conversation since: it may have answered a START that this worker
        does not know of. Raises `IllegalMove` for a state that ends no turn.
        """
        settlement = self._settlement(turn, state, reason, now)
        check = fence_stands(self._names, turn.user_id, fence)

        def attempt() -> None:
            try:
                self._tables.transact(check, settlement)
            except ConditionFailed as failed:
                conversation, row = failed.rows
                if conversation is not None or row is None:
                    raise Fenced from None

        until_it_holds(attempt, seconds=self._storage.contention_seconds, host=self._storage.host)

    def persist(self, reply: FrozenReply, *, now: datetime) -> Conversation:
        """Freeze the words: window, parts NEW and turns ANSWERED, in one transaction; return the conversation.

        The idempotency key is the first turn's sid; `token` tells the worker's own earlier write from another's. Raises
        `Fenced` if another worker opened the conversation since. A write of the window alone is merged with.
        """
        opened = reply.conversation
        fixed = [
            *(listing.new_part(self._names, part, reply.token, now) for part in reply.new_parts()),
            *(self._answered(reply, turn, now) for turn in reply.turns),
            *(self._settlement(turn, TurnState.SILENT, "superseded", now) for turn in reply.silent),
        ]
        current = [opened]

        def attempt() -> Conversation:
            previous = current[0]
            cut = window.cut(reply.after(previous, now), forgotten=previous.messages if reply.forget else ())
            transcript.carry_over(self._tables, self._names, previous, cut)
            try:
                self._tables.transact(rewrite(self._names, previous, cut.conversation, fence=opened.fence), *fixed)
            except ConditionFailed:
                if self._took_effect(reply):
                    return cut.conversation.written(previous)
                fresh = self._storage.get(opened.user_id)
                if fresh is None or fresh.fence != opened.fence:
                    raise Fenced from None
                current[0] = fresh  # another writer changed the window alone: merge, the words stay the same
                raise
            return cut.conversation.written(previous)

        return until_it_holds(attempt, seconds=self._storage.contention_seconds, host=self._storage.host)

    def note_error(self, turn: Turn, error: str) -> None:
        """Keep what went wrong with a turn, for the reader of its dead letter."""
        self._note(turn, error=error[:ERROR_CHARACTERS])

    def note_restored(self, turn: Turn, *, now: datetime) -> None:
        """Record that a text was put back into the inbox, which had lost it: it may be answered out of order."""
        self._note(turn, restored_at=now.isoformat())

    def note_duplicates(self, user_id: str, sid: str, times: int, *, now: datetime) -> None:
        """Count webhooks that brought a known text again. Without its row, nothing happens.

        A call that boto3 repeats after a lost answer counts twice; the count is for people to read.
        """
        update = Update(
            table=self._names.messages,
            key=row_key(user_id, in_key(sid)),
            set={"duplicate_at": now.isoformat()},
            add={"duplicates": times},
            when=Attr("user_id").exists(),
        )
        holds(self._tables, update)

    def _note(self, turn: Turn, **values: str) -> None:
        holds(self._tables, self._update(turn, values, when=Attr("user_id").exists()))

    def _took_effect(self, reply: FrozenReply) -> bool:
        """Return whether an earlier attempt of this very write took effect. Raises `Fenced` if another's did."""
        first = reply.turns[0]
        turn = self.get(first.user_id, first.sid)
        if turn is None or turn.state is TurnState.FILED:
            return False
        if turn.token == reply.token:
            return True
        raise Fenced("this turn was settled by another worker")

    def _answered(self, reply: FrozenReply, turn: Turn, now: datetime) -> Update:
        values = {
            "state": str(TurnState.ANSWERED),
            "token": reply.token,
            "turn": reply.turns[0].sid,
            "parts": len(reply.parts),
            **({"serious": True} if reply.serious else {}),
            **reply.facts,
            "answered_at": now.isoformat(),
            "fence": reply.conversation.fence,
        }
        sources = states.turn_sources(TurnState.ANSWERED)
        return replace(self._update(turn, values, when=Attr("state").is_in([*sources])), remove=listing.ATTRIBUTES)

    def _settlement(self, turn: Turn, state: TurnState, reason: str, now: datetime) -> Update:
        sources = states.turn_sources(state)
        values = {"state": str(state), "reason": reason, "settled_at": now.isoformat()}
        return listing.moved(self._update(turn, values, when=Attr("state").is_in([*sources])), state, now)

    def _update(self, turn: Turn, values: dict[str, Any], *, when: Any) -> Update:  # Any: a condition of boto3's
        key = row_key(turn.user_id, turn.key)
        return Update(table=self._names.messages, key=key, set=values, when=when)
