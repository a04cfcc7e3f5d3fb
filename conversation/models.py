"""Messages and conversations as frozen values, and their item form and back.

The item is the one that the specification fixes: `user_id`, `created_at`, `updated_at`, `messages` (a JSON array in a
string), `is_active`, `metadata` (JSON in a string), with `version` and `fence` beside them. Items written by older programs
are read as they are: what is missing gets a default, `sender` is understood for `role`, and what is not known is kept.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, Self

from conversation.errors import CorruptConversation

#: What older programs called the person; any other sender was the cat.
_PEOPLE: Final = frozenset({"user", "human", "person", "from_user", "inbound"})

#: So many replies are remembered by a digest, one kilobyte in all.
ECHOES: Final = 256
ECHO_CHARACTERS: Final = 4

#: Attributes of an item that this package owns; every other attribute belongs to somebody else and survives.
OWNED: Final = frozenset(
    {
        "user_id",
        "created_at",
        "updated_at",
        "messages",
        "is_active",
        "metadata",
        "version",
        "fence",
        "carried",
        "quiet_until",
        "echoes",
        "replies",
        "unintroduced",
        "reborn",
        "expires",
    }
)

#: Under which name our memory stands in `metadata`, beside whatever others keep there.
MEMORY: Final = "memory"


class Role(StrEnum):
    """Who said it, in the words that chat models take."""

    USER = "user"
    ASSISTANT = "assistant"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One thing that was said."""

    role: Role
    content: str
    #: When; None where an older program did not say.
    timestamp: datetime | None = None
    #: The journal row that holds it for good; None for a message that only the window holds.
    key: str | None = None
    #: Fields that an older program put beside ours; written back unchanged.
    extra: Mapping[str, Any] = field(default_factory=dict)  # Any: JSON

    @classmethod
    def from_json(cls, value: object) -> Self:
        """Read a message object, or a bare string, as any program may have written it."""
        if not isinstance(value, dict):
            return cls(role=Role.USER, content=str(value))
        read = cls(
            role=_role(value),
            content=str(value.get("content") or ""),
            timestamp=parse_time(value.get("timestamp")),
            key=value["key"] if isinstance(value.get("key"), str) else None,
        )
        # what we would write otherwise than it stands there is kept as it stands
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
        """The object as it stands in the `messages` array."""
        out: dict[str, Any] = {"role": str(self.role), "content": self.content, **self.extra}
        if self.timestamp is not None:
            out["timestamp"] = self.timestamp.isoformat()
        if self.key is not None:
            out["key"] = self.key
        return out


def _role(value: Mapping[str, Any]) -> Role:  # Any: JSON
    said = str(value.get("role") or value.get("sender") or "user").lower()
    try:
        return Role(said)
    except ValueError:
        return Role.USER if said in _PEOPLE else Role.ASSISTANT


def parse_time(value: object) -> datetime | None:
    """An ISO timestamp as an aware time, or None for what is none; a naive one is taken as UTC."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def in_milliseconds(moment: datetime) -> int:
    """A time as Redis's clock counts it."""
    return int(moment.timestamp() * 1000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What is left of talk that is too old for the window; kept in `metadata`."""

    #: What was talked about, in a few sentences.
    summary: str = ""
    #: What the person told about itself, in its own words, oldest first.
    told: tuple[str, ...] = ()
    #: Everything that arrived up to here is folded in, or forgotten; milliseconds of Redis's clock.
    through: int = 0

    @classmethod
    def from_json(cls, value: object) -> Self:
        """Read what stands in `metadata`; whatever is no memory is an empty one."""
        if not isinstance(value, dict):
            return cls()
        told, through = value.get("told"), value.get("through")
        return cls(
            summary=str(value.get("summary") or ""),
            told=tuple(str(words) for words in told) if isinstance(told, list) else (),
            through=through if isinstance(through, int) else 0,
        )

    def to_json(self) -> dict[str, Any]:  # Any: JSON
        """The object as it stands in `metadata`."""
        return {
            **({"summary": self.summary} if self.summary else {}),
            **({"told": list(self.told)} if self.told else {}),
            "through": self.through,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """A conversation between one person and DadaCat, with the window of its latest messages."""

    #: The person's address; usually a telephone number, but any string is a user.
    user_id: str
    created_at: datetime
    updated_at: datetime
    #: The latest messages, oldest first: a bounded window. `ConversationManager.history` pages through everything.
    messages: tuple[Message, ...] = ()
    is_active: bool = True
    metadata: Mapping[str, Any] = field(default_factory=dict)  # Any: JSON
    #: Raised by every write; a write holds only against the version that it read.
    version: int = 0
    #: Raised by every worker that opens the conversation; an older holder's writes fail.
    fence: int = 0
    #: How many messages, written by programs without a journal, were carried over into it.
    carried: int = 0
    #: Digests of the latest replies, newest last, beyond what the window holds: whoever speaks may look whether he said it before.
    echoes: tuple[str, ...] = ()
    #: Milliseconds of Redis's clock until which this person gets no reply, because two machines seem to talk to each other.
    quiet_until: int = 0
    #: How many replies were written for this person, ever.
    replies: int = 0
    #: The first reply had no room for the line that a stranger is greeted with: the next one owes it.
    unintroduced: bool = False
    #: The person was forgotten once and has texted anew: old texts may still come, and are known by their marks.
    reborn: bool = False
    #: `metadata` as it stood in the item; None where there was none.
    noted: str | None = field(default=None, compare=False, repr=False)
    #: `metadata` is no JSON object in a string: it is somebody else's, and stays as it is.
    foreign: bool = field(default=False, compare=False, repr=False)
    #: `updated_at` as it stood in the item; None where there was none. A write holds only against what it read.
    stamp: str | None = field(default=None, compare=False, repr=False)

    @classmethod
    def new(cls, user_id: str, now: datetime) -> Self:
        """A conversation in which nothing was said yet."""
        return cls(user_id=user_id, created_at=now, updated_at=now)

    def get_formatted_history(self) -> list[dict[str, str]]:
        """The window as the list of `{"role", "content"}` that chat models take, oldest first."""
        return [{"role": str(message.role), "content": message.content} for message in self.messages]

    @property
    def memory(self) -> Memory:
        """What is remembered of talk that is too old for the window."""
        return Memory.from_json(self.metadata.get(MEMORY))

    def remembering(self, memory: Memory) -> Self:
        """This conversation with another memory; what others keep in `metadata` stays."""
        if self.foreign:
            return self
        return replace(self, metadata={**self.metadata, MEMORY: memory.to_json()})

    def forgetting(self, through: int) -> Self:
        """This conversation with an empty window and an empty memory; nothing that arrived up to `through` is ever folded in again."""
        return replace(self, messages=()).remembering(Memory(through=through))

    def metadata_json(self) -> str:
        """`metadata` as the specification stores it."""
        return json.dumps(dict(self.metadata), ensure_ascii=False, separators=(",", ":"))

    def saying(self, *messages: Message, at: datetime, found: str = "") -> Self:
        """This conversation after `messages` were said; the window is not yet cut.

        `found`: the reply as somebody found it, before it was cut into messages and a line of the house was put below.
        """
        said = (found,) if found else (message.content for message in messages if message.role is Role.ASSISTANT)
        echoes = (*self.echoes, *map(echo, said))
        return replace(
            self,
            messages=(*self.messages, *messages),
            updated_at=max(at, self.updated_at),
            echoes=echoes[-ECHOES:],
            # the parts of a reply are said together, and count as one
            replies=self.replies + any(message.role is Role.ASSISTANT for message in messages),
        )

    @classmethod
    def from_item(cls, item: Mapping[str, Any], now: datetime) -> Self:  # Any: DynamoDB's values
        """Read an item, whoever wrote it; missing attributes get defaults.

        Raises `CorruptConversation` where `messages` is not JSON: guessing would lose what it holds.
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
            echoes=_echoes(item.get("echoes")),
            replies=int(item.get("replies", 0)),
            reborn=bool(item.get("reborn", False)),
            unintroduced=bool(item.get("unintroduced", False)),
            noted=noted if isinstance(noted, str) else None,
            foreign=not isinstance(metadata, dict) or not isinstance(noted, str | None),
            stamp=item.get("updated_at"),
        )

    def written(self, was: Conversation) -> Self:
        """This conversation as it stands after it was written over `was`."""
        noted = was.noted if self.metadata == was.metadata else self.metadata_json()
        return replace(self, version=was.version + 1, stamp=self.updated_at.isoformat(), noted=noted)

    def messages_json(self) -> str:
        """The window as the specification stores it."""
        return json.dumps([message.to_json() for message in self.messages], ensure_ascii=False, separators=(",", ":"))


def echo(words: str) -> str:
    """What is remembered of a reply when its words are gone: `ECHO_CHARACTERS` characters."""
    return base64.b64encode(hashlib.blake2b(words.encode("utf-8", "replace"), digest_size=3).digest()).decode()


def _echoes(value: object) -> tuple[str, ...]:
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
