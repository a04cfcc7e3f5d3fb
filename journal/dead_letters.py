"""Dead letters: turns that could not be finished, and reply parts that were refused for good."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from boto3.dynamodb.conditions import Attr, Key

from conversation import schema
from conversation.contention import holds, wins
from conversation.storage import DynamoDBStorage
from conversation.table import READ_BATCH, Query, Tables, Update, each
from journal import listing, states
from journal.model import RowName, in_key, row_key
from journal.states import PartState, TurnState
from journal.unsettled import Unsettled


class DeadLetters:
    """Dead letters in the sparse index. Only an operator moves them."""

    def __init__(self, storage: DynamoDBStorage) -> None:
        self._tables = storage.tables
        self._names = storage.names
        self._unsettled = Unsettled(storage)

    def list(self) -> Iterator[RowName]:
        """Return every dead letter, oldest first."""
        return self._unsettled.rows(states.DEAD_LETTERS, limit=READ_BATCH)

    def revive(self, row: RowName, *, now: datetime) -> bool:
        """Bring a dead letter back: its turn FILED, its part RETRY and due, with no tries counted.

        False, and nothing changed, if it is not a dead letter any more.
        """
        if row.is_turn:
            state: TurnState | PartState = TurnState.FILED
            sources: Sequence[TurnState | PartState] = states.turn_sources(TurnState.FILED, states.OPERATOR_TURN_MOVES)
            counters = {"tries": 0}
        else:
            state = PartState.RETRY
            sources = states.part_sources(PartState.RETRY, states.OPERATOR_PART_MOVES)
            counters = {"due": 0}
        update = Update(
            table=self._names.messages,
            key=row.as_key,
            set={
                "state": str(state),
                **listing.listed(row.user_id, now),
                "revived_at": now.isoformat(),
                **counters,
            },
            remove=("reason",),
            when=Attr("state").is_in([*sources]) & Attr("unsettled").eq(states.DEAD_LETTERS),
        )
        if not wins(self._tables, update):
            return False
        if row.is_part:
            clear_tries(self._tables, self._names, row)
        keep(self._tables, self._names, row, now)
        return True

    def discard(self, row: RowName, *, now: datetime) -> bool:
        """Take a dead letter off the list; its row stays. False, and nothing changed, if it is none."""
        before, after = (TurnState.DEAD, TurnState.SILENT) if row.is_turn else (PartState.FAILED, PartState.FAILED)
        update = Update(
            table=self._names.messages,
            key=row.as_key,
            set={"state": str(after), "discarded_at": now.isoformat()},
            remove=listing.ATTRIBUTES,
            when=Attr("state").eq(str(before)) & Attr("unsettled").eq(states.DEAD_LETTERS),
        )
        return wins(self._tables, update)


def clear_tries(tables: Tables, names: schema.Names, part: RowName) -> None:
    """Forget the tries and the error of the turn that a part belongs to, which is sent again."""
    turn = Update(
        table=names.messages,
        key=row_key(part.user_id, in_key(part.sid)),
        set={"tries": 0},
        remove=("error",),
        when=Attr("user_id").exists(),
    )
    holds(tables, turn)


def keep(tables: Tables, names: schema.Names, row: RowName, now: datetime) -> None:
    """Let what a reply needs that is sent again expire no sooner than if it were written now.

    Otherwise its rows may be deleted while its text waits, and what was sent already is sent again.
    """
    expiry = names.expiry(now)
    if not expiry:
        return
    query = Query(
        table=names.messages,
        where=Key("user_id").eq(row.user_id) & Key("message_key").begins_with(f"out#{row.sid}#"),
        attributes=("user_id", "message_key"),
    )
    parts = [row_key(found["user_id"], found["message_key"]) for found in each(tables, query)]
    rows = [(names.messages, key) for key in (row_key(row.user_id, in_key(row.sid)), *parts)]
    for table, key in ((names.conversations, {"user_id": row.user_id}), *rows):
        # what never expires, such as a STOP, goes on so
        holds(tables, Update(table=table, key=key, set=dict(expiry), when=Attr(schema.EXPIRES).exists()))
