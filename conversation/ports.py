"""What the conversation package promises: conversations kept whole, and turns moved one legal step at a time.

Every verb is one atomic write, named with its idempotency key and what a second call does. `conversation.storage` keeps these
promises on DynamoDB, `conversation.memory` in memory; one contract suite runs on both.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final, Protocol

from conversation.journal import Entry, Part, PartState, Turn, TurnState, milliseconds
from conversation.models import Conversation, Memory, Message, Role

#: Entries of a transcript that are read together: some 300 bytes each, and DynamoDB answers with a megabyte at most.
PAGE: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A stretch of a transcript, and where the next one begins (None: this was the last)."""

    entries: tuple[Entry, ...]
    cursor: str | None


class Conversations(Protocol):
    """Where conversations are kept."""

    def get(self, user_id: str) -> Conversation | None:
        """The conversation as it stands, read consistently."""

    def append(self, user_id: str, message: Message, *, now: datetime) -> Conversation:
        """Add `message` after all that was said; create the conversation where there is none.

        The idempotency key is `message.key`: a second call with the same key changes nothing. However many writers append
        at once, no message is lost.
        """

    def reset(self, user_id: str, *, now: datetime, wake: bool = True) -> Conversation:
        """Empty the window and wake the conversation up, unless it is to sleep on; the journal keeps its record."""

    def page(self, user_id: str, *, cursor: str | None = None, limit: int = PAGE) -> Page:
        """The full transcript, oldest first, a page at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filed:
    """The row of a text, and whether this call made it."""

    turn: Turn
    fresh: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one transaction writes when a turn's words are frozen."""

    #: As it was read under my fence.
    conversation: Conversation
    #: The texts that the reply answers, in order; the reply bears the first one's sid.
    turns: Sequence[Turn]
    #: Texts that are settled in the same moment without a reply of their own.
    silent: Sequence[Turn] = ()
    #: The reply, one string a part.
    parts: Sequence[str]
    #: The worker's own mark, to recognise its write when the answer to it got lost.
    token: str
    #: The reply before it was cut into parts and a line of the house was put below; empty: as the parts say.
    found: str = ""
    #: The person asked to forget: the window begins anew.
    forget: bool = False
    #: The next reply owes a stranger the line that this one had no room for.
    unintroduced: bool = False
    #: How many segments each part is expected to take, and what they cost, in millionths of a dollar; empty: nobody has looked.
    expected: Sequence[tuple[int, int]] = ()
    #: Recorded with the reply: engine, model, milliseconds, tokens, what the model cost.
    facts: Mapping[str, Any] = field(default_factory=dict)  # Any: JSON

    @property
    def asked(self) -> tuple[Turn, ...]:
        """Every text that this settles, in the order of arrival."""
        return tuple(sorted((*self.silent, *self.turns), key=lambda turn: turn.arrived))

    def new_parts(self) -> tuple[Part, ...]:
        """The reply's parts as they are born; they stand in the transcript behind the last text that they answer."""
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
        """The conversation once this was said; the window is not yet cut."""
        kept = was.forgetting(milliseconds(self.asked[-1].arrived)) if self.forget else was
        return replace(kept.saying(*self.said(now), at=now, found=self.found), unintroduced=self.unintroduced)

    def said(self, now: datetime) -> tuple[Message, ...]:
        """What the window gains: the texts in order, then the reply."""
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
    """What is written on a part when its attempt has an outcome."""

    state: PartState
    sid: str | None = None
    status: str | None = None
    due: int = 0
    unknown_since: int = 0
    error_code: int | None = None
    reason: str | None = None
    segments: int = 0
    #: What settled a doubt: `list`, or empty for the carrier's own answer.
    evidence: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """What the carrier said of one attempt: in a signed callback, or on its list."""

    attempt_id: str
    sid: str
    status: str
    error_code: int | None = None
    #: `callback` or `list`.
    evidence: str = "callback"


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """What the carrier counted and charged for one message."""

    segments: int
    price: str
    unit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Folding:
    """A memory that takes the place of the one that was read, and what it cost to make it."""

    #: As it was read; where its `metadata` changed since, nothing is written.
    conversation: Conversation
    #: None: nothing came of it but costs.
    memory: Memory | None
    #: Recorded in the journal: engine, model, tokens, cost; empty: it cost nothing.
    facts: Mapping[str, Any] = field(default_factory=dict)  # Any: JSON


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one thing cost: a model's work, or a message."""

    user_id: str
    at: datetime
    #: Who found the words; for a message, whose words it carried.
    engine: str
    #: What it cost, in millionths of a dollar.
    model: int = 0
    sms: int = 0
    replies: int = 0
    segments: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    #: The carrier itself has said what it charged.
    reported: bool = False
    #: The turn, for a reply.
    turn: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CostPage:
    """What a stretch of the journal cost; it may be empty and not the last. `cursor`: where the next one begins; None: this was the last."""

    costs: tuple[Cost, ...]
    cursor: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsettled:
    """A row that the sparse index lists."""

    user_id: str
    key: str


class Journal(Protocol):
    """Where turns and parts are kept. `now` is a time of Redis's clock, the one clock that judges."""

    def get(self, user_id: str) -> Conversation | None:
        """The conversation as it stands, read consistently."""

    def open(self, user_id: str, *, now: datetime) -> Conversation:
        """Raise the fence and return the conversation, in one write; create it where there is none.

        A second call raises the fence again: every earlier holder's `persist` and `claim` then fail with `Fenced`.
        """

    def file(self, turn: Turn, *, now: datetime) -> Filed:
        """Record a text, keyed by its sid. If it is recorded already, return that row and change nothing."""

    def retry(self, turn: Turn) -> Turn:
        """Count one more try at a FILED or ANSWERED turn, before the work. Settled without a reply: returned as it is."""

    def get_turn(self, user_id: str, sid: str) -> Turn | None:
        """A text's row, read consistently."""

    def settle(self, turn: Turn, state: TurnState, *, reason: str, now: datetime) -> None:
        """End a FILED turn without a reply. A second call changes nothing. Raises `IllegalMove` for a state that ends no turn."""

    def set_quiet(self, user_id: str, *, until_ms: int, fence: int, now: datetime) -> None:
        """Note until when, by Redis's clock, the person gets no reply. Raises `Fenced`."""

    def opt_out(self, user_id: str, *, now: datetime) -> None:
        """Note that the carrier says that the person opted out; whoever serves sees it when it opens the conversation next."""

    def forget(self, user_id: str, *, through_ms: int, fence: int, now: datetime) -> Conversation:
        """Empty window and memory; nothing that arrived up to `through_ms` is folded in again. A second call changes nothing more.

        Raises `Fenced`.
        """

    def set_active(self, user_id: str, *, active: bool, fence: int, now: datetime) -> None:
        """Note that the person opted out or in. Raises `Fenced`."""

    def persist(self, answer: Answer, *, now: datetime) -> Conversation:
        """Freeze the words: window, parts NEW, turns ANSWERED, in one transaction.

        The idempotency key is the first turn's sid; `token` tells my own earlier write from another's. Raises `Fenced` when
        another worker opened the conversation since. Another writer of the window alone is merged with.
        """

    def parts(self, user_id: str, sid: str) -> tuple[Part, ...]:
        """The parts of the reply that bears `sid`, in order, read consistently."""

    def claim(self, part: Part, *, fence: int, attempt_id: str, now: datetime) -> Part:
        """Move a NEW or RETRY part to SENDING. The idempotency key is `attempt_id`.

        Raises `Fenced` when the conversation was opened by another since, or the part is no longer to be had.
        """

    def bind(self, part: Part, binding: Binding, *, now: datetime) -> Part:
        """Write an attempt's outcome, if that attempt still stands in the row and the move is legal.

        Where evidence or another attempt was faster, the row is returned as it is. Raises `IllegalMove` for a move that stands in no table.
        """

    def report(self, user_id: str, key: str, report: Reported, *, now: datetime) -> Part | None:
        """Note what the carrier said of an attempt. A status of no higher rank changes nothing; SENDING, RETRY, UNKNOWN and HELD become SENT.

        None where no such part ever made such an attempt.
        """

    def charge(self, part: Part, charge: Charge) -> None:
        """Note what the carrier charged for a part's message. A second call changes nothing."""

    def send_again(self, part: Part, *, now: datetime) -> bool:
        """Write down a second try (`Part.second_try`), NEW. False, and nothing changed, where there is one already.

        The sparse index lists it from its due time on, so that whoever looks there finds it when it may be sent.
        """

    def newest_parts(self, user_id: str, *, limit: int) -> tuple[Part, ...]:
        """The parts among the person's newest rows, newest first, read consistently; `limit` is in rows."""

    def known(self, texts: Sequence[tuple[str, str]]) -> frozenset[str]:
        """The sids of those texts (user id, sid) that have a row, read consistently."""

    def remember(self, folding: Folding, *, now: datetime) -> bool:
        """Put a memory in the place of the one that was read. False, and nothing changed but the cost, where another was written since."""

    def buried(self, mark: str, *, now: datetime) -> frozenset[str]:
        """Marks of the texts of somebody who was forgotten, for as long as they are kept, and `journal.STILL_STOPPED` where he had said STOP.

        Empty: nobody of that mark was forgotten.
        """

    def set_reborn(self, user_id: str, *, fence: int, now: datetime) -> None:
        """Note that this person was forgotten once and texts anew: old texts of his may still come. Raises `Fenced`."""

    def lift_stop(self, mark: str) -> None:
        """Forget that somebody who was forgotten had said STOP: he has said START since."""

    def unmake(self, user_id: str, *, fence: int) -> bool:
        """Delete a conversation that was only opened, in which nothing was ever said, not even STOP; whether there is none now."""

    def talk(self, user_id: str, *, after_ms: int, before_ms: int, limit: int) -> tuple[Entry, ...]:
        """The newest lines of the transcript, oldest first, that arrived after one moment and before another; none where that is no time."""

    def costs(self, *, since: datetime, cursor: str | None = None) -> CostPage:
        """What was spent since then, in no order, by looking at every row, a page of the table at a time."""

    def watermark(self, name: str) -> datetime | None:
        """Up to when, by the carrier's clock, its list was looked through for `name`; None before the first look."""

    def set_watermark(self, name: str, moment: datetime) -> None:
        """Note how far the carrier's list was looked through. An earlier time than the one noted changes nothing."""

    def note_error(self, turn: Turn, error: str) -> None:
        """Keep what went wrong with a turn, for whoever reads its dead letter."""

    def note_duplicates(self, user_id: str, sid: str, times: int, *, now: datetime) -> None:
        """Count webhooks that brought a known text again, and when the last was seen. Where there is no such row, nothing happens."""

    def note_restored(self, turn: Turn, *, now: datetime) -> None:
        """Note that a text was put back into the inbox, which had lost it: from order it is excused."""

    def dead_letters(self) -> Iterator[Unsettled]:
        """Dead turns and parts refused for good, oldest first, from the sparse index."""

    def revive(self, user_id: str, key: str, *, now: datetime) -> bool:
        """Bring a dead letter back: its turn FILED, its part RETRY and due, with no tries counted. False, and nothing changed, where it is none."""

    def discard(self, user_id: str, key: str, *, now: datetime) -> bool:
        """Let a dead letter rest; its row stays. False, and nothing changed, where it is none."""

    def unsettled(self, bucket: str, *, before: datetime, limit: int) -> Iterator[Unsettled]:
        """Every row not settled for some time, oldest first, from the sparse index, read `limit` at a time: a hint, never a proof of absence."""
