"""Define messages and conversations as frozen values, and convert them to and from their item form.

The specification fixes the item: `user_id`, `created_at`, `updated_at`, `messages` (a JSON array in a string),
`is_active`, `metadata` (JSON in a string). `version` and `fence` are added. Items of older programs are read as they
are: a missing attribute gets a default, `sender` is accepted for `role`, and unknown fields are kept.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, Self

from conversation.errors import CorruptConversation

#: Names that older programs gave the person; any other sender was the cat.
_PEOPLE: Final = frozenset({"user", "human", "person", "from_user", "inbound"})

#: How many replies are remembered by a digest, one kilobyte in all.
ECHOES: Final = 256
ECHO_CHARACTERS: Final = 4
#: How many digests of the poet's lines are kept: those of thirty replies, two lines each, and a few more.
FRAMES: Final = 64

#: The name of our memory in `metadata`, beside the entries of other programs.
MEMORY: Final = "memory"


class Role(StrEnum):
    """The author of a message, in the terms of chat models."""

    USER = "user"
    ASSISTANT = "assistant"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message of a conversation."""

    role: Role
    content: str
    #: When it was sent; None if an older program did not record it.
    timestamp: datetime | None = None
    #: The key of the journal row that holds it, such as `in#SM1`; None for a message that only the window holds.
    key: str | None = None
    #: Said while a person was in danger: it is neither played with nor folded into the memory.
    serious: bool = False
    #: Fields that an older program added; written back unchanged.
    extra: Mapping[str, Any] = field(default_factory=dict)  # Any: JSON

    @classmethod
    def from_json(cls, value: object) -> Self:
        """Read a message object, or a bare string, as written by any program."""
        if not isinstance(value, dict):
            return cls(role=Role.USER, content=str(value))
        read = cls(
            role=_role(value),
            content=str(value.get("content") or ""),
            timestamp=parse_time(value.get("timestamp")),
            key=value["key"] if isinstance(value.get("key"), str) else None,
            serious=value.get("serious") is True,
        )
        # a field that we would write differently keeps its stored value
        ours = read.to_json()
        return replace(
            read,
            extra={
                name: kept
                for name, kept in value.items()
                if name not in ours or (ours[name] != kept and name in {"role", "content"})
            },
        )

    def to_json(self) -> dict[str, Any]:  # Any: JSON
        """Return the object as stored in the `messages` array."""
        out: dict[str, Any] = {"role": str(self.role), "content": self.content, **self.extra}
        if self.timestamp is not None:
            out["timestamp"] = self.timestamp.isoformat()
        if self.key is not None:
            out["key"] = self.key
        if self.serious:
            out["serious"] = True
        return out


def _role(value: Mapping[str, Any]) -> Role:  # Any: JSON
    name = str(value.get("role") or value.get("sender") or "user").lower()
    try:
        return Role(name)
    except ValueError:
        return Role.USER if name in _PEOPLE else Role.ASSISTANT


def parse_time(value: object) -> datetime | None:
    """Return an ISO timestamp as an aware time, or None if it is none; a naive one is taken as UTC."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def in_milliseconds(moment: datetime) -> int:
    """Return a time in milliseconds, the unit of Redis's clock."""
    return int(moment.timestamp() * 1000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What is kept of messages too old for the window; stored in `metadata`."""

    #: A summary of the old messages, in a few sentences.
    summary: str = ""
    #: Facts that the person stated about itself, in its own words, oldest first.
    told: tuple[str, ...] = ()
    #: The same facts, typed: key, value and day, such as `("pet:dog", "bruno", "2026-11-29")`, oldest first.
    facts: tuple[tuple[str, str, str], ...] = ()
    #: Everything that arrived up to this time of Redis's clock, in milliseconds, is folded in or forgotten.
    through: int = 0

    @classmethod
    def from_json(cls, value: object) -> Self:
        """Read the memory in `metadata`; any other value gives an empty memory."""
        if not isinstance(value, dict):
            return cls()
        told, facts, through = value.get("told"), value.get("facts"), value.get("through")
        return cls(
            summary=str(value.get("summary") or ""),
            told=tuple(str(words) for words in told) if isinstance(told, list) else (),
            facts=tuple(map(_fact, filter(_is_fact, facts))) if isinstance(facts, list) else (),
            through=through if isinstance(through, int) else 0,
        )

    def to_json(self) -> dict[str, Any]:  # Any: JSON
        """Return the object as stored in `metadata`."""
        return {
            **({"summary": self.summary} if self.summary else {}),
            **({"told": list(self.told)} if self.told else {}),
            **({"facts": [list(fact) for fact in self.facts]} if self.facts else {}),
            "through": self.through,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """A conversation between one person and DadaCat, with the window of its latest messages."""

    #: The person's address, such as `+15551230001` or `+15551230001/+15005550006`; any string is allowed.
    user_id: str
    #: When the conversation began.
    created_at: datetime
    #: When it was last written.
    updated_at: datetime
    #: The latest messages, oldest first, a bounded window, as a JSON array in a string.
    messages: tuple[Message, ...] = ()
    #: Whether the person wants to receive replies.
    is_active: bool = True
    #: Entries of any program, as a JSON object in a string; ours is `memory`.
    metadata: Mapping[str, Any] = field(default_factory=dict)  # Any: JSON
    #: Raised by every write; a write succeeds only against the version that it read.
    version: int = 0
    #: The fencing token, raised by every worker that opens the conversation; writes of earlier holders fail.
    fence: int = 0
    #: How many messages of programs without a journal were copied into the journal.
    carried: int = 0
    #: Digests of the latest replies, newest last, more than the window holds: a new reply is checked for repetition.
    echoes: tuple[str, ...] = ()
    #: Digests of the offline poet's lines in the latest replies, newest last: a line is not used again soon.
    frames: tuple[str, ...] = ()
    #: The person gets no reply until this time of Redis's clock, in milliseconds, because of a loop of two machines.
    quiet_until: int = 0
    #: When the last STOP or START that counted was sent, in milliseconds of Redis's clock; 0: not known.
    keyword_at: int = 0
    #: How many replies this person ever got.
    replies: int = 0
    #: The first reply had no room for the introduction that a new person gets; the next one adds it.
    unintroduced: bool = False
    #: What is kept of a danger that was heard, as JSON (`cat.danger.state`); empty: none was.
    danger: str = ""
    #: The person was erased once and has texted again. Late old texts are recognised by their tombstones.
    returned_after_erasure: bool = field(default=False, metadata={"stored": "reborn"})
    #: `metadata` as read from the item; None if there was none.
    noted: str | None = field(default=None, compare=False, repr=False)
    #: `metadata` is not a JSON object in a string: another program owns it, and it stays unchanged.
    foreign: bool = field(default=False, compare=False, repr=False)
    #: `updated_at` as read from the item; None if there was none. A write succeeds only if it is still the same.
    stamp: str | None = field(default=None, compare=False, repr=False)
    #: `created_at` as read from the item: an erased person who texts anew has another one.
    born: str | None = field(default=None, compare=False, repr=False)

    @classmethod
    def new(cls, user_id: str, now: datetime) -> Self:
        """Return an empty conversation."""
        return cls(user_id=user_id, created_at=now, updated_at=now)

    def get_formatted_history(self) -> list[dict[str, str]]:
        """Return the window as the list of `{"role", "content"}` that chat models take, oldest first."""
        return [{"role": str(message.role), "content": message.content} for message in self.messages]

    @property
    def memory(self) -> Memory:
        """Return what is remembered of messages too old for the window."""
        return Memory.from_json(self.metadata.get(MEMORY))

    def remembering(self, memory: Memory) -> Self:
        """Return this conversation with another memory; other programs' entries in `metadata` stay."""
        if self.foreign:
            return self
        return replace(self, metadata={**self.metadata, MEMORY: memory.to_json()})

    def forgetting(self, through: int) -> Self:
        """Return this conversation with an empty window and an empty memory.

        No message that arrived up to `through` is ever folded in again.
        """
        return replace(self, messages=()).remembering(Memory(through=through))

    def metadata_json(self) -> str:
        """Return `metadata` in the specification's form."""
        return json.dumps(dict(self.metadata), ensure_ascii=False, separators=(",", ":"))

    def saying(self, *messages: Message, at: datetime, reply_text: str = "", frames: Sequence[str] = ()) -> Self:
        """Return this conversation with `messages` added; the window is not yet cut.

        `reply_text` is the reply before it was cut into messages and a fixed line was added below it.
        `frames` are the digests of the poet's lines in it.
        """
        replies = (
            (reply_text,) if reply_text else (message.content for message in messages if message.role is Role.ASSISTANT)
        )
        echoes = (*self.echoes, *map(echo, replies))
        return replace(
            self,
            messages=(*self.messages, *messages),
            updated_at=max(at, self.updated_at),
            echoes=echoes[-ECHOES:],
            frames=(*self.frames, *frames)[-FRAMES:],
            # the parts of a reply count as one reply
            replies=self.replies + any(message.role is Role.ASSISTANT for message in messages),
        )

    @classmethod
    def from_item(cls, item: Mapping[str, Any], now: datetime) -> Self:  # Any: DynamoDB's values
        """Read an item written by any program; missing attributes get defaults.

        Raises `CorruptConversation` if `messages` is not JSON: guessing would lose its content.
        """
        user_id = str(item["user_id"])
        created = parse_time(item.get("created_at")) or now
        noted = item.get("metadata")
        try:
            metadata = _json(user_id, "metadata", noted, {})
        except CorruptConversation:
            metadata = None
        messages = _json(user_id, "messages", item.get("messages"), [])
        if not isinstance(messages, list):
            raise CorruptConversation("messages is not a list")
        return cls(
            user_id=user_id,
            created_at=created,
            updated_at=parse_time(item.get("updated_at")) or created,
            messages=tuple(Message.from_json(value) for value in messages),
            is_active=bool(item.get("is_active", True)),
            metadata=metadata if isinstance(metadata, dict) else {},
            version=int(item.get("version", 0)),
            fence=int(item.get("fence", 0)),
            carried=int(item.get("carried", 0)),
            quiet_until=int(item.get("quiet_until", 0)),
            keyword_at=int(item.get("keyword_at", 0)),
            echoes=_digests(item.get("echoes")),
            frames=_digests(item.get("frames")),
            replies=int(item.get("replies", 0)),
            returned_after_erasure=bool(item.get("reborn", False)),
            unintroduced=bool(item.get("unintroduced", False)),
            danger=str(item.get("danger", "")),
            noted=noted if isinstance(noted, str) else None,
            foreign=not isinstance(metadata, dict) or not isinstance(noted, str | None),
            stamp=item.get("updated_at"),
            born=item.get("created_at"),
        )

    def written(self, previous: Conversation) -> Self:
        """Return this conversation as stored after it was written over `previous`."""
        noted = previous.noted if self.metadata == previous.metadata else self.metadata_json()
        born = previous.born or self.created_at.isoformat()
        stamp = self.updated_at.isoformat()
        return replace(self, version=previous.version + 1, stamp=stamp, born=born, noted=noted)

    def messages_json(self) -> str:
        """Return the window in the specification's form."""
        return json.dumps([message.to_json() for message in self.messages], ensure_ascii=False, separators=(",", ":"))


def echo(words: str) -> str:
    """Return the digest of a reply that outlives its words: `ECHO_CHARACTERS` characters."""
    return base64.b64encode(hashlib.blake2b(words.encode("utf-8", "replace"), digest_size=3).digest()).decode()


def _is_fact(value: object) -> bool:
    return isinstance(value, list) and len(value) == 3 and all(isinstance(part, str) for part in value)  # noqa: PLR2004


def _fact(value: Any) -> tuple[str, str, str]:  # Any: JSON that `_is_fact` accepts
    key, said, day = value
    return key, said, day


def _digests(value: object) -> tuple[str, ...]:
    together = value if isinstance(value, str) else ""
    return tuple(together[at : at + ECHO_CHARACTERS] for at in range(0, len(together), ECHO_CHARACTERS))


def _json(user_id: str, name: str, value: object, default: object) -> Any:  # Any: JSON
    if value is None or value == "":
        return default
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError as exc:
        raise CorruptConversation(f"{name} of conversation …{user_id[-2:]} is not JSON") from exc
