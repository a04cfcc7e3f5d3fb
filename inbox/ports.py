"""What the inbox promises: a text that was accepted stays until its turn is over, and one worker at a time serves a person.

`inbox.redis` keeps these promises on Redis, each move one atomic script; `inbox.memory` in memory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from inbox.contract import Who
from sms.messages import DeliveryReport, InboundSms

#: A lease's length; it must outlast a pause of the process that is renewing it, and ends the wait after a crash.
LEASE: Final = timedelta(seconds=20)
#: A doorbell that was lost is rung again by the first sweep that comes later than this.
GRACE: Final = timedelta(seconds=5)
#: Nobody is rung for more often than this by the sweeper.
RING_AGAIN: Final = timedelta(seconds=60)

#: A person's memory is brought up to date at most this often.
REMIND_AGAIN: Final = timedelta(seconds=30)
#: A count that goes on is asked for again after this.
COUNT_AGAIN: Final = timedelta(seconds=5)

#: How often one send is risked to see whether somebody has mended it.
PROBE_EVERY: Final = timedelta(seconds=30)


def moment(ms: int) -> datetime:
    """Milliseconds of Redis's clock as a time."""
    return datetime.fromtimestamp(ms / 1000, UTC)


def milliseconds(duration: timedelta) -> int:
    """A duration as the scripts take it."""
    return int(duration.total_seconds() * 1000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """An entry of somebody's inbox: a text, or what could not be read as one."""

    #: Its place in the stream: the order.
    entry_id: str
    text: InboundSms | None
    #: The entry as it lies there, for the dead letters.
    payload: bytes = b""

    @property
    def arrived_ms(self) -> int:
        """When it was accepted, in milliseconds of Redis's clock."""
        return int(self.entry_id.partition("-")[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """Leave to serve one person, for as long as it is renewed. It saves work; the fence in the table is what decides."""

    who: Who
    user_id: str
    token: str
    #: Redis's clock when it was taken, in milliseconds.
    taken_ms: int
    #: The last visit ended in neither close nor park: its worker died, and what it had in hand may be why.
    after_death: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """A delivery report that waits to be written down."""

    entry_id: str
    report: DeliveryReport | None


class Inbox(Protocol):
    """What a worker does with the inbox. Every verb raises `InboxAway` where Redis cannot be reached."""

    def accept(self, text: InboundSms) -> bool:
        """Make a text durable and ring for its person; False, and nothing added, where it waits already."""

    def take(self, who: Who) -> Lease | None:
        """Begin to serve a person; None where another does, or nobody of that name is known."""

    def renew(self, lease: Lease) -> bool:
        """Keep a lease alive; False where it is lost."""

    def take_duty(self, name: str) -> Lease | None:
        """Begin what one worker does for all; None where another is at it. It is kept alive as a lease on a person is."""

    def leave_duty(self, lease: Lease) -> None:
        """End a duty. Nothing happens where it is another's by now."""

    def waiting(self, lease: Lease, *, limit: int) -> Sequence[Waiting]:
        """The oldest entries, in the order of their arrival."""

    def wait_for_more(self, lease: Lease, after: str, *, seconds: float) -> bool:
        """Wait until a text arrives behind `after`, or the time is over; whether one did."""

    def remove(self, lease: Lease, entry_ids: Sequence[str]) -> Mapping[str, int] | None:
        """Take entries whose turn is over out of the inbox; None, and nothing removed, where the lease is lost.

        Returns which of them, by sid, were brought again while they waited, and how often.
        """

    def close(self, lease: Lease) -> bool | None:
        """Leave a person whose inbox is empty: True left, False a text is waiting, None the lease is lost."""

    def park(self, lease: Lease, *, due_ms: int, failed: bool = False) -> None:
        """Leave until later, whatever the inbox holds. Nothing happens where the lease is lost.

        `failed`: the visit ended by a bug, which counts like the death of its worker.
        """

    def ring(self, who: Who) -> None:
        """Ask for a visit now."""

    def remind(self, who: Who) -> None:
        """Ask for the person's memory to be brought up to date; nothing happens where that was asked a moment ago."""

    def ask_for_count(self) -> None:
        """Ask for what was spent to be counted; nothing happens where that was asked a moment ago."""

    def unknow(self, who: Who) -> bool:
        """Forget whose hash it is; False, and nothing is forgotten, where a text waits."""

    def person(self, who: Who) -> str | None:
        """The user id of a person; None for somebody who is not known."""

    def due(self, *, limit: int) -> tuple[Sequence[Who], bool]:
        """Who is due and unserved, oldest first, and whether everything was lost since the last look."""

    def receipts(self, *, limit: int) -> Sequence[Receipt]:
        """Reports that nobody else is writing down: new ones first, then those that were left lying."""

    def receipts_done(self, entry_ids: Sequence[str]) -> None:
        """Remove reports that are written down."""

    def drain_begins(self) -> None:
        """Note that a drain has begun: whatever is received from now on rings again."""

    def oldest_waiting_ms(self) -> int | None:
        """The arrival of the oldest unanswered text, in milliseconds of Redis's clock."""

    def now_ms(self) -> int:
        """Redis's clock, in milliseconds: the one clock that judges."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """Whether a send may go ahead."""

    allowed: bool
    #: It is the one that tries whether the circuit can be closed.
    probe: bool = False
    #: Where it may not: how long until the next probe, and why.
    wait_ms: int = 0
    reason: str = ""


class Circuit(Protocol):
    """A switch that all workers share. Every verb raises `InboxAway` where Redis cannot be reached."""

    def passage(self) -> Passage:
        """Ask before a claim."""

    def open(self, reason: str) -> bool:
        """Stop all sending; whether it was going until now."""

    def close(self) -> None:
        """Let everybody send again. A second call does nothing."""
