"""The wires of a day's processes: they let calls take their time, and break some."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import redis

from chaos.days.kernel import Died, Process
from chaos.days.machine import Worker
from chaos.days.plan import Fault, What
from chaos.days.wire import REDIS, WatchedRedis
from conversation.errors import ConditionFailed, Conflict, StoreAway
from sms.ports import ErrorClass, NotCreated, Unknown, Verdict

if TYPE_CHECKING:
    from chaos.days.day import Day

#: A caller without an answer gives up after this time.
TIMEOUT_SECONDS: Final = 3.0
#: An answer that comes sooner is not waited for: nothing can tell.
_SLOW_SECONDS: Final = 0.004
#: What a replica still answers.
_READS: Final = frozenset({"time", "hget", "xrange", "zrange", "xread", "smembers", "exists"})
#: Steps after which a task may stand in the queue.
_PUSHES: Final = frozenset({"accept", "receive", "request", "lpush"})
_BEFORE: Final = frozenset({What.DIES_BEFORE, What.STOPS_BEFORE, What.SLEEPS_BEFORE, What.HOST_LOST_BEFORE})


class DayRedis(WatchedRedis):
    """A client whose blocking reads wait in the day's time."""

    def __init__(self, behind: redis.Redis, wire: Any, edits: Mapping[str, str], *, day: Day, process: Process) -> None:
        super().__init__(behind, wire, edits)
        self._day, self._process = day, process

    def arrived(self, name: str, args: Sequence[Any], answer: Any) -> None:
        """Let the rules of the day judge a command that took effect."""
        self._day.rules.redis(name, args, answer, self._process)

    def execute_command(self, *args: Any, **options: Any) -> Any:
        """Carry out one command."""
        if args[0] != "XREAD" or b"BLOCK" not in args:
            return super().execute_command(*args, **options)
        place = args.index(b"BLOCK")
        until = self._day.kernel.now + int(args[place + 1]) / 1000
        command = (*args[:place], *args[place + 2 :])
        while not (found := super().execute_command(*command, **options)):
            left = until - self._day.kernel.now
            if left <= 0:
                return found
            self._day.arrived.wait(left)
        return found


class DayWire:
    """The wire of one process: it lets calls take their time, and breaks some."""

    def __init__(self, day: Day, process: Process) -> None:
        self._day = day
        self._process = process

    def carry(
        self, service: str, name: str, real: Callable[[], Any], lost: Callable[[], Any], *, about: str = ""
    ) -> Any:
        """Carry out one call."""
        day, thread = self._day, self._day.kernel.thread()
        fault = day.faults.strike(name, about)
        if fault is not None:
            return self._break(fault, service, name, real, lost)
        thread.wait(day.latency())
        outage = day.faults.outage(service)
        if outage is not None:
            thread.wait(TIMEOUT_SECONDS * thread.rng.random())
            return self._fail(outage, service, name, real, lost)
        return self._carry(service, name, real)

    def _carry(self, service: str, name: str, real: Callable[[], Any]) -> Any:
        """Let the call arrive, and its answer come back."""
        day = self._day
        try:
            return self._arrive(service, name, real)
        finally:
            # the next call begins with a wait, too
            if (latency := day.latency()) > _SLOW_SECONDS:
                day.kernel.sleep(latency)

    def _arrive(self, service: str, name: str, real: Callable[[], Any]) -> Any:
        day = self._day
        try:
            answer = real()
        except ConditionFailed:
            day.say(f"{name}: refused")
            raise
        day.say(name)
        if service == REDIS:
            if name in _PUSHES:
                day.rung.ring(1)
            if name == "accept":
                day.arrived.ring()
        return answer

    def _fail(self, outage: Fault, service: str, name: str, real: Callable[[], Any], lost: Callable[[], Any]) -> Any:
        if outage.what is What.REDIS_DEMOTED:
            if name in _READS:
                return self._carry(service, name, real)
            raise redis.ReadOnlyError("READONLY You can't write against a read only replica.")
        if outage.what is What.STORE_THROTTLES:
            # some calls go through
            if self._day.kernel.thread().rng.random() < 0.5:  # noqa: PLR2004 - a share
                return self._carry(service, name, real)
            raise StoreAway("dynamodb throttles")
        return lost()

    def _break(self, fault: Fault, service: str, name: str, real: Callable[[], Any], lost: Callable[[], Any]) -> Any:
        day, thread, what = self._day, self._day.kernel.thread(), fault.what
        thread.wait(day.latency())
        if what in _BEFORE:
            self._strike_process(fault, name)
            return self._carry(service, name, real)
        if what is What.LOST_BEFORE:
            thread.wait(TIMEOUT_SECONDS)
            return lost()
        if what in {What.LATE, What.DIES_FIRST}:
            day.kernel.at(day.kernel.now + fault.seconds, lambda: self._land(service, name, real))
            if what is What.DIES_FIRST:
                day.faults.kill(self._process, f"and its {name} is on its way")
                raise Died
            thread.wait(min(TIMEOUT_SECONDS, fault.seconds))
            return lost()
        if what is What.CONFLICT:
            raise Conflict("another transaction held the rows")
        if what in {What.REFUSED, What.FAILS, What.FAILS_CREATED}:
            self._answer(what)
        answer = self._arrive(service, name, real)
        if what is What.LOST_AFTER:
            thread.wait(TIMEOUT_SECONDS)
            return lost()
        if what is What.ECHOES:
            day.kernel.at(day.kernel.now + fault.seconds, lambda: self._land(service, name, real))
        if what is What.TWICE:
            thread.wait(fault.seconds)
            answer = self._arrive(service, name, real)
        self._strike_process(fault, name)
        thread.wait(day.latency())
        return answer

    def _strike_process(self, fault: Fault, name: str) -> None:
        day, process = self._day, self._process
        place = "before" if fault.what in _BEFORE else "after"
        if fault.what in {What.DIES_BEFORE, What.DIES_AFTER}:
            day.faults.kill(process, f"{place} {name}", away=fault.seconds)
            raise Died
        if fault.what in {What.HOST_LOST_BEFORE, What.HOST_LOST_AFTER} and isinstance(process, Worker):
            day.faults.lose_host(process.machine, f"{place} {name}", away=fault.seconds)
            raise Died
        if fault.what in {What.STOPS_BEFORE, What.STOPS_AFTER}:
            process.stop(fault.seconds)
            day.kernel.sleep(0)  # this thread stands still, too, before it goes on
        if fault.what in {What.SLEEPS_BEFORE, What.SLEEPS_AFTER}:
            day.kernel.sleep(fault.seconds)

    def _land(self, service: str, name: str, real: Callable[[], Any]) -> None:
        """Let a call arrive whose caller has gone on."""
        try:
            self._arrive(service, f"{name}, late", real)
        except (ConditionFailed, redis.RedisError):
            return

    def _answer(self, what: What) -> None:
        """Let the carrier answer the next request in another way."""
        carrier = self._day.network.carrier
        if what is What.REFUSED:
            verdict = Verdict(error_class=ErrorClass.TRY_AGAIN, code=20429, means="too many requests")
            carrier.answers.append(NotCreated(verdict=verdict))
        else:
            carrier.answers.append(Unknown(reason="503"))
        carrier.creates_anyway = what is What.FAILS_CREATED
