"""The person's memory brought up to date, away from the road: nobody waits for it, and nothing is lost when it fails.

What has left the window stays in the journal until it is folded in; whoever answers next sees that it still is not, and asks again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

from cat import memory
from cat.guarded import Guarded
from conversation.journal import Entry, TurnState
from conversation.models import Conversation, Message, in_milliseconds
from conversation.ports import Folding, Journal
from inbox.contract import Who
from inbox.ports import Inbox, moment
from worker.budget import Budget

#: A process folds for so many people at a time: its threads are for those who wait for a reply.
AT_ONCE: Final = 2
#: Texts that nobody answered are no talk.
_UNHEARD: Final = frozenset({TurnState.FILED, TurnState.SILENT, TurnState.STALE, TurnState.DEAD})


class Memories:
    """Folds talk into memories. `scribe` None: nobody writes summaries, and only what the person told is kept.

    `noted` is told what became of each.
    """

    def __init__(
        self,
        inbox: Inbox,
        journal: Journal,
        budget: Budget,
        scribe: Guarded | None,
        terms: memory.Terms,
        *,
        noted: Callable[[Who, str], None] = lambda *_: None,
    ) -> None:
        self._inbox = inbox
        self._journal = journal
        self._budget = budget
        self._scribe = scribe
        self._terms = terms
        self._noted = noted
        self._places = threading.BoundedSemaphore(AT_ONCE)

    def refresh(self, who: Who) -> None:
        """Fold in what has left this person's window; nothing happens where all the places are taken."""
        if not self._places.acquire(blocking=False):
            return
        try:
            person = self._inbox.person(who)
            if person is not None:
                self.bring_up_to_date(who, person)
        finally:
            self._places.release()

    def bring_up_to_date(self, who: Who, person: str) -> None:
        """The same for whoever has the address. A second call finds nothing to do."""
        conversation = self._journal.get(person)
        now = moment(self._inbox.now_ms())
        if conversation is not None and memory.is_due(conversation, self._terms, now=now):
            self._noted(who, self._fold(who, conversation, now))

    def _fold(self, who: Who, conversation: Conversation, now: datetime) -> str:
        """What became of it, in a few words."""
        known = conversation.memory
        before = memory.horizon(conversation, self._terms, now=now)
        item = memory.unfolded(conversation, before=before)
        talk = self._talk(conversation, item, before)
        if not talk and not item:
            return "nothing to fold"
        scribe = self._scribe
        grant = None
        if scribe is not None and talk:
            grant = self._budget.ask_model(who, memory.most_cost(scribe.known, known, talk), now=now)
            if grant is None and len(talk) < memory.PATIENCE_MESSAGES:
                return "no money"
        folded = memory.fold(known, talk, through=in_milliseconds(before) - 1, scribe=scribe if grant else None)
        folding = Folding(conversation=conversation, memory=folded.memory, facts=folded.facts)
        written = self._journal.remember(folding, now=now)
        if grant is not None:
            self._budget.settle(grant, model=int(folded.facts.get("model_cost", 0)), sms=0)
        if folded.memory is None:
            return "the scribe is silent"
        return "folded" if written else "somebody was faster"

    def _talk(self, conversation: Conversation, item: Sequence[Message], before: datetime) -> list[Entry]:
        """What was said since the last folding and before the window, oldest first: in the journal, or so far in the item alone."""
        after_ms, before_ms = conversation.memory.through, in_milliseconds(before)
        rows = self._journal.talk(
            conversation.user_id, after_ms=after_ms, before_ms=before_ms, limit=memory.FOLDED_AT_ONCE
        )
        said = [row for row in rows if row.state not in _UNHEARD]
        # programs without a journal write the item alone
        said += [
            Entry(
                key="",
                role=message.role,
                content=message.content,
                arrived=f"{in_milliseconds(message.timestamp):013d}-",
            )
            for message in item
            if message.key is None and message.timestamp is not None
        ]
        return sorted(said, key=lambda entry: entry.arrived)[-memory.FOLDED_AT_ONCE :]
