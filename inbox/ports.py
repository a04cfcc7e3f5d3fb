"""The ports of the inbox: what workers and commands use of Redis, split by consumer.

An accepted text stays until its turn is over, and one worker at a time serves a person. `inbox.inbox`, `inbox.rates`
and `inbox.circuit` implement the ports; each operation is atomic. Every method raises `InboxAway` if Redis cannot be
reached.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from inbox.payloads import Who
from inbox.stopped import Stopped
from sms.messages import DeliveryReport, InboundSms
from sms.ports import Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """An entry of a person's inbox: a text, or a payload that cannot be decoded as one."""

    #: Stream id, such as `1764446233000-0`; entries are ordered by it.
    entry_id: str
    text: InboundSms | None
    #: The entry as it is stored, for the dead letters.
    payload: bytes = b""

    @property
    def arrived_ms(self) -> int:
        """When the entry was accepted, in milliseconds of Redis's clock."""
        return int(self.entry_id.partition("-")[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right to serve one person, as long as it is renewed.

    A lease only avoids duplicate work. Correctness rests on the fencing token in the table.
    """

    who: Who
    user_id: str
    token: str
    #: When the lease was taken, in milliseconds of Redis's clock.
    taken_ms: int
    #: The last visit failed or its worker died. The texts that it was handling may be the cause.
    after_death: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """A delivery report that waits to be written to the journal; None if it cannot be decoded."""

    entry_id: str
    report: DeliveryReport | None


class Texts(Protocol):
    """The texts that wait for an answer."""

    def accept(self, text: InboundSms, *, user_id: str | None = None) -> bool:
        """Make a text durable and push a wake-up task for its person.

        Returns False, and adds nothing, if the same text is waiting. `user_id`: the conversation in which the text
        stands already; without it, the one that the setting gives.
        """

    def waiting(self, lease: Lease, *, limit: int) -> Sequence[Waiting]:
        """Return the oldest entries, in order of arrival."""

    def is_waiting(self, user_id: str, sid: str) -> bool:
        """Return whether a text waits in this conversation."""

    def wait_for_more(self, lease: Lease, after: str, *, seconds: float) -> bool:
        """Wait until a text arrives after the entry `after`; False if the time ran out first."""

    def remove(self, lease: Lease, entry_ids: Sequence[str]) -> Mapping[str, int] | None:
        """Remove entries whose turn is over.

        Returns how often each text was brought again while it waited, by sid; texts that came once are left out.
        Returns None, and removes nothing, if the lease is lost.
        """

    def oldest_waiting_ms(self) -> int | None:
        """Return when the oldest unanswered text arrived, in milliseconds of Redis's clock."""


class Leases(Protocol):
    """The leases on people and on duties."""

    def take(self, who: Who, *, token: str | None = None) -> Lease | None:
        """Take the lease on a person; None if another worker holds it or the person is unknown.

        `token`: the token that the caller has written down, to give the lease back if it dies; by default a new one.
        """

    def renew(self, lease: Lease) -> bool:
        """Extend a lease; False if it is lost."""

    def close(self, lease: Lease) -> bool | None:
        """Release the lease if the inbox is empty; False if a text is waiting, None if the lease is lost."""

    def release_until(self, lease: Lease, *, due_ms: int, failed: bool = False) -> None:
        """Release the lease and schedule the next visit for `due_ms`, whether or not texts are waiting.

        `failed`: a bug ended the visit, which counts like the death of its worker.
        Does nothing if the lease is lost.
        """

    def give_back(self, who: Who, token: str) -> bool:
        """Release the lease of a dead worker, after the first death of a visit.

        False if the lease is lost, or is to expire by itself.
        """

    def take_duty(self, name: str) -> Lease | None:
        """Take the lease on a duty, such as `reconcile`; None if another worker holds it.

        It is renewed like a lease on a person.
        """

    def leave_duty(self, lease: Lease) -> None:
        """Release the lease on a duty. Does nothing if the lease is lost."""


class Agenda(Protocol):
    """Who is due for a visit, and the tasks that are pushed."""

    def due(self, *, limit: int) -> tuple[Sequence[Who], bool]:
        """List people who are due and not being served, oldest first.

        The second value is True if Redis was emptied since the last call.
        """

    def wake(self, *people: Who) -> None:
        """Push a wake-up task for each of these people."""

    def queued(self) -> int:
        """Return how many tasks no worker has taken yet."""

    def request_memory(self, who: Who) -> None:
        """Push a task that updates the person's memory, unless one was pushed a moment ago."""

    def request_count(self) -> None:
        """Push a task that recounts what was spent, unless one was pushed a moment ago."""


class People(Protocol):
    """The people whom Redis knows."""

    def user_id(self, who: Who) -> str | None:
        """Return the user id of a person, or None if the person is unknown."""

    def drop_identity(self, who: Who) -> bool:
        """Delete the person's user id; False, and nothing is deleted, if a text is waiting."""

    def forget_idle(self) -> None:
        """Delete the user ids of people who have not texted for long; the next text brings its sender's again."""

    def forget(self, who: Who, user_id: str, *, through: str | None = None) -> int:
        """Delete everything that Redis holds of a person, waiting texts included; return the item count.

        A text behind the entry `through` stays, and is answered. The caller holds the person's lease, or Redis knows
        no such person.
        """


class Reports(Protocol):
    """The delivery reports that wait to be written to the journal."""

    def drain_begins(self) -> None:
        """Note that a drain has begun: the next report received pushes a new task."""

    def read(self, *, limit: int) -> Sequence[Receipt]:
        """Return reports that no other worker is handling: new ones first, then abandoned ones."""

    def remove(self, entry_ids: Sequence[str]) -> None:
        """Remove reports that are in the journal."""


class Clock(Protocol):
    """Redis's clock: the only clock that decisions use."""

    def now_ms(self) -> int:
        """Return the time in milliseconds."""

    def now(self) -> datetime:
        """Return the time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inbox:
    """The inbox as workers and commands use it."""

    texts: Texts
    leases: Leases
    agenda: Agenda
    people: People
    reports: Reports
    clock: Clock


@dataclass(frozen=True, slots=True)
class Place:
    """What one circuit breaker stops: the account, a sender, a channel of a sender, or one person."""

    scope: Scope
    #: Such as `+15005550006`, `whatsapp:+15005550006` or a person's hash; empty for the account.
    name: str = ""

    @property
    def key(self) -> str:
        """Return the place's part of a key in Redis, such as `sender:+15005550006`; empty for the account."""
        return "" if self.scope is Scope.ACCOUNT else f"{self.scope}:{self.name}"

    @classmethod
    def of_key(cls, key: str) -> Place:
        """Return the place with this part of a key. Raises `ValueError` for an unknown scope."""
        scope, _, name = key.partition(":")
        return cls(Scope(scope), name) if key else cls(Scope.ACCOUNT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """A refusal that concerns more than one message."""

    place: Place
    #: The person to whom the message was to go.
    who: Who
    reason: str
    #: So many people must have been refused before a sender or channel is stopped; until then only `who` waits.
    people: int = 1
    #: The pauses between two probes grow, because only time mends it, or because each probe costs a message.
    grows: bool = False
    #: A delivery report said so: that the carrier accepts a message is no proof of the contrary.
    reported: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """Whether a send may go ahead."""

    allowed: bool
    #: The open circuits that this send tests.
    probes: tuple[Place, ...] = ()
    #: If it may not: which circuit stops it longest, until its next probe, and why.
    stopped: Place | None = None
    wait_ms: int = 0
    reason: str = ""


class Circuit(Protocol):
    """The circuit breakers of all workers, one for each place at which the carrier refuses us."""

    def passage(self, places: Sequence[Place]) -> Passage:
        """Decide whether a send through these places may go ahead. The worker asks before it claims a part.

        A probe is taken of every open place at once, or of none if another place stops the send.
        """

    def open(self, stop: Stop) -> Place | None:
        """Stop a place, or only the person; return what was open before and is stopped now, None if nothing."""

    def close(self, places: Sequence[Place], *, delivered_ms: int | None = None) -> Sequence[Place]:
        """Allow sending again, and wake everyone who waits; return the places that this call opened.

        `delivered_ms`: a message that was sent then, by Redis's clock, was delivered; None: one was accepted.
        A place that a report stopped is opened by the delivery of a message that was sent since. A message that is only
        accepted opens it if no report says otherwise for `inbox.circuit.PROOF`. A delivery says nothing of a place that
        an answer stopped.
        """

    def wait(self, place: Place, who: Who) -> bool:
        """Note that a person waits for a place; False, and nothing is noted, if it is open again."""

    def tidy(self) -> None:
        """Wake the people who wait for a place whose circuit has expired."""

    def stopped(self) -> Sequence[Stopped]:
        """List the open circuits, the widest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """A token bucket: it holds `most` tokens and fills up completely in `per`."""

    #: What is counted, in the words of a silent turn's reason, such as `texts a minute`.
    name: str
    #: The owner of the bucket, which becomes part of its Redis key.
    key: str
    most: int
    per: timedelta


class Limits(Protocol):
    """The rate limits over all workers.

    A verdict is stored with the sid of its text. A second call for that sid, as the successor of a dead worker makes,
    gets the same answer and takes no token.
    """

    def exceeded(self, sid: str, rates: Sequence[Rate], *, at_ms: int) -> str:
        """Take a token from every bucket, or from none if one is empty; return the empty one's name or "".

        A second call for the same sid returns the same. Buckets fill by the time of the event, `at_ms` of Redis's
        clock: texts that waited while no worker ran did not all arrive at once.
        """

    def pace(self, key: str, *, takes_ms: int, ahead_ms: int, most_ms: int) -> int:
        """Take a place in a queue that drains by time alone; return the milliseconds to wait.

        The place takes `takes_ms`, and the queue may run `ahead_ms` ahead. If the wait exceeds `most_ms`, no place is
        taken and the result is negative: its absolute value is the time after which to ask again.
        """

    def window(self, key: str, *, needed: int, most: int, per: timedelta) -> int:
        """Take places for `needed` events, of which any span of `per` may hold `most`.

        Returns 0 if they are taken, else the milliseconds until there is room. More places than `most` are given once
        the span before is empty.
        """

    def streak(self, who: Who, sid: str, step: int) -> int:
        """Add `step` to the number of texts in a row that look like a machine's; return it, at least 0.

        A second call for the same sid adds nothing and returns the same count.
        """
