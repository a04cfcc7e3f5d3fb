"""Serve one person: acquire the lease and the fence, answer what waits, release.

One wake-up task is one visit. A visit gives every waiting text its reply, in the order of arrival, until the inbox is
empty or the visit has lasted long enough. Each step is one call whose repetition is harmless. What a dead worker left
half done is found by the next visit, in the inbox and in the journal, and carried on from there.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from conversation import errors
from inbox import ports
from inbox.errors import InboxAway
from inbox.payloads import Who
from journal.model import STILL_STOPPED
from journal.ports import Journal
from journal.states import TurnState
from runtime import tracing
from runtime.errors import OUTSIDE
from runtime.host import Host
from worker import retry_policy, telemetry
from worker.delivery import Delivery
from worker.intake import READ_AHEAD, Batch, Intake
from worker.lease import LeaseKeeper
from worker.respond import Responder
from worker.visit import Visit
from worker.visit_settings import VisitSettings

#: A visit ends after so many replies, or so long, so that no person occupies a thread for ever.
VISIT_TURNS: Final = 20
#: Among so many waiting texts of a person a STOP is heeded, whatever stands before it.
HEEDED: Final = 1000
VISIT_SECONDS: Final = 60.0


class Visits:
    """Serves people, one visit at a time for each.

    `stopping`: whether visits are to end after the turn in hand.
    """

    def __init__(  # noqa: PLR0913 - the parts of a visit, and what a test replaces
        self,
        inbox: ports.Inbox,
        journal: Journal,
        intake: Intake,
        responder: Responder,
        delivery: Delivery,
        leases: LeaseKeeper,
        settings: VisitSettings,
        *,
        telemetry: telemetry.Telemetry,
        host: Host,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self._inbox = inbox
        self._journal = journal
        self._intake = intake
        self._responder = responder
        self._delivery = delivery
        self._leases = leases
        self._settings = settings
        self._telemetry = telemetry
        self._stopping = stopping
        self._host = host

    def serve(self, who: Who) -> None:
        """Answer the texts that wait for this person.

        Returns at once if another worker does, or if the inbox knows no person by that name.
        """
        with self._leases.taken(who) as taken:
            if taken is None:
                return
            lease, mark = taken
            visit = Visit(lease=lease, started_at=self._host.monotonic(), mark=mark, host=self._host)
            try:
                due_ms = self._serve(visit)
            except errors.Fenced:
                # another worker opened this conversation and serves the person; if it dies, the agenda knows
                self._release(visit, visit.after(retry_policy.AWAY_PAUSE), "fenced")
            except OUTSIDE as exc:
                # no text is to blame: it waits, and no try is counted
                self._telemetry.emit(telemetry.away(exc))
                self._release(visit, visit.after(retry_policy.AWAY_PAUSE), type(exc).__name__)
            except Exception:
                # a bug must not keep the person waiting until the lease expires; the try is already counted
                self._note_error(visit)
                self._release(visit, visit.after(retry_policy.AWAY_PAUSE), "error", failed=True)
                raise
            else:
                if due_ms is not None:
                    self._release(visit, due_ms, "due later")
                    with suppress(InboxAway):  # then the agenda wakes the person
                        if not self._delivery.parked(visit):
                            self._inbox.agenda.wake(visit.lease.who)

    def _serve(self, visit: Visit) -> int | None:
        """Open the conversation and answer; return when to look again, or None if the lease is released."""
        visit.opened = self._journal.conversations.open(visit.user_id, now=visit.now())
        self._read_tombstones(visit)
        due_ms = self._answer_all(visit)
        if due_ms is None and visit.tombstones and not visit.filed:
            self._leave_nothing(visit)
        return due_ms

    def _read_tombstones(self, visit: Visit) -> None:
        """Find out whether a person who was erased texts again, whose late old texts get no answer.

        It is asked for as long as nothing was written: an earlier visit may have died before it wrote what it saw.
        """
        conversation = visit.conversation
        if conversation.version and not conversation.returned_after_erasure:
            return
        visit.tombstones = self._journal.tombstones.of(visit.lease.who, now=visit.now())
        if visit.tombstones and not conversation.returned_after_erasure:
            if STILL_STOPPED in visit.tombstones:
                self._intake.set_active(visit, active=False, sent_ms=visit.now_ms())
            self._journal.conversations.set_returned(visit.user_id, fence=visit.fence, now=visit.now())

    def _leave_nothing(self, visit: Visit) -> None:
        """Delete what this visit opened if only old texts of an erased person came."""
        if self._journal.conversations.delete_if_untouched(visit.user_id, fence=visit.fence):
            self._inbox.people.drop_identity(visit.lease.who)

    def _answer_all(self, visit: Visit) -> int | None:
        """Answer turn by turn; return when to look again, or None once the lease is released."""
        emptied = False
        while not self._is_long_enough(visit):
            # after removing all that it saw, the visit need not look to close: closing looks, and finds a newer text
            waiting = [] if emptied else self._look(visit)
            if not waiting:
                if self._inbox.leases.close(visit.lease) is False:
                    emptied = False
                    continue
                self._telemetry.emit(telemetry.visit_done(visit.lease.who))
                return None
            whole = self._whole(visit, waiting)
            self._carry_stop_over(visit, whole)
            self._intake.heed_stop(visit, whole)
            batch = self._intake.gather(visit, waiting[:READ_AHEAD])
            self._remove(visit, batch.finished)
            if batch.due_ms is not None:
                return batch.due_ms
            if len(waiting) > READ_AHEAD and self._is_superseded(visit, batch):
                self._supersede(visit, batch)
            elif batch.turns:
                with tracing.span("turn", after=[text.trace for text in batch.texts], sid=batch.turns[0].sid):
                    due_ms = self._answer(visit, batch)
                if due_ms is not None:
                    return due_ms
                emptied = len(batch.finished) + len(batch.entries) == len(waiting)
        self._release(visit, visit.now_ms(), "enough")
        self._inbox.agenda.wake(visit.lease.who)
        return None

    def _carry_stop_over(self, visit: Visit, waiting: Sequence[ports.Waiting]) -> None:
        """Heed a STOP of the person's other conversation: `CONVERSATIONS` was changed since.

        A conversation that has begun is asked only if it is the former one, so that a turn costs no more.
        """
        for to in {entry.text.to for entry in waiting if entry.text is not None}:
            here, (other_id, is_former) = visit.conversation, visit.other_id(to, per_number=self._settings.per_number)
            if here.is_active and (is_former or not here.version):
                other = self._journal.conversations.get(other_id)
                if other is not None and not other.is_active and other.keyword_at >= here.keyword_at:
                    self._intake.set_active(visit, active=False, sent_ms=other.keyword_at)

    def _answer(self, visit: Visit, batch: Batch) -> int | None:
        visit.in_hand = tuple(batch.turns)
        response = self._responder.respond(visit, batch)
        try:
            due_ms = self._delivery.deliver(visit, response.parts)
        finally:
            self._responder.settle_accounts(visit, response)
        if due_ms is None:
            visit.settled.add(batch.turns[0].sid)
            self._remove(visit, batch.entries)
        return due_ms

    def _is_superseded(self, visit: Visit, batch: Batch) -> bool:
        """Return whether only a text behind this batch is to be answered, and none of the batch shows danger."""
        latest = self._settings.policy == "latest" and batch.older and not batch.beyond
        return bool(latest) and not self._intake.hears_danger(visit, batch.texts)

    def _supersede(self, visit: Visit, batch: Batch) -> None:
        """Settle all but the newest of these texts; behind that one, a newer text to answer may stand."""
        for turn in batch.turns[:-1]:
            self._intake.settle(visit, turn, TurnState.SILENT, "superseded")
        self._remove(visit, batch.older)

    def _is_long_enough(self, visit: Visit) -> bool:
        return self._stopping() or visit.turns >= VISIT_TURNS or visit.elapsed_seconds > VISIT_SECONDS

    def _look(self, visit: Visit) -> Sequence[ports.Waiting]:
        """Return the waiting entries, and one more to tell whether there are more.

        Unless every text gets a reply of its own, wait until the person has been quiet for a moment.
        """
        texts, settings = self._inbox.texts, self._settings
        waiting = texts.waiting(visit.lease, limit=READ_AHEAD + 1)
        if settings.policy == "each":
            return waiting
        while waiting and len(waiting) < READ_AHEAD:
            now, first, last = visit.now_ms(), waiting[0].arrived_ms, waiting[-1].arrived_ms
            left_ms = (
                min(last + settings.quiet_window_seconds * 1000, first + settings.quiet_limit_seconds * 1000) - now
            )
            if left_ms <= 0 or self._stopping():
                break
            seconds = min(left_ms / 1000, retry_policy.LONGEST_BLOCK_SECONDS)
            if texts.wait_for_more(visit.lease, waiting[-1].entry_id, seconds=seconds):
                waiting = texts.waiting(visit.lease, limit=READ_AHEAD + 1)
        return waiting

    def _whole(self, visit: Visit, waiting: Sequence[ports.Waiting]) -> Sequence[ports.Waiting]:
        """Return all texts that wait, `HEEDED` at most; `waiting` are the first."""
        if len(waiting) <= READ_AHEAD:
            return waiting
        return self._inbox.texts.waiting(visit.lease, limit=HEEDED)

    def _remove(self, visit: Visit, entries: Sequence[str]) -> None:
        if not entries:
            return
        repeated = self._inbox.texts.remove(visit.lease, entries)
        if repeated is None:
            raise errors.Fenced("the lease was lost")
        for sid, times in repeated.items():
            self._journal.turns.note_duplicates(visit.user_id, sid, times, now=visit.now())

    def _release(self, visit: Visit, due_ms: int, why: str, *, failed: bool = False) -> None:
        """Release the lease until `due_ms`, with retries: a visit that does not release counts as dead."""
        self._telemetry.emit(telemetry.parked(visit.lease.who, why))
        until = self._host.monotonic() + retry_policy.RELEASE_SECONDS
        while True:
            try:
                self._inbox.leases.release_until(visit.lease, due_ms=due_ms, failed=failed)
            except InboxAway:
                if self._host.monotonic() >= until:
                    raise
                self._host.sleep(retry_policy.RELEASE_PAUSE_SECONDS)
            else:
                return

    def _note_error(self, visit: Visit) -> None:
        """Keep the traceback with the turns in hand, for the reader of their dead letter."""
        for turn in visit.in_hand:
            with suppress(*OUTSIDE):
                self._journal.turns.note_error(turn, traceback.format_exc())
