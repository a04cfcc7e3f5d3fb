"""What breaks in a day: at single calls, for a while, and at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

from chaos.days import judge
from chaos.days.kernel import Process
from chaos.days.machine import Machine, Worker, who_of
from chaos.days.network import phone, sid_of
from chaos.days.plan import AT_A_CALL, AT_THE_CARRIER, LONGEST_RESTART_SECONDS, Fault, What
from chaos.days.wire import CARRIER, REDIS, SCRIPTS, STORE
from conversation import schema

if TYPE_CHECKING:
    from chaos.days.day import Day

#: A webhook that died, or a worker whose fault does not say when, is started again after this time.
RESTART_SECONDS: Final = 5.0
_WINDOWS: Final[Mapping[What, str]] = {
    What.STORE_AWAY: STORE,
    What.STORE_THROTTLES: STORE,
    What.REDIS_AWAY: REDIS,
    What.REDIS_DEMOTED: REDIS,
    What.CARRIER_AWAY: CARRIER,
}


class Faults:
    """Lets the faults of a day's plan strike, and counts those that did."""

    def __init__(self, day: Day) -> None:
        self._day = day
        #: Nothing breaks any more once this is False.
        self.is_on = True
        self.struck: Counter[What] = Counter()
        #: Call and what it is about to how many there were; empty: about anything.
        self._calls: Counter[tuple[str, str]] = Counter()
        self._strikes_at = {(f.call, self._about(f), f.nth): f for f in day.plan.faults if f.what in AT_A_CALL}
        #: Service to its present outage.
        self._outages: dict[str, Fault] = {}

    def end(self) -> None:
        """Let everything work again."""
        self.is_on = False
        self._outages.clear()

    @property
    def is_refused(self) -> bool:
        """Return whether a store of this day refuses us at times, so that an alarm is right."""
        return any(fault.what is What.REDIS_DEMOTED for fault in self._day.plan.faults)

    def strike(self, call: str, about: str = "") -> Fault | None:
        """Count a call, about a text, a person or nothing; return the fault that strikes it."""
        struck = [self._nth(call, subject) for subject in dict.fromkeys(("", about))]
        fault = next((fault for fault in struck if fault is not None), None) if self.is_on else None
        if fault is not None:
            self.note(fault.what)
        return fault

    def _nth(self, call: str, about: str) -> Fault | None:
        self._calls[call, about] += 1
        return self._strikes_at.get((call, about, self._calls[call, about]))

    def _about(self, fault: Fault) -> str:
        """Return what the calls are about that a fault may strike: a script knows only the person of a text."""
        text = next((text for text in self._day.plan.texts if text.number == fault.text), None)
        if text is None:
            return ""
        return who_of(phone(text.person)) if fault.call in SCRIPTS else sid_of(self._day.plan.seed, text.number)

    def outage(self, service: str) -> Fault | None:
        """Return what keeps a service from answering."""
        return self._outages.get(service)

    def kill(self, process: Process, why: str, *, away: float = 0.0) -> None:
        """End a process, and start another one in a while."""
        if process.is_dead:
            return
        self._day.say(f"{process.name} dies: {why}")
        if isinstance(process, Worker):
            for attempt in process.begun():
                self._day.rules.doubted(attempt)
            # nothing reads its marks, or only when its replies are held
            is_unread = process.is_markless or away >= LONGEST_RESTART_SECONDS
            for attempt in process.in_flight.values() if is_unread else process.begun():
                self._day.doubted(attempt, f"killed: {why}")
        process.die()
        again = self._day.kernel.now + (away or RESTART_SECONDS)
        if isinstance(process, Worker):
            process.machine.workers.remove(process)
            self._day.kernel.at(again, lambda: self._day.start_worker(process.machine))

    def lose_host(self, machine: Machine, why: str, *, away: float = 0.0) -> None:
        """End all processes of a host, with all that is in its memory."""
        self._day.say(f"{machine.name} is lost: {why}")
        self._lose_marks(machine, why)
        for worker in list(machine.workers):
            self.kill(worker, "its host was lost", away=away)

    def note(self, what: What) -> None:
        """Count a fault that took effect."""
        self.struck[what] += 1
        self._day.say(f"FAULT {what}")

    def befall(self, fault: Fault, stack: ExitStack) -> None:
        """Let something happen that no call brings about."""
        machine = self._day.machines[fault.nth % len(self._day.machines)]
        if fault.what in _WINDOWS:
            service = _WINDOWS[fault.what]
            self._outages[service] = fault
            self._day.kernel.at(fault.at + fault.seconds, lambda: self._end_outage(service, fault))
        elif fault.what is What.REDIS_EMPTIED:
            self._day.server.flushall()
            self._day.rules.emptied()
        elif fault.what is What.INDEX_LAGS:
            held = stack.enter_context(ExitStack())
            held.enter_context(self._day.tables.hold_index(schema.MESSAGES))
            self._day.kernel.at(fault.at + fault.seconds, held.close)
        elif fault.what is What.HOST_LOST:
            self.lose_host(machine, str(fault.what), away=fault.seconds)
        elif fault.what is What.MARKS_LOST:
            self._lose_marks(machine, str(fault.what))
        elif fault.what is What.KILLED and machine.workers:
            self.kill(machine.workers[fault.nth % len(machine.workers)], str(fault.what), away=fault.seconds)
        elif fault.what in AT_THE_CARRIER:
            self._day.network.befall(fault)
        else:
            return
        self.note(fault.what)

    def _end_outage(self, service: str, fault: Fault) -> None:
        if self._outages.get(service) is fault:
            del self._outages[service]

    def _lose_marks(self, machine: Machine, why: str) -> None:
        """Delete the marks of a host; what its dead processes left cannot be told any more."""
        for path in machine.folder.glob("*/*.mark"):
            for slot in judge.slots(path):
                self._day.doubted(slot.attempt_id, why)
            path.unlink()
        for worker in machine.workers:
            worker.is_markless = True
