"""The journal as one value: what a worker or a command is handed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from conversation.fenced import FencedConversations
from conversation.storage import DynamoDBStorage
from conversation.transcript import Transcript
from journal.archive import Archive
from journal.costs import Costs
from journal.dead_letters import DeadLetters
from journal.erasure import Tombstones
from journal.held import Held
from journal.outbox import Outbox
from journal.set_aside import Aside
from journal.turns import Turns
from journal.unsettled import Unsettled


@dataclass(frozen=True, slots=True, kw_only=True)
class Journal:
    """Everything that stands in the two tables, by subject."""

    storage: DynamoDBStorage
    conversations: FencedConversations
    transcript: Transcript
    turns: Turns
    outbox: Outbox
    unsettled: Unsettled
    dead_letters: DeadLetters
    tombstones: Tombstones
    costs: Costs
    archive: Archive
    set_aside: Aside
    held: Held

    @classmethod
    def on(cls, storage: DynamoDBStorage) -> Self:
        """Return the journal in the tables of a storage."""
        return cls(
            storage=storage,
            conversations=FencedConversations(storage),
            transcript=Transcript(storage.tables, storage.names),
            turns=Turns(storage),
            outbox=Outbox(storage),
            unsettled=Unsettled(storage),
            dead_letters=DeadLetters(storage),
            tombstones=Tombstones(storage),
            costs=Costs(storage),
            archive=Archive(storage),
            set_aside=Aside(storage),
            held=Held(storage),
        )
