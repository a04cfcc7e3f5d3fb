"""What the console's pages need of one installation: handed to them by `console.build`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import redis

from console.audit import Audit
from console.authentication import Authentication
from inbox.ports import Inbox
from inbox.processes import Process
from journal.store import Journal
from operations.dead_letters import DeadLetters
from operations.doctor import Finding
from operations.forget import Receipt
from operations.held import HeldReplies
from operations.one_at_a_time import OneAtATime
from operations.overview import Overviews
from operations.people import PeopleByHash
from operations.prometheus import Prometheus
from operations.tables import TableFigures
from sms.ports import MessageList


@dataclass(frozen=True, slots=True, kw_only=True)
class Links:
    """Where other tools are; empty: not configured."""

    flower: str = ""
    grafana: str = ""
    prometheus: str = ""
    #: With `{trace}` for the id of a trace.
    trace: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """Everything that the pages read and the actions call."""

    journal: Journal
    inbox: Inbox
    redis: redis.Redis
    overviews: Overviews
    held: HeldReplies
    dead_letters: DeadLetters
    message_list: MessageList
    #: Forgets a person, with Twilio's copies.
    forget: Callable[[str], Sequence[Receipt]]
    #: Runs the checks of `dadacat doctor` that cost nothing.
    examine: Callable[[], Sequence[Finding]]
    #: The processes that are connected to Redis.
    processes: Callable[[], Sequence[Process]]
    #: What DynamoDB says of both tables.
    tables: Callable[[], Sequence[TableFigures]]
    people: PeopleByHash
    #: Held by what reads the whole journal or every conversation.
    reading: OneAtATime
    #: Names a person without the number, such as `**01 4f6c2a9b`.
    masked: Callable[[str], str]
    #: Returns a typed number as a `user_id`.
    typed: Callable[[str], str]
    authentication: Authentication
    audit: Audit
    prometheus: Prometheus | None = None
    links: Links = field(default_factory=Links)
    #: Each setting's name, and whether it is set here.
    settings: Sequence[tuple[str, bool]] = ()
    version: str = ""

    def now(self) -> datetime:
        """Return the time."""
        return datetime.now(UTC)
