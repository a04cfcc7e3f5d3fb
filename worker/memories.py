"""Bring a person's memory up to date outside the reply path; no reply waits for it.

Nothing is lost if it fails. Messages that left the window stay in the journal until they are folded in. The next
visit sees that they are not, and enqueues another memory task.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

from cat import recall
from cat.engines.guarded import GuardedEngine
from conversation.entries import Entry
from conversation.models import Conversation, Message, in_milliseconds
from inbox.payloads import Who
from journal.ports import Journal
from journal.states import TurnState
from sms.addresses import address_of
from worker import telemetry
from worker.budget import Budget

#: How many people's memories a process folds at a time: its other threads answer texts.
AT_ONCE: Final = 2
#: Texts that got no reply are not part of the conversation.
_UNHEARD: Final = frozenset({TurnState.FILED, TurnState.SILENT, TurnState.STALE, TurnState.DEAD})


class Memories:
    """Fold messages into memories.

    `now` returns the time: Redis's in a worker.
    If `summarizer` is None, no summary is written, and only the facts that the person stated are kept.
    """

    def __init__(
        self,
        now: Callable[[], datetime],
        journal: Journal,
        budget: Budget,
        summarizer: GuardedEngine | None,
        terms: recall.Terms,
        *,
        telemetry: telemetry.Telemetry = telemetry.SILENT,
    ) -> None:
        self._now = now
        self._journal = journal
        self._budget = budget
        self._summarizer = summarizer
        self._terms = terms
        self._telemetry = telemetry
        self._places = threading.BoundedSemaphore(AT_ONCE)

    def refresh(self, who: Who, person: str) -> None:
        """Bring a memory up to date, unless `AT_ONCE` foldings are running: a later visit asks again."""
        if not self._places.acquire(blocking=False):
            return
        try:
            self.bring_up_to_date(who, person)
        finally:
            self._places.release()

    def bring_up_to_date(self, who: Who, person: str) -> None:
        """Fold in what has left a person's window. A second call finds nothing to do."""
        conversation = self._journal.conversations.get(person)
        now = self._now()
        if conversation is not None and recall.is_due(conversation, self._terms, now=now):
            self._telemetry.emit(telemetry.memory_folded(who, self._fold(who, conversation, now)))

    def _fold(self, who: Who, conversation: Conversation, now: datetime) -> str:
        """Fold, and return the outcome in a few words."""
        known = conversation.memory
        before = recall.horizon(conversation, self._terms, now=now)
        item = recall.unfolded(conversation, before=before)
        talk = self._talk(conversation, item, before)
        if not talk and not item:
            return "nothing to fold"
        summarizer = self._summarizer
        grant = None
        if summarizer is not None and talk:
            grant = self._budget.ask_model(who, recall.max_cost(summarizer.known, known, talk), now=now)
            if grant is None and len(talk) < recall.PATIENCE_MESSAGES:
                return "no money"
        folded = recall.fold(
            known,
            talk,
            through=in_milliseconds(before) - 1,
            summarizer=summarizer if grant else None,
            person=address_of(conversation.user_id),
        )
        try:
            if folded.facts:
                self._journal.costs.record_memory(conversation.user_id, folded.facts, now=now)
            memory = folded.memory
            written = memory is not None and self._journal.conversations.remember(conversation, memory)
        finally:
            # the summarizer is paid, whether or not the journal can record it
            if grant is not None:
                self._budget.settle(grant, model=int(folded.facts.get("model_cost", 0)), sms=0)
        if folded.memory is None:
            return "the summarizer is silent"
        return "folded" if written else "another process was faster"

    def _talk(self, conversation: Conversation, item: Sequence[Message], before: datetime) -> list[Entry]:
        """Return the messages between the last folding and the window, oldest first, without serious ones.

        They come from the journal, or from the conversation item if the journal does not hold them yet.
        """
        after_ms, before_ms = conversation.memory.through, in_milliseconds(before)
        rows = self._journal.transcript.between(
            conversation.user_id, after_ms=after_ms, before_ms=before_ms, limit=recall.FOLDED_AT_ONCE
        )
        entries = [row for row in rows if row.state not in _UNHEARD and not row.serious]
        # programs without a journal write to the item alone
        entries += [
            Entry(
                key="",
                role=message.role,
                content=message.content,
                arrived=f"{in_milliseconds(message.timestamp):013d}-",
            )
            for message in item
            if message.key is None and message.timestamp is not None and not message.serious
        ]
        return sorted(entries, key=lambda entry: entry.arrived)[-recall.FOLDED_AT_ONCE :]
