"""One simulated day: the plan is carried out, faults strike, and at the end every text is accounted for."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, Final

import redis

from chaos.days import judge
from chaos.days.fake_redis import OneConnection
from chaos.days.kernel import Bell, Died, Kernel, Process
from chaos.days.machine import Beat, Machine, Webhook, Worker
from chaos.days.network import START, Network, phone
from chaos.days.plan import AT_A_CALL, BUSY_SECONDS, Fault, Plan, What
from chaos.days.wire import CARRIER, REDIS, STORE, WatchedRedis
from conversation import schema
from conversation.errors import ConditionFailed, Conflict, StoreAway
from conversation.memory_table import MemoryTables
from inbox import keys, payloads
from journal.model import bucket
from sms.messages import InboundSms
from sms.ports import ErrorClass, NotCreated, Unknown, Verdict

SWEEP_SECONDS: Final = 30.0
RECONCILE_SECONDS: Final = 90.0
#: A day that is not at rest this long after its last fault is judged as it stands.
LONGEST_REST_SECONDS: Final = 1800.0
REST_LOOK_SECONDS: Final = 10.0
#: A process that died, or whose host was lost, is started again after about this time.
RESTART_SECONDS: Final = 5.0
#: An answer that comes sooner is not waited for: nothing can tell.
_SLOW_SECONDS: Final = 0.004
#: A caller without an answer gives up after this time.
TIMEOUT_SECONDS: Final = 3.0

_START_MS: Final = int(START.timestamp() * 1000)
#: What a replica still answers.
_READS: Final = frozenset({"time", "hget", "xrange", "zrange", "xread", "smembers", "exists"})
#: Steps after which a task may stand in the queue.
_PUSHES: Final = frozenset({"accept", "receive", "request", "lpush"})
_BEFORE: Final = frozenset({What.DIES_BEFORE, What.STOPS_BEFORE, What.SLEEPS_BEFORE, What.HOST_LOST_BEFORE})
_WINDOWS: Final[Mapping[What, str]] = {
    What.STORE_AWAY: STORE,
    What.STORE_THROTTLES: STORE,
    What.REDIS_AWAY: REDIS,
    What.REDIS_DEMOTED: REDIS,
    What.CARRIER_AWAY: CARRIER,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a day."""

    plan: Plan
    texts: int
    #: Simulated seconds until the day was at rest.
    seconds: float
    #: How often each kind of fault took effect.
    struck: Mapping[What, int]
    #: Replies in doubt for good, with the fault that excuses each.
    held: Mapping[str, str]
    silent: int
    #: What must not happen and did; empty: the promise was kept.
    offences: Sequence[str]
    log: Sequence[str]


class _Clock:
    """The clock of the one Redis of this process."""

    kernel: Kernel | None = None

    @classmethod
    def ms(cls) -> int:
        return _START_MS + int((cls.kernel.now if cls.kernel else 0.0) * 1000)


@cache
def _server() -> OneConnection:
    """Return the one Redis of this process, which each day empties: a new one costs as much as ten calls."""
    return OneConnection(_Clock.ms)


@cache
def _folder() -> Path:
    """Return the folder of marks of this process: in memory, if there is such a file system."""
    memory = Path("/dev/shm")  # noqa: S108 - a folder of its own is made there
    folder = Path(tempfile.mkdtemp(prefix="dadacat-days-", dir=memory if memory.is_dir() else None))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def simulate(
    plan: Plan, *, tables: Callable[[], MemoryTables] | None = None, edits: Mapping[str, str] | None = None,
    logged: bool = False,
) -> Outcome:  # fmt: skip
    """Run a day. `tables` and `edits` replace tables and some of the scripts; `logged`: keep a line of each call."""
    return Day(plan, tables=tables, edits=edits, logged=logged).run()


class Day:
    """Everything in a day that its processes share."""

    def __init__(
        self,
        plan: Plan,
        *,
        tables: Callable[[], MemoryTables] | None = None,
        edits: Mapping[str, str] | None = None,
        logged: bool = False,
    ) -> None:
        self.plan = plan
        self.kernel = _Clock.kernel = Kernel()
        self.server = _server()
        self.server.flushall()
        shutil.rmtree(_folder(), ignore_errors=True)
        self.tables = tables() if tables else MemoryTables(schema.conversations(), schema.messages())
        self.offences: list[str] = []
        self.struck: Counter[What] = Counter()
        #: Attempt id to the fault that hid its outcome.
        self.excuses: dict[str, str] = {}
        self.log: list[str] = []
        self.rung, self.arrived = Bell(self.kernel), Bell(self.kernel)
        self.buckets = sorted({bucket(phone(text.person)) for text in plan.texts})
        self.network = Network(self.kernel, plan.seed, tuple(plan.faults), -plan.terms.skew / 3, self._strikes)
        self._edits = edits or {}
        self._is_logged = logged
        self._is_busy = True
        self._calls: Counter[str] = Counter()
        self._strikes_at = {(f.call, f.nth): f for f in plan.faults if f.what in AT_A_CALL}
        #: Service to its present outage.
        self._outages: dict[str, Fault] = {}
        self._names = Counter[str]()

    def run(self) -> Outcome:
        """Carry the plan out and judge it."""
        machines = [
            Machine(f"host{number}", _folder() / f"host{number}", self.plan.terms.skew * (-1) ** number)
            for number in range(self.plan.terms.hosts)
        ]
        self.machines = machines
        for number in range(self.plan.terms.workers):
            self._start_worker(machines[number % len(machines)])
        self.webhook = Webhook(self, "webhook")
        self.network.accept = lambda text, accepted: self._at_webhook(lambda: self.webhook.accept(text, accepted))
        self.network.receive = lambda report: self._at_webhook(lambda: self.webhook.receive(report))
        beat = Beat(self)
        beat.every(SWEEP_SECONDS, payloads.SWEEP_TASK)
        beat.every(RECONCILE_SECONDS, payloads.RECONCILE_TASK)
        texts = [self.network.text(text) for text in self.plan.texts]
        with ExitStack() as stack:
            for fault in self.plan.faults:
                if fault.at:
                    self.kernel.at(fault.at, partial(self._befall, fault, stack))
            self.kernel.run(BUSY_SECONDS + 10)
            self._outages.clear()
        self._is_busy = False
        self._come_to_rest(texts)
        verdict = judge.judge(self, texts)
        for process in (beat, self.webhook, *(worker for machine in machines for worker in machine.workers)):
            if not process.is_dead:
                process.die()
        self.kernel.run(self.kernel.now)
        return Outcome(
            plan=self.plan, texts=len(texts), seconds=self.kernel.now, struck=dict(self.struck), held=verdict.held,
            silent=verdict.silent, offences=tuple(self.offences), log=self.log,
        )  # fmt: skip

    # What processes use

    def wire(self, process: Process) -> _DayWire:
        """Return the wire of a process."""
        return _DayWire(self, process)

    def client(self, process: Process) -> redis.Redis:
        """Return a client of Redis for a process."""
        return _DayRedis(self.server, self.wire(process), self._edits, day=self)

    def wait_for_task(self) -> None:
        """Wait until there is a task in the queue."""
        while not self.server.holds(keys.QUEUE):
            self.rung.wait()

    def pop(self) -> bytes | None:
        """Take a task from the queue."""
        message: Any = self.server.rpop(keys.QUEUE)
        return message if isinstance(message, bytes) else None

    def think(self) -> None:
        """Let a thread think about a reply; sometimes for longer than a lease lasts."""
        dice = self.kernel.thread().rng
        seconds = dice.choice((0.2, 0.5, 1.0, 1.0, 3.0, 3.0, 26.0)) if self.plan.terms.varied else 1.0
        self.kernel.sleep(seconds)

    def latency(self) -> float:
        """Return how long a call, or its answer, is on its way."""
        if not self.plan.terms.varied:
            return 0.001
        dice = self.kernel.thread().rng
        kind = dice.random()
        return dice.random() * (0.004 if kind < 0.9 else 0.06 if kind < 0.98 else 1.5)  # noqa: PLR2004 - shares

    def say(self, what: str) -> None:
        """Write a line of the log."""
        if self._is_logged:
            thread = self.kernel.current
            self.log.append(f"{self.kernel.now:10.4f} {thread.name if thread else 'day':<16} {what}")

    def offend(self, offence: str) -> None:
        """Note what must not happen."""
        self.say(f"OFFENCE {offence}")
        self.offences.append(offence)

    def doubted(self, attempt: str, why: str) -> None:
        """Note that a fault hid the outcome of an attempt."""
        self.excuses[attempt] = why

    # What breaks

    @property
    def is_refused(self) -> bool:
        """Return whether a store of this day refuses us at times, so that an alarm is right."""
        return any(fault.what is What.REDIS_DEMOTED for fault in self.plan.faults)

    def strike(self, call: str) -> Fault | None:
        """Count a call; return the fault that strikes it."""
        self._calls[call] += 1
        fault = self._strikes_at.get((call, self._calls[call])) if self._is_busy else None
        if fault is not None:
            self._strikes(fault.what)
        return fault

    def outage(self, service: str) -> Fault | None:
        """Return what keeps a service from answering."""
        return self._outages.get(service)

    def kill(self, process: Process, why: str) -> None:
        """End a process, and start another one in a while."""
        if process.is_dead:
            return
        self.say(f"{process.name} dies: {why}")
        if isinstance(process, Worker):
            hidden = tuple(process.in_flight.values()) if process.is_markless else process.begun()
            for attempt in hidden:
                self.doubted(attempt, f"killed: {why}")
        process.die()
        again = self.kernel.now + RESTART_SECONDS
        if isinstance(process, Worker):
            process.machine.workers.remove(process)
            self.kernel.at(again, lambda: self._start_worker(process.machine))

    def lose_host(self, machine: Machine, why: str) -> None:
        """End all processes of a host, with all that is in its memory."""
        self.say(f"{machine.name} is lost: {why}")
        self._lose_marks(machine, why)
        for worker in list(machine.workers):
            self.kill(worker, "its host was lost")

    def _strikes(self, what: What) -> None:
        self.struck[what] += 1
        self.say(f"FAULT {what}")

    def _befall(self, fault: Fault, stack: ExitStack) -> None:
        """Let something happen that no call brings about."""
        machine = self.machines[fault.nth % len(self.machines)]
        if fault.what in _WINDOWS:
            service = _WINDOWS[fault.what]
            self._outages[service] = fault
            self.kernel.at(fault.at + fault.seconds, lambda: self._end_outage(service, fault))
        elif fault.what is What.REDIS_EMPTIED:
            self.server.flushall()
        elif fault.what is What.INDEX_LAGS:
            held = stack.enter_context(ExitStack())
            held.enter_context(self.tables.hold_index(schema.MESSAGES))
            self.kernel.at(fault.at + fault.seconds, held.close)
        elif fault.what is What.HOST_LOST:
            self.lose_host(machine, str(fault.what))
        elif fault.what is What.MARKS_LOST:
            self._lose_marks(machine, str(fault.what))
        elif fault.what is What.KILLED and machine.workers:
            self.kill(machine.workers[fault.nth % len(machine.workers)], str(fault.what))
        else:
            return
        self._strikes(fault.what)

    def _end_outage(self, service: str, fault: Fault) -> None:
        if self._outages.get(service) is fault:
            del self._outages[service]

    def _lose_marks(self, machine: Machine, why: str) -> None:
        """Delete the marks of a host; what its dead processes left cannot be told any more."""
        for path in machine.folder.glob("*/*.mark"):
            for slot in judge.slots(path):
                self.doubted(slot.attempt_id, why)
            path.unlink()
        for worker in machine.workers:
            worker.is_markless = True

    def _start_worker(self, machine: Machine) -> None:
        self._names[machine.name] += 1
        machine.workers.append(Worker(self, machine, f"{machine.name}w{self._names[machine.name]}"))

    def _at_webhook(self, request: Callable[[], None]) -> None:
        """Hand a request to the webhook; a dead one is started again."""
        if self.webhook.is_dead:
            self._names["webhook"] += 1
            self.webhook = Webhook(self, f"webhook{self._names['webhook']}")
        request()

    # The end

    def _come_to_rest(self, texts: Sequence[InboundSms]) -> None:
        longest = self.kernel.now + LONGEST_REST_SECONDS
        while self.kernel.now < longest:
            self.kernel.run(self.kernel.now + REST_LOOK_SECONDS)
            if not self.network.pending and judge.is_at_rest(self, texts):
                return


class _DayRedis(WatchedRedis):
    """A client whose blocking reads wait in the day's time."""

    def __init__(self, behind: redis.Redis, wire: Any, edits: Mapping[str, str], *, day: Day) -> None:
        super().__init__(behind, wire, edits)
        self._day = day

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


class _DayWire:
    """The wire of one process: it lets calls take their time, and breaks some."""

    def __init__(self, day: Day, process: Process) -> None:
        self._day = day
        self._process = process

    def carry(self, service: str, name: str, real: Callable[[], Any], lost: Callable[[], Any]) -> Any:
        """Carry out one call."""
        day, thread = self._day, self._day.kernel.thread()
        fault = day.strike(name)
        if fault is not None:
            return self._break(fault, service, name, real, lost)
        thread.wait(day.latency())
        outage = day.outage(service)
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
        if what is What.LATE:
            day.kernel.at(day.kernel.now + fault.seconds, lambda: self._land(service, name, real))
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
            day.kill(process, f"{place} {name}")
            raise Died
        if fault.what in {What.HOST_LOST_BEFORE, What.HOST_LOST_AFTER} and isinstance(process, Worker):
            day.lose_host(process.machine, f"{place} {name}")
            raise Died
        if fault.what in {What.STOPS_BEFORE, What.STOPS_AFTER}:
            process.stop(fault.seconds)
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
