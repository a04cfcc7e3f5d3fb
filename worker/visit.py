"""The state of a visit: one worker, one person, and the work done so far."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cat.danger.state import State
from conversation.models import Conversation
from inbox.durations import milliseconds, moment
from inbox.ports import Lease, Place
from journal.model import Turn
from runtime.host import REAL, Host
from sms.addresses import address_of
from worker.send_marks.marks import Mark
from worker.user_ids import user_ids_of


@dataclass(slots=True, kw_only=True)
class Visit:
    """One worker serving one person: the lease, the fence, and the work done so far.

    Its clock is Redis's: read once with the lease, then advanced by this process's monotonic clock.
    """

    lease: Lease
    #: By this process's monotonic clock.
    started_at: float
    #: What a neighbour reads if this process dies.
    mark: Mark
    #: The machine that serves.
    host: Host = REAL
    #: The conversation as read under this visit's fence, plus the messages since; None before it is opened.
    opened: Conversation | None = None
    #: Turns that this visit filed or found, by sid: reading one a second time does not count as a second try.
    filed: dict[str, Turn] = field(default_factory=dict)
    #: Replies whose parts are all settled, by the sid that they carry.
    settled: set[str] = field(default_factory=set)
    #: How many replies it has written.
    turns: int = 0
    #: The last STOP or START among the waiting texts is a STOP.
    stop_waits: bool = False
    #: Tombstones of texts that get no answer, because the person was erased after sending them.
    tombstones: frozenset[str] = frozenset()
    #: The circuit that keeps a reply of this person from being sent.
    stopped_at: Place | None = None
    #: The turns that are being answered right now.
    in_hand: tuple[Turn, ...] = ()

    @property
    def danger(self) -> State:
        """Return what is kept of a danger that was heard in this conversation."""
        return State.from_json(self.conversation.danger)

    @property
    def user_id(self) -> str:
        """Return the user id, such as `+15551230001` or `+15551230001/+15005550006`."""
        return self.lease.user_id

    @property
    def address(self) -> str:
        """Return the person's address at the carrier, such as `+15551230001`."""
        return address_of(self.user_id)

    def other_id(self, to: str, *, per_number: bool) -> tuple[str, bool]:
        """Return the other user id of the person, and whether this visit's is the former one.

        They differ by `CONVERSATIONS`. `to`: our number that was texted. `per_number`: the present setting.
        """
        present, former = user_ids_of(self.address, to, per_number=per_number)
        is_former = self.user_id != present
        return present if is_former else former, is_former

    @property
    def conversation(self) -> Conversation:
        """Return the conversation under this visit's fence."""
        assert self.opened is not None, "a visit opens the conversation before it does anything else"
        return self.opened

    @property
    def fence(self) -> int:
        """Return the fencing token that this visit's writes are checked against."""
        return self.conversation.fence

    @property
    def elapsed_seconds(self) -> float:
        """Return how long the visit has taken so far."""
        return self.host.monotonic() - self.started_at

    def now_ms(self) -> int:
        """Return Redis's time, in milliseconds."""
        return self.lease.taken_ms + int(self.elapsed_seconds * 1000)

    def after(self, pause: timedelta) -> int:
        """Return Redis's time after a pause, in milliseconds."""
        return self.now_ms() + milliseconds(pause)

    def now(self) -> datetime:
        """Return Redis's time."""
        return moment(self.now_ms())
