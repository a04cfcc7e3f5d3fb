"""One simulated day: a plan is carried out, and at its end every text is accounted for."""

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
from chaos.days.faults import Faults
from chaos.days.kernel import Bell, Kernel, Process
from chaos.days.lines import DayRedis, DayWire
from chaos.days.machine import LEASE, Beat, Machine, Webhook, Worker, who_of
from chaos.days.network import START, Network, phone
from chaos.days.plan import BUSY_SECONDS, Plan, What
from chaos.days.rules import Rules
from conversation import schema
from conversation.memory_table import MemoryTables
from inbox import keys, payloads
from journal.model import bucket
from sms.messages import InboundSms

SWEEP_SECONDS: Final = 30.0
RECONCILE_SECONDS: Final = 90.0
#: A day that is not at rest this long after its last fault is judged as it stands.
LONGEST_REST_SECONDS: Final = 2400.0
REST_LOOK_SECONDS: Final = 10.0

_START_MS: Final = int(START.timestamp() * 1000)


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
    """Run a day.

    `tables` and `edits` replace the tables and some of the scripts. `logged`: keep a line of each call.
    """
    return Day(plan, tables=tables, edits=edits, logged=logged).run()


class Day:
    """Everything in a day that its processes share.

    A process has one Redis and one folder of marks: a new day takes those of the day before.
    """

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
        #: Attempt id to the fault that hid its outcome.
        self.excuses: dict[str, str] = {}
        self.log: list[str] = []
        self.rung, self.arrived = Bell(self.kernel), Bell(self.kernel)
        self.buckets = sorted({bucket(phone(text.person)) for text in plan.texts})
        self.faults = Faults(self)
        people = {str(who_of(phone(text.person))): phone(text.person) for text in plan.texts}
        self.rules = Rules(self, people, LEASE.total_seconds())
        self.network = Network(self.kernel, plan.seed, tuple(plan.faults), -plan.terms.skew / 3, self.faults.note)
        self._edits = edits or {}
        self._is_logged = logged
        self._names = Counter[str]()

    def run(self) -> Outcome:
        """Carry the plan out and judge it."""
        machines = [
            Machine(f"host{number}", _folder() / f"host{number}", self.plan.terms.skew * (-1) ** number)
            for number in range(self.plan.terms.hosts)
        ]
        self.machines = machines
        for number in range(self.plan.terms.workers):
            self.start_worker(machines[number % len(machines)])
        self.webhook = Webhook(self, "webhook")
        self.network.accept = self._accept
        self.network.receive = lambda report: self._at_webhook(lambda: self.webhook.receive(report))
        beat = Beat(self)
        beat.every(SWEEP_SECONDS, payloads.SWEEP_TASK)
        beat.every(RECONCILE_SECONDS, payloads.RECONCILE_TASK)
        texts = [self.network.text(text) for text in self.plan.texts]
        self.rules.know(texts)
        with ExitStack() as stack:
            for fault in self.plan.faults:
                if fault.at:
                    self.kernel.at(fault.at, partial(self.faults.befall, fault, stack))
            self.kernel.run(BUSY_SECONDS + 10)
        self.faults.end()
        self._come_to_rest(texts)
        verdict = judge.judge(self, texts)
        for process in (beat, self.webhook, *(worker for machine in machines for worker in machine.workers)):
            if not process.is_dead:
                process.die()
        self.kernel.run(self.kernel.now)
        return Outcome(
            plan=self.plan, texts=len(texts), seconds=self.kernel.now, struck=dict(self.faults.struck),
            held=verdict.held, silent=verdict.silent, offences=tuple(self.offences), log=self.log,
        )  # fmt: skip

    # What processes use

    def wire(self, process: Process) -> DayWire:
        """Return the wire of a process."""
        return DayWire(self, process)

    def client(self, process: Process) -> redis.Redis:
        """Return a client of Redis for a process."""
        return DayRedis(self.server, self.wire(process), self._edits, day=self, process=process)

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

    def start_worker(self, machine: Machine) -> None:
        """Start a worker process on a machine."""
        self._names[machine.name] += 1
        machine.workers.append(Worker(self, machine, f"{machine.name}w{self._names[machine.name]}"))

    def _accept(self, text: InboundSms, accepted: Callable[[], None]) -> None:
        """Hand a text to the webhook."""

        def confirmed() -> None:
            self.rules.confirmed(text)
            accepted()

        self._at_webhook(lambda: self.webhook.accept(text, confirmed))

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
