"""Define the storage interfaces: whole conversations, and turns that move one legal step at a time.

Every method is one atomic write; its docstring names the idempotency key and what a second call does.
`conversation.storage` implements them on DynamoDB and `conversation.memory` in memory. One contract test suite runs
on both.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final, Protocol

from conversation.journal import Entry, Part, PartState, Turn, TurnState, milliseconds
from conversation.models import Conversation, Memory, Message, Role

#: Transcript entries read at a time: some 300 bytes each, and DynamoDB returns a megabyte at most.
PAGE: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A page of a transcript, and the cursor of the next page (None: this is the last)."""

    entries: tuple[Entry, ...]
    cursor: str | None


class Conversations(Protocol):
    """The storage of conversations."""

    def get(self, user_id: str) -> Conversation | None:
        """Return the stored conversation, read consistently."""

    def append(self, user_id: str, message: Message, *, now: datetime) -> Conversation:
        """Append `message`; create the conversation if there is none.

        The idempotency key is `message.key`: a second call with the same key changes nothing.
        No message is lost, however many writers append at once.
        """

    def reset(self, user_id: str, *, now: datetime, wake: bool = True) -> Conversation:
        """Empty the window, and make the conversation active if `wake` is true. The journal keeps its record."""

    def page(self, user_id: str, *, cursor: str | None = None, limit: int = PAGE) -> Page:
        """Return one page of the full transcript, oldest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filed:
    """A text's row, and whether this call created it."""

    turn: Turn
    fresh: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The content of the one transaction that freezes a turn's reply."""

    #: As read under the caller's fence.
    conversation: Conversation
    #: The texts that the reply answers, in order; the reply carries the first one's sid.
    turns: Sequence[Turn]
    #: Texts that the same transaction settles without a reply of their own.
    silent: Sequence[Turn] = ()
    #: The reply, one string a part.
    parts: Sequence[str]
    #: The worker's own token: if the answer to its write is lost, it recognises the write by this.
    token: str
    #: The reply before it was cut into parts and a fixed line was added below; empty: the same as the parts.
    found: str = ""
    #: The person asked the cat to forget: the window starts empty.
    forget: bool = False
    #: This reply had no room for the introduction that a new person gets; the next reply adds it.
    unintroduced: bool = False
    #: Each part's expected segments and expected cost in millionths of a dollar; empty: not computed.
    expected: Sequence[tuple[int, int]] = ()
    #: Recorded with the reply: engine, model, milliseconds, tokens, what the model cost.
    facts: Mapping[str, Any] = field(default_factory=dict)  # Any: JSON

    @property
    def asked(self) -> tuple[Turn, ...]:
        """Return every text that this settles, in the order of arrival."""
        return tuple(sorted((*self.silent, *self.turns), key=lambda turn: turn.arrived))

    def new_parts(self) -> tuple[Part, ...]:
        """Return the reply's parts in state NEW, placed in the transcript behind the last text they answer."""
        first = self.turns[0]
        expected = self.expected or [(0, 0)] * len(self.parts)
        return tuple(
            Part(
                user_id=first.user_id,
                turn=first.sid,
                number=number,
                state=PartState.NEW,
                arrived=self.asked[-1].arrived,
                content=words,
                sender=first.to,
                messaging_service_sid=first.facts.get("messaging_service_sid"),
                expected=segments,
                cost=cost,
                facts={"engine": self.facts["engine"]} if "engine" in self.facts else {},
            )
            for number, (words, (segments, cost)) in enumerate(zip(self.parts, expected, strict=True))
        )

    def after(self, was: Conversation, now: datetime) -> Conversation:
        """Return the conversation `was` with this reply added; the window is not yet cut."""
        kept = was.forgetting(milliseconds(self.asked[-1].arrived)) if self.forget else was
        return replace(kept.saying(*self.said(now), at=now, found=self.found), unintroduced=self.unintroduced)

    def said(self, now: datetime) -> tuple[Message, ...]:
        """Return the messages that the window gains: the texts in order, then the reply."""
        return (
            *(
                Message(role=Role.USER, content=turn.content, timestamp=turn.arrived_at, key=turn.key)
                for turn in self.asked
            ),
            *(
                Message(role=Role.ASSISTANT, content=part.content, timestamp=now, key=part.key)
                for part in self.new_parts()
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """The outcome of an attempt, to be written on its part."""

    state: PartState
    sid: str | None = None
    status: str | None = None
    due: int = 0
    unknown_since: int = 0
    error_code: int | None = None
    reason: str | None = None
    segments: int = 0
    #: The evidence that settled an unknown outcome: `list`, or empty for the carrier's own answer.
    evidence: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """The carrier's report on one attempt: from a signed callback, or from its list."""

    attempt_id: str
    sid: str
    status: str
    error_code: int | None = None
    #: `callback` or `list`.
    evidence: str = "callback"


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """The segments and price that the carrier reports for one message."""

    segments: int
    price: str
    unit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Folding:
    """A memory that replaces the one that was read, and what it cost to make."""

    #: As read; if its `metadata` changed since, nothing is written.
    conversation: Conversation
    #: None: the attempt produced no memory, only costs.
    memory: Memory | None
    #: Recorded in the journal: engine, model, tokens, cost; empty: it cost nothing.
    facts: Mapping[str, Any] = field(default_factory=dict)  # Any: JSON


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """The cost of one model call or one message."""

    user_id: str
    at: datetime
    #: The engine that wrote the words; for a message, the engine whose words it carried.
    engine: str
    #: The cost, in millionths of a dollar.
    model: int = 0
    sms: int = 0
    replies: int = 0
    segments: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    #: The carrier itself has reported what it charged.
    reported: bool = False
    #: The turn, for a reply.
    turn: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CostPage:
    """One page of the journal's costs; it may be empty and not the last.

    `cursor` is where the next page starts; None: this is the last.
    """

    costs: tuple[Cost, ...]
    cursor: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsettled:
    """A row that the sparse index lists."""

    user_id: str
    key: str


class Journal(Protocol):
    """The storage of turns and parts. `now` is a time of Redis's clock, the one clock used for decisions."""

    def get(self, user_id: str) -> Conversation | None:
        """Return the stored conversation, read consistently."""

    def open(self, user_id: str, *, now: datetime) -> Conversation:
        """Raise the fence and return the conversation, in one write; create it if there is none.

        A second call raises the fence again: `persist` and `claim` of every earlier holder then raise `Fenced`.
        """

    def file(self, turn: Turn, *, now: datetime) -> Filed:
        """Record a text, keyed by its sid. If its row exists, return that row and change nothing."""

    def retry(self, turn: Turn) -> Turn:
        """Count one more try at a FILED or ANSWERED turn, before the work starts.

        A turn that was settled without a reply is returned unchanged.
        """

    def get_turn(self, user_id: str, sid: str) -> Turn | None:
        """Return a text's row, read consistently."""

    def settle(self, turn: Turn, state: TurnState, *, reason: str, now: datetime) -> None:
        """End a FILED turn without a reply. A second call changes nothing.

        Raises `IllegalMove` for a state that ends no turn.
        """

    def set_quiet(self, user_id: str, *, until_ms: int, fence: int, now: datetime) -> None:
        """Record until when, by Redis's clock, the person gets no reply. Raises `Fenced`."""

    def opt_out(self, user_id: str, *, now: datetime) -> None:
        """Record that the carrier reports the person as opted out.

        A worker that is serving the person sees it when it next opens the conversation.
        """

    def forget(self, user_id: str, *, through_ms: int, fence: int, now: datetime) -> Conversation:
        """Empty window and memory. A second call changes nothing more.

        No message that arrived up to `through_ms` is folded in again. Raises `Fenced`.
        """

    def set_active(self, user_id: str, *, active: bool, fence: int, now: datetime) -> None:
        """Record that the person opted out or in. Raises `Fenced`."""

    def persist(self, answer: Answer, *, now: datetime) -> Conversation:
        """Freeze the reply in one transaction: window, parts NEW, turns ANSWERED.

        The idempotency key is the first turn's sid; `token` distinguishes the caller's own earlier write from others.
        Raises `Fenced` if another worker opened the conversation since.
        If another writer changed only the window, the two changes are merged.
        """

    def parts(self, user_id: str, sid: str) -> tuple[Part, ...]:
        """Return the parts of the reply that carries `sid`, in order, read consistently."""

    def claim(self, part: Part, *, fence: int, attempt_id: str, now: datetime) -> Part:
        """Move a NEW or RETRY part to SENDING. The idempotency key is `attempt_id`.

        Raises `Fenced` if another worker opened the conversation since, or if the part can no longer be claimed.
        """

    def bind(self, part: Part, binding: Binding, *, now: datetime) -> Part:
        """Write an attempt's outcome, if the row still holds that attempt and the move is legal.

        If evidence or another attempt was faster, return the row unchanged.
        Raises `IllegalMove` for a move that is in no table.
        """

    def report(self, user_id: str, key: str, report: Reported, *, now: datetime) -> Part | None:
        """Record the carrier's report on an attempt; return None if no such part ever made that attempt.

        A status of no higher rank changes nothing. SENDING, RETRY, UNKNOWN and HELD become SENT.
        """

    def charge(self, part: Part, charge: Charge) -> None:
        """Record what the carrier charged for a part's message. A second call changes nothing."""

    def send_again(self, part: Part, *, now: datetime) -> bool:
        """Write a second try (`Part.second_try`), NEW. If one exists, return False and change nothing.

        The sparse index lists it from its due time on, so that the reconciler finds it when it may be sent.
        """

    def newest_parts(self, user_id: str, *, limit: int) -> tuple[Part, ...]:
        """Return the parts among the person's newest rows, newest first, read consistently.

        `limit` counts rows.
        """

    def known(self, texts: Sequence[tuple[str, str]]) -> frozenset[str]:
        """Return the sids of those texts (user id, sid) that have a row, read consistently."""

    def remember(self, folding: Folding, *, now: datetime) -> bool:
        """Replace the memory that was read.

        If another memory was written since, return False and record the cost alone.
        """

    def buried(self, mark: str, *, now: datetime) -> frozenset[str]:
        """Return the unexpired tombstones of an erased person's texts; empty if none was erased under `mark`.

        `mark` is the hash of the erased person's user id.
        The result contains `journal.STILL_STOPPED` if that person had sent STOP.
        """

    def set_reborn(self, user_id: str, *, fence: int, now: datetime) -> None:
        """Record that this person was erased once and has texted again, so that late old texts are recognised.

        Raises `Fenced`.
        """

    def lift_stop(self, mark: str) -> None:
        """Delete the opt-out tombstone of an erased person who sent START again."""

    def unmake(self, user_id: str, *, fence: int) -> bool:
        """Delete a conversation that was opened and never written to, not even by STOP.

        Return whether there is none now.
        """

    def talk(self, user_id: str, *, after_ms: int, before_ms: int, limit: int) -> tuple[Entry, ...]:
        """Return the newest transcript lines between `after_ms` and `before_ms`, both excluded, oldest first.

        If no time lies between the two, return none.
        """

    def costs(self, *, since: datetime, cursor: str | None = None) -> CostPage:
        """Return one page of the costs since `since`, in no order, by scanning every row."""

    def watermark(self, name: str) -> datetime | None:
        """Return up to when the carrier's list was read for `name`, by its clock; None before the first look."""

    def set_watermark(self, name: str, moment: datetime) -> None:
        """Record how far the carrier's list was read. A time before the recorded one changes nothing."""

    def note_error(self, turn: Turn, error: str) -> None:
        """Store what went wrong with a turn, for the operator who reads its dead letter."""

    def note_duplicates(self, user_id: str, sid: str, times: int, *, now: datetime) -> None:
        """Count webhooks that delivered a known text again, and record when the last was seen.

        If there is no such row, nothing happens.
        """

    def note_restored(self, turn: Turn, *, now: datetime) -> None:
        """Record that a text was put back into the inbox after the inbox lost it.

        Such a text may be answered out of order.
        """

    def dead_letters(self) -> Iterator[Unsettled]:
        """Yield dead turns and parts refused for good, oldest first, from the sparse index."""

    def revive(self, user_id: str, key: str, *, now: datetime) -> bool:
        """Bring a dead letter back: its turn FILED, its part RETRY and due, with no tries counted.

        If there is no such dead letter, return False and change nothing.
        """

    def discard(self, user_id: str, key: str, *, now: datetime) -> bool:
        """Discard a dead letter; its row stays.

        If there is no such dead letter, return False and change nothing.
        """

    def unsettled(self, bucket: str, *, before: datetime, limit: int) -> Iterator[Unsettled]:
        """Yield every row that has been unsettled since before `before`, oldest first, from the sparse index.

        It is read `limit` rows at a time. The index is a hint, never a proof of absence.
        """
