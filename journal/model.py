"""Define the rows of the journal: turns and reply parts, and what is written on them.

A turn is one inbound text (`in#<MessageSid>`). A reply part is one message of its reply (`out#<MessageSid>#<n>`). If
the carrier accepted a part and then failed it, it may have one sibling (`out#<MessageSid>#<n>r`), a second try with the
same words.

A column of the table is a field of `Turn` or `ReplyPart`, by the same name; `journal.codec` derives the rows from the
fields. Attributes without a field are kept in `facts`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from typing import Any, Final

from conversation.entries import accepted_at, arrived, milliseconds
from conversation.models import Conversation, Message, Role, in_milliseconds
from journal.states import PartState, TurnState
from runtime.host import REAL, Host
from runtime.isolation import BadItem

#: The sparse index is spread over this many partitions, so that no single one takes every write.
BUCKETS: Final = 16
ALL_BUCKETS: Final = tuple(f"{number:02d}" for number in range(BUCKETS))
#: The engine that is recorded for a budget's last line, which no engine wrote.
LAST_LINE: Final = "last line"
#: The sid of a turn that records an inbox entry which cannot be read begins with this.
UNREADABLE: Final = "unreadable-"

#: The tombstone of an erased person who had sent STOP.
STILL_STOPPED: Final = "stop"

#: Marks a part's second try, in its key and in its attempt ids.
_AGAIN: Final = "r"
_ATTEMPT: Final = re.compile(r"\A([^-]+)-([0-9]{1,4})(r?)-.+")
#: Fields with this metadata belong to one attempt at a part, and not to its second try.
_OF_AN_ATTEMPT: Final = {"attempt": True}


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One text's row in the journal."""

    #: The person's address, such as `+15551230001` or `+15551230001/+15005550006`.
    user_id: str
    #: Twilio's `MessageSid` of the text.
    sid: str
    #: The state of the text.
    state: TurnState
    #: The inbox's stream id, zero-padded so that text order is arrival order: `1732312345678-000007`.
    arrived: str
    #: The words of the text.
    content: str
    #: Which of our numbers was texted.
    to: str
    #: How many visits have started on it.
    tries: int = 1
    #: When the next try begins, in milliseconds of Redis's clock, because several workers died with it in hand.
    due: int = 0
    #: The text whose sid the reply carries; several texts may share one reply.
    turn: str | None = None
    #: How many parts its reply has.
    parts: int = 0
    #: Set by the worker that froze the words: if the answer to its write is lost, it recognizes the write by this.
    token: str | None = None
    #: Why it got no reply, such as `opted out`.
    reason: str | None = None
    #: The messaging service that chooses the sender of the reply.
    messaging_service_sid: str | None = None
    #: What Twilio itself made of a text with a keyword, such as `STOP`.
    opt_out_type: str | None = None
    #: The reconciler found it on the carrier's list: its webhook never arrived.
    repaired: bool = False
    #: How many seconds after it was sent the reconciler found it; `arrived` is when it was found.
    found_after: int = 0
    #: It was answered while the person was in danger: it is neither played with nor folded into the memory.
    serious: bool = False
    #: When Redis lost it and it was put back into the inbox; it may be answered behind its successors.
    restored_at: str | None = None
    #: When an operator replayed it, by Redis's clock.
    revived_at: str | None = None
    #: The traceback of the last try that failed.
    error: str | None = None
    #: Everything else in the row: media, times, engine.
    facts: Mapping[str, Any] = field(default_factory=dict)  # Any: DynamoDB's values

    @property
    def key(self) -> str:
        """Return the row's key."""
        return in_key(self.sid)

    @property
    def arrived_at(self) -> datetime:
        """Return when the text was accepted, by Redis's clock."""
        return accepted_at(self.arrived)

    @property
    def arrived_ms(self) -> int:
        """Return the same in milliseconds."""
        return milliseconds(self.arrived)

    @property
    def sent_ms(self) -> int:
        """Return when it was sent, as far as it is known, in milliseconds of Redis's clock."""
        return self.arrived_ms - self.found_after * 1000

    @property
    def born_ms(self) -> int:
        """Return from when its age counts, in milliseconds of Redis's clock: a replay begins it anew."""
        return max(self.sent_ms, _in_ms(self.revived_at))

    @property
    def reply_sid(self) -> str:
        """Return the sid that the keys of its reply's parts carry."""
        return self.turn or self.sid

    @property
    def is_unreadable(self) -> bool:
        """Return whether this records an inbox entry that cannot be read."""
        return self.sid.startswith(UNREADABLE)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyPart:
    """One message of a reply."""

    #: The person's address, as on the text.
    user_id: str
    #: The sid of the first text that the reply answers.
    turn: str
    #: Its place in the reply, from 0.
    number: int
    #: The state of the part.
    state: PartState
    #: The place in the transcript: `arrived` of the last text that the reply answers.
    arrived: str
    #: The words of the part; they never change.
    content: str
    #: Which of our numbers it leaves from, such as `+15005550006`.
    sender: str
    #: The messaging service that chooses the sender.
    messaging_service_sid: str | None = None
    #: The engine that wrote the words: what the message costs is booked under its name.
    engine: str | None = None
    #: It answers a person in danger: neither silence after a loop nor its age keeps it from being sent.
    serious: bool = False
    #: Twilio's id, once there is one.
    sid: str | None = field(default=None, metadata=_OF_AN_ATTEMPT)
    #: The latest attempt, such as `SM1-0-9f86d081884c7d65`.
    attempt_id: str | None = field(default=None, metadata=_OF_AN_ATTEMPT)
    #: How many attempts were claimed.
    tries: int = field(default=0, metadata=_OF_AN_ATTEMPT)
    #: A RETRY is not tried again before this time of Redis's clock, in milliseconds.
    due: int = field(default=0, metadata=_OF_AN_ATTEMPT)
    #: When it became UNKNOWN, in milliseconds of Redis's clock.
    unknown_since: int = field(default=0, metadata=_OF_AN_ATTEMPT)
    #: The fence under which the latest attempt was claimed.
    fence: int = field(default=0, metadata=_OF_AN_ATTEMPT)
    #: When its last attempt was claimed, by Redis's clock.
    claimed_at: str | None = field(default=None, metadata=_OF_AN_ATTEMPT)
    #: The attempt of which a dead process's mark proved that nothing was created.
    proven_unsent: str | None = field(default=None, metadata=_OF_AN_ATTEMPT)
    #: When the carrier's list was read whole and did not show it, newest last; none before `unknown_since` counts.
    looks: Sequence[str] = field(default=(), metadata=_OF_AN_ATTEMPT)
    #: When the list last showed a message that may be this one: absence never counts again.
    perhaps_listed_at: str | None = field(default=None, metadata=_OF_AN_ATTEMPT)
    #: The attempt that was sent again because the list did not show it (`UNKNOWN_POLICY=resend`).
    resent: str | None = field(default=None, metadata=_OF_AN_ATTEMPT)
    #: When an operator replayed it, by Redis's clock.
    revived_at: str | None = field(default=None, metadata=_OF_AN_ATTEMPT)
    #: What Twilio last reported, such as `delivered`; statuses are ranked, and the rank never falls.
    status: str | None = field(default=None, metadata=_OF_AN_ATTEMPT)
    #: Twilio's code of the latest failure.
    error_code: int | None = field(default=None, metadata=_OF_AN_ATTEMPT)
    #: Why it is in its state, if that is not a success.
    reason: str | None = field(default=None, metadata=_OF_AN_ATTEMPT)
    #: This is the second try at a part that the carrier accepted and then failed.
    again: bool = False
    #: How many segments the carrier counted; 0 until it reports them.
    segments: int = field(default=0, metadata=_OF_AN_ATTEMPT)
    #: What the carrier charged, in `price_unit`, as it writes it (`-0.00750`); None until it reports it.
    price: str | None = field(default=None, metadata=_OF_AN_ATTEMPT)
    #: The currency of `price`, such as `USD`.
    price_unit: str | None = field(default=None, metadata=_OF_AN_ATTEMPT)
    #: The expected number of segments.
    expected: int = 0
    #: What these segments are expected to cost, in millionths of a US dollar.
    cost: int = 0
    facts: Mapping[str, Any] = field(default_factory=dict, metadata=_OF_AN_ATTEMPT)  # Any: DynamoDB's values

    @property
    def key(self) -> str:
        """Return the row's key."""
        return out_key(self.turn, self.number, again=self.again)

    @property
    def arrived_ms(self) -> int:
        """Return when the last text that it answers was accepted, in milliseconds of Redis's clock."""
        return milliseconds(self.arrived)

    @property
    def arrived_at(self) -> datetime:
        """Return when the text that it answers was accepted, by Redis's clock."""
        return accepted_at(self.arrived)

    @property
    def born_ms(self) -> int:
        """Return from when its age counts, in milliseconds of Redis's clock: a replay begins it anew."""
        return max(self.arrived_ms, _in_ms(self.revived_at))

    @property
    def may_go_twice(self) -> bool:
        """Return whether an attempt in doubt was followed by another one, by policy or by an operator's word."""
        return self.resent is not None or self.facts.get("word") == "resend"

    def was_created_by(self, attempt_id: str) -> bool:
        """Return whether the carrier has answered or reported that this attempt created a message."""
        return any(event.get("attempt") == attempt_id and event.get("sid") for event in self.facts.get("log", ()))

    def second_try(self, *, due: int, fresh: bool = False) -> ReplyPart:
        """Return the sibling part that tries the same words again, from `due` on.

        `due` is in milliseconds of Redis's clock. `fresh`: its age counts from `due`, because it must wait that long.
        Otherwise it is as old as the text that it answers.
        """
        words = {name: getattr(self, name) for name in _WORDS}
        placed = arrived(str(due)) if fresh else self.arrived
        return ReplyPart(**{**words, "state": PartState.NEW, "arrived": placed, "again": True}, due=due)


def _in_ms(at: str | None) -> int:
    return in_milliseconds(datetime.fromisoformat(at)) if at else 0


#: The fields that a second try shares with the first.
_WORDS: Final = tuple(column.name for column in fields(ReplyPart) if not column.metadata.get("attempt"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Filed:
    """A text's row, and whether this call created it."""

    turn: Turn
    fresh: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FrozenReply:
    """The content of the one transaction that freezes a turn's reply."""

    #: As read under the caller's fence.
    conversation: Conversation
    #: The texts that the reply answers, in order; the reply carries the first one's sid.
    turns: Sequence[Turn]
    #: Texts that the same transaction settles without a reply of their own.
    silent: Sequence[Turn] = ()
    #: The reply, one string a part.
    parts: Sequence[str]
    #: The worker's own token: if the answer to its write is lost, it recognizes the write by this.
    token: str
    #: The reply before it was cut into parts and a fixed line was added below; empty: the same as the parts.
    reply_text: str = ""
    #: Digests of the offline poet's lines in it.
    frames: Sequence[str] = ()
    #: The person asked the cat to forget: the window starts empty.
    forget: bool = False
    #: This reply had no room for the introduction that a new person gets; the next reply adds it.
    unintroduced: bool = False
    #: It answers a person in danger, and what is kept of the danger; None: what was kept stays.
    serious: bool = False
    danger: str | None = None
    #: Each part's expected segments and expected cost in millionths of a dollar; empty: not computed.
    expected: Sequence[tuple[int, int]] = ()
    #: Recorded with the reply: engine, model, milliseconds, tokens, what the model cost.
    facts: Mapping[str, Any] = field(default_factory=dict)  # Any: JSON

    @property
    def asked(self) -> tuple[Turn, ...]:
        """Return every text that this settles, in the order of arrival."""
        return tuple(sorted((*self.silent, *self.turns), key=lambda turn: turn.arrived))

    def new_parts(self) -> tuple[ReplyPart, ...]:
        """Return the reply's parts in state NEW, placed in the transcript behind the last text they answer."""
        first = self.turns[0]
        expected = self.expected or [(0, 0)] * len(self.parts)
        return tuple(
            ReplyPart(
                user_id=first.user_id,
                turn=first.sid,
                number=number,
                state=PartState.NEW,
                arrived=self.asked[-1].arrived,
                content=words,
                sender=first.to,
                messaging_service_sid=first.messaging_service_sid,
                engine=self.facts.get("engine"),
                serious=self.serious,
                revived_at=first.revived_at,
                expected=segments,
                cost=cost,
            )
            for number, (words, (segments, cost)) in enumerate(zip(self.parts, expected, strict=True))
        )

    def after(self, previous: Conversation, now: datetime) -> Conversation:
        """Return the conversation `previous` with this reply added; the window is not yet cut."""
        kept = previous.forgetting(self.asked[-1].arrived_ms) if self.forget else previous
        return replace(
            kept.saying(*self._messages(now), at=now, reply_text=self.reply_text, frames=self.frames),
            unintroduced=self.unintroduced,
            danger=kept.danger if self.danger is None else self.danger,
        )

    def _messages(self, now: datetime) -> tuple[Message, ...]:
        """Return the messages that the window gains: the texts in order, then the reply."""
        texts = (
            Message(role=Role.USER, content=turn.content, timestamp=turn.arrived_at, key=turn.key, serious=self.serious)
            for turn in self.asked
        )
        parts = (
            Message(role=Role.ASSISTANT, content=part.content, timestamp=now, key=part.key, serious=self.serious)
            for part in self.new_parts()
        )
        return (*texts, *parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """The outcome of an attempt, to be written on its part. A field is written if it has a value."""

    state: PartState
    sid: str | None = None
    #: Written only if no status was reported yet.
    status: str | None = None
    due: int = 0
    unknown_since: int = 0
    error_code: int | None = None
    reason: str | None = None
    segments: int = 0
    #: The attempt that is sent again although it may have been sent.
    resent: str | None = None
    #: What settled an unknown outcome: `list`, `absence`, or empty for the carrier's own answer. Logged only.
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
class RowName:
    """The place of a row in the journal: whose it is, and its key."""

    user_id: str
    key: str

    @property
    def as_key(self) -> dict[str, str]:
        """Return the row's key in the messages table."""
        return row_key(self.user_id, self.key)

    @property
    def sid(self) -> str:
        """Return the sid in the row's key: of the text, or of the first text that the part answers."""
        return self.key.split("#")[1]

    @property
    def is_turn(self) -> bool:
        """Return whether the row is a text's."""
        return self.key.startswith("in#")

    @property
    def is_part(self) -> bool:
        """Return whether the row is a reply part's."""
        return self.key.startswith("out#")

    def among(self, parts: Iterable[ReplyPart]) -> ReplyPart | None:
        """Return the one of a reply's parts that stands here; None if none does."""
        return next((part for part in parts if part.key == self.key), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class AsideRecord:
    """An item that was set aside: since when, when last, and how often."""

    item: BadItem
    first_at: str
    at: str
    times: int


def stop_mark(mark: str) -> str:
    """Return the key of the tombstone that records an erased person's STOP."""
    return f"{mark}#{STILL_STOPPED}"


def row_key(user_id: str, key: str) -> dict[str, str]:
    """Return the key of a row in the messages table."""
    return {"user_id": user_id, "message_key": key}


def in_key(sid: str) -> str:
    """Return the journal key of a text, such as `in#SM1`."""
    return f"in#{sid}"


def out_key(sid: str, number: int, *, again: bool = False) -> str:
    """Return the journal key of a reply part, such as `out#SM1#0`, or `out#SM1#0r` for its second try.

    `sid` is the first text that the reply answers; `number` counts from 0.
    """
    return f"out#{sid}#{number}{_AGAIN if again else ''}"


def new_attempt_id(part: ReplyPart, host: Host = REAL) -> str:
    """Return a new attempt id, such as `SM1-0-9f86d081884c7d65`.

    With the person's address it leads back to the row.
    """
    return f"{part.turn}-{part.number}{_AGAIN if part.again else ''}-{host.token(8)}"


def part_of_attempt(attempt_id: str) -> str | None:
    """Return the journal key of an attempt id, or None if the id is not ours."""
    match = _ATTEMPT.fullmatch(attempt_id)
    if match is None:
        return None
    sid, number, again = match.groups()
    return out_key(sid, int(number), again=bool(again))


def bucket(user_id: str) -> str:
    """Return the partition, such as `07`, of the sparse index that lists this person's unsettled rows."""
    return ALL_BUCKETS[hashlib.blake2b(user_id.encode(), digest_size=2).digest()[0] % BUCKETS]
