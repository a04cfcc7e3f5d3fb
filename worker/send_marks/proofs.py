"""Settle the attempts of which a mark proves that they created nothing; give back dead leases.

The proof is positive: a dead process's mark says CLAIMING or REFUSED for this very attempt. A mark that is missing
proves nothing. A mark that says BEGUN proves nothing either: its part stays in doubt, for the callback or the list.

For each attempt the fence is raised first, so that no late copy of the claim can take effect. Then the part becomes
due, its text goes back into the inbox if that lost it, the lease is given back, and a wake-up task is pushed. Each
step may be repeated, and several readers do no harm: a proof about an attempt holds for ever.

If the carrier ever reports a message of an attempt that was proven unsent, marks are not believed any more, on any
machine, until an operator says so (`dadacat marks --trust`).
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Final

from inbox.payloads import Who
from inbox.ports import Inbox
from journal.model import RowName
from journal.ports import Journal
from journal.states import PartState
from runtime.errors import Away
from runtime.isolation import BadItem, isolated
from worker import telemetry
from worker.put_back import put_back
from worker.send_marks.mark_file import Slot, State, age_seconds, files_in, of_the_dead
from worker.send_marks.marks import Marks

#: How often a process looks for neighbours that died. To try a file's lock costs some microseconds.
LOOK_EVERY_SECONDS: Final = 1.0
#: A proof that cannot be used for so long, because Redis does not know its person any more, is dropped.
KEPT_SECONDS: Final = 86_400.0
#: The name under which the journal stores since when marks are not believed.
DISTRUSTED: Final = "marks distrusted"


class Proofs:
    """Reads the marks of dead neighbours, and those that this process abandoned."""

    def __init__(
        self, inbox: Inbox, journal: Journal, marks: Marks, *, telemetry: telemetry.Telemetry = telemetry.SILENT
    ) -> None:
        self._inbox = inbox
        self._journal = journal
        self._marks = marks
        self._telemetry = telemetry

    def look(self) -> None:
        """Settle what can be settled now. A store that is away leaves the rest for the next look."""
        self._marks.open()
        self._marks.touch()
        for slot, seconds in self._marks.abandoned():
            if self._settled(slot, dead=False) or seconds > KEPT_SECONDS:
                self._marks.was_settled(slot)
        folder = self._marks.folder
        for path in files_in(folder) if folder is not None else ():
            # a file that cannot be read keeps no other from being settled; the next look tries it again
            with isolated("mark", path.name, self._note, outside=(Away,)):
                self._bury(path)

    def _bury(self, path: Path) -> None:
        """Settle a dead process's file and delete it."""
        with of_the_dead(path) as slots:
            if slots is None:
                return
            begun = [slot for slot in slots if slot.state is State.BEGUN]
            settled = [self._settled(slot, dead=True) for slot in slots]
            if all(settled) or age_seconds(path) > KEPT_SECONDS:
                path.unlink(missing_ok=True)  # an operator, or a cleaner of the host, may have been faster
                if slots:
                    self._telemetry.emit(telemetry.neighbour_died(visits=len(slots), in_doubt=len(begun)))

    def _settled(self, slot: Slot, *, dead: bool) -> bool:
        """Settle one mark; False if a store is away, or the person is not known at present."""
        settled = True  # also if its row cannot be read: the reconciler lists it, and the part stays in doubt
        try:
            with isolated("mark", slot.key, self._note, outside=(Away,)):
                settled = self._settle(slot, dead=dead)
        except Away as exc:
            self._telemetry.emit(telemetry.proof_waits(type(exc).__name__))
            return False
        return settled

    def _note(self, item: BadItem) -> None:
        self._telemetry.emit(telemetry.set_aside(item))

    def _settle(self, slot: Slot, *, dead: bool) -> bool:
        who = Who(slot.who)
        if slot.is_proof:
            user_id = self._inbox.people.user_id(who)
            if user_id is None:
                return False
            if self._journal.unsettled.watermark(DISTRUSTED) is None:
                self._prove(user_id, slot)
            self._restore(user_id, slot.key)
        if dead and not self._inbox.leases.give_back(who, slot.token) and not slot.is_proof:
            return True
        self._inbox.agenda.wake(who)
        return True

    def _prove(self, user_id: str, slot: Slot) -> None:
        now = self._inbox.clock.now()
        part = self._journal.outbox.prove_unsent(
            user_id, slot.key, attempt_id=slot.attempt_id, fence=slot.fence, now=now
        )
        if part is None:
            return
        if part.state is PartState.SENT and part.was_created_by(slot.attempt_id):
            distrust(self._journal, slot.attempt_id, now, self._telemetry)
        elif part.proven_unsent == slot.attempt_id:
            self._telemetry.emit(telemetry.repaired("proven unsent", slot.key))

    def _restore(self, user_id: str, key: str) -> None:
        """Put the text back into the inbox, if that lost it; the visit decides what there is to do."""
        turn = self._journal.turns.get(user_id, RowName(user_id=user_id, key=key).sid)
        put_back(self._inbox.texts, turn)


def distrust(journal: Journal, attempt_id: str, now: datetime, telemetry_: telemetry.Telemetry) -> None:
    """Stop believing marks: the carrier has a message of an attempt that was proven unsent."""
    journal.unsettled.set_watermark(DISTRUSTED, now)
    telemetry_.emit(telemetry.alarmed(telemetry.Alarm.CONTRADICTED, f"the carrier has a message of {attempt_id}"))
