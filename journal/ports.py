"""What callers need of the journal, by subject; modules of the same names keep it on DynamoDB.

`now` is always a time of Redis's clock, the one clock used for decisions. Every call may raise `StoreAway`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from conversation.entries import Entry
from conversation.models import Conversation
from conversation.ports import OpenConversations
from journal.model import AsideRecord, Binding, Charge, Filed, FrozenReply, ReplyPart, Reported, RowName, Turn
from journal.spending import CostPage
from journal.states import TurnState
from runtime.isolation import BadItem


class Turns(Protocol):
    """The rows of texts (`journal.turns`)."""

    def get(self, user_id: str, sid: str) -> Turn | None:
        """Return a text's row, read consistently."""

    def file(self, turn: Turn, *, now: datetime) -> Filed:
        """Record a text, or return its row."""

    def retry(self, turn: Turn, *, due_ms: int = 0) -> Turn:
        """Count one more try, before the work starts."""

    def settle(self, turn: Turn, state: TurnState, *, reason: str, fence: int, now: datetime) -> None:
        """End a FILED turn without a reply. Raises `Fenced`."""

    def persist(self, reply: FrozenReply, *, now: datetime) -> Conversation:
        """Freeze the words of a reply. Raises `Fenced`."""

    def note_error(self, turn: Turn, error: str) -> None:
        """Keep what went wrong with a turn."""

    def note_restored(self, turn: Turn, *, now: datetime) -> None:
        """Record that a text was put back into the inbox, which had lost it."""

    def note_duplicates(self, user_id: str, sid: str, times: int, *, now: datetime) -> None:
        """Count webhooks that brought a known text again."""


class Outbox(Protocol):
    """The rows of reply parts (`journal.outbox`)."""

    def parts(self, user_id: str, sid: str) -> tuple[ReplyPart, ...]:
        """Return the parts of the reply that carries `sid`, in order."""

    def newest_parts(self, user_id: str, *, limit: int) -> tuple[ReplyPart, ...]:
        """Return the parts among a person's newest rows, newest first."""

    def claim(self, part: ReplyPart, *, fence: int, attempt_id: str, now: datetime) -> ReplyPart:
        """Move a NEW or RETRY part to SENDING. Raises `Fenced`."""

    def bind(self, part: ReplyPart, binding: Binding, *, now: datetime) -> ReplyPart:
        """Write an attempt's outcome. Raises `IllegalMove`."""

    def prove_unsent(self, user_id: str, key: str, *, attempt_id: str, fence: int, now: datetime) -> ReplyPart | None:
        """Make a part due again of which it is proven that the attempt created nothing."""

    def report(self, user_id: str, key: str, report: Reported, *, now: datetime) -> ReplyPart | None:
        """Write what the carrier reported of an attempt."""

    def charge(self, part: ReplyPart, charge: Charge) -> None:
        """Record what the carrier charged."""

    def send_again(self, part: ReplyPart, *, now: datetime) -> bool:
        """Write down a second try; False if there is one, or if the person was erased meanwhile."""


class Unsettled(Protocol):
    """What the reconciler reads (`journal.unsettled`)."""

    def rows(self, bucket: str, *, before: datetime | None = None, limit: int) -> Iterator[RowName]:
        """Return the rows of a bucket; with `before`, those that are unsettled since before that moment."""

    def known(self, texts: Sequence[tuple[str, str]]) -> frozenset[str]:
        """Return the sids of those texts that have a row."""

    def sent_parts(self, user_id: str, *, limit: int) -> dict[str, ReplyPart]:
        """Return the parts among a person's newest rows by their sids."""

    def note_look(self, part: ReplyPart, *, shown: bool, now: datetime) -> None:
        """Record whether the carrier's list may show a part of unknown outcome."""

    def drop_orphan(self, row: RowName) -> None:
        """Delete a second try that was not sent and whose turn is gone."""

    def watermark(self, name: str) -> datetime | None:
        """Return up to when the carrier's list was read."""

    def set_watermark(self, name: str, moment: datetime) -> None:
        """Record up to when the carrier's list was read."""

    def forget_watermark(self, name: str) -> None:
        """Delete that record."""


class Tombstones(Protocol):
    """What is kept of erased people (`journal.erasure`)."""

    def of(self, mark: str, *, now: datetime) -> frozenset[str]:
        """Return the marks of an erased person's texts, and `STILL_STOPPED` after a STOP."""

    def drop_late(self, user_id: str, sid: str) -> None:
        """Delete the row of an erased text that was filed after the erasure."""

    def lift_stop(self, mark: str) -> None:
        """Delete the opt-out tombstone."""


class Talk(Protocol):
    """What was said earlier (`conversation.transcript`)."""

    def between(self, user_id: str, *, after_ms: int, before_ms: int, limit: int) -> tuple[Entry, ...]:
        """Return the newest entries between two moments, oldest first."""


class Costs(Protocol):
    """What was spent (`journal.costs`)."""

    def page(self, *, since: datetime, cursor: str | None = None) -> CostPage:
        """Return what was spent since then, a page of the table at a time."""

    def record_memory(self, user_id: str, facts: Mapping[str, Any], *, now: datetime) -> None:
        """Record the cost of updating a memory; nothing if the person was erased meanwhile."""


class Aside(Protocol):
    """The list of items that could not be handled (`journal.set_aside`)."""

    def add(self, item: BadItem, *, now: datetime) -> None:
        """List an item, or record that it failed once more."""

    def all(self) -> Iterator[AsideRecord]:
        """Yield every item on the list."""

    def remove(self, kind: str, name: str) -> None:
        """Take an item off the list."""

    def remove_mended(self, kinds: frozenset[str], *, before: datetime) -> None:
        """Take the items of these kinds off the list that did not fail again since then."""


class Journal(Protocol):
    """The journal as a worker is handed it (`journal.store.Journal`)."""

    @property
    def conversations(self) -> OpenConversations:
        """Return the conversations, as a visit opens and changes them."""

    @property
    def turns(self) -> Turns:
        """Return the rows of texts."""

    @property
    def outbox(self) -> Outbox:
        """Return the rows of reply parts."""

    @property
    def unsettled(self) -> Unsettled:
        """Return what the reconciler reads."""

    @property
    def tombstones(self) -> Tombstones:
        """Return what is kept of erased people."""

    @property
    def transcript(self) -> Talk:
        """Return what was said earlier."""

    @property
    def costs(self) -> Costs:
        """Return what was spent."""

    @property
    def set_aside(self) -> Aside:
        """Return the list of items that could not be handled."""
