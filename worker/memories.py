"""The person's memory brought up to date, away from the road: nobody waits for it, and nothing is lost when it fails.

What has left the window stays in the journal until it is folded in; whoever answers next sees that it still is not, and asks again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cat import memory
from cat.catalogue import Catalogue
from cat.ports import Scribe
from conversation.journal import TurnState
from conversation.models import Conversation, in_milliseconds
from conversation.ports import Folding, Journal
from inbox.contract import Who
from inbox.ports import Inbox, moment
from worker.budget import Budget

#: A process folds for so many people at a time: its threads are for those who wait for a reply.
AT_ONCE: Final = 2
#: Texts that nobody answered are no talk.
_UNHEARD: Final = frozenset({TurnState.FILED, TurnState.SILENT, TurnState.STALE, TurnState.DEAD})


@dataclass(frozen=True, slots=True, kw_only=True)
class Writing:
    """Who writes summaries: a model, at its price; None: nobody, and only what the person told is kept."""

    scribe: Scribe | None
    catalogue: Catalogue


class Memories:
    """Folds talk into memories. `noted` is told what became of each."""

    def __init__(
        self,
        inbox: Inbox,
        journal: Journal,
        budget: Budget,
        writing: Writing,
        terms: memory.Terms,
        *,
        noted: Callable[[Who, str], None] = lambda *_: None,
    ) -> None:
        self._inbox = inbox
        self._journal = journal
        self._budget = budget
        self._scribe = writing.scribe
        self._model = writing.catalogue.of(writing.scribe.name.partition(":")[2] if writing.scribe else "")
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
        through = in_milliseconds(memory.horizon(conversation, self._terms, now=now)) - 1
        rows = self._journal.talk(
            conversation.user_id, after_ms=known.through, before_ms=through + 1, limit=memory.FOLDED_AT_ONCE
        )
        talk = [row for row in rows if row.state not in _UNHEARD]
        most = memory.most_cost(self._model, known, talk) if self._scribe else 0
        grant = self._budget.ask_model(who, most, now=now)
        if grant is None:
            return "no money"
        folded = memory.fold(known, talk, through=through, scribe=self._scribe)
        facts = dict(folded.facts) if folded else {}
        cost = 0
        if folded and folded.facts:
            cost = self._model.cost(int(facts.get("tokens_in", 0)), int(facts.get("tokens_out", 0)))
            facts["model_cost"] = cost
        self._budget.settle(grant, model=cost, sms=0)
        if folded is None:
            return "the scribe is silent"
        folding = Folding(conversation=conversation, memory=folded.memory, facts=facts)
        return "folded" if self._journal.remember(folding, now=now) else "somebody was faster"
