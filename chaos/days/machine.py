"""The processes of a day: workers as the product composes them, and webhooks."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import redis

from cat import recall
from cat.chain import Cat
from cat.ports import Heard, Reply
from chaos.days.kernel import Process, Semaphore
from chaos.days.network import OUR_NUMBER, START, attempt_of
from chaos.days.wire import (
    CARRIER,
    REDIS,
    REDIS_IS_AWAY,
    WatchedSender,
    WatchedTables,
    purpose,
    raising,
)
from conversation.storage import DynamoDBStorage
from conversation.table import Update
from inbox import arrivals, keys, payloads, wakeup
from inbox.budget import Caps
from inbox.circuit import RedisCircuit
from inbox.connection import Scripts
from inbox.errors import InboxAway
from inbox.inbox import on_redis
from inbox.payloads import Who
from inbox.ports import Inbox
from inbox.rates import RedisLimits
from inbox.redis_budget import RedisQuota
from journal.store import Journal
from runtime.errors import OUTSIDE
from runtime.host import Host
from sms.errors import CarrierAway
from sms.messages import DeliveryReport, InboundSms
from sms.ports import ErrorClass, NotCreated, OutboundSms, Outcome, Sent, Unknown, Verdict
from sms.prices import Tariff
from worker import retry_policy
from worker.budget import Budget
from worker.build.leases import watch
from worker.build.visits import compose_visits
from worker.delivery import Delivery
from worker.delivery import Terms as DeliveryTerms
from worker.delivery_failures import DeliveryFailures
from worker.delivery_failures import Terms as FailureTerms
from worker.lease import LeaseKeeper
from worker.limits import Limiter, Rates
from worker.receipts import Receipts
from worker.reconcile import absence
from worker.reconcile.reconciler import Reconciler
from worker.reconcile.reconciler import Terms as ReconcileTerms
from worker.recount import Counting
from worker.send_marks.mark_file import State, slots_in
from worker.send_marks.marks import Marks
from worker.send_marks.proofs import Proofs
from worker.telemetry import Alarm, Event
from worker.visit_settings import VisitSettings

if TYPE_CHECKING:
    from chaos.days.day import Day

WHO_KEY: Final = b"a day"
LEASE: Final = timedelta(seconds=20)
RENEW_SECONDS: Final = 5.0
WAKE_AGAIN: Final = timedelta(seconds=60)
PROBE_EVERY: Final = timedelta(seconds=30)
UNSETTLED_AFTER: Final = timedelta(seconds=30)
#: Shorter than in production, so that a day in doubt ends soon; longer than any fault of the list lasts.
VALIDITY_SECONDS: Final = 240
PATIENCE_SECONDS: Final = 60.0
#: Longer than any single message takes to show on the carrier's list, counted from its request.
RESEND_AFTER: Final = timedelta(seconds=240)
#: A message of one segment, so that it costs what was reserved for it.
SEGMENT_CHARACTERS: Final = 140
#: Conversations that one process serves at a time.
SLOTS: Final = 3
#: A worker that lost its queue looks for it again after this time.
POP_AGAIN_SECONDS: Final = 2.0
#: A message costs 10,000 millionths of a dollar.
TARIFF: Final = Tariff(segment={"+": 10_000}, channel={})
MARK_SLOTS: Final = 64


def who_of(person: str) -> Who:
    """Return a person's hash."""
    return payloads.who(person, WHO_KEY)


def inbox_on(client: redis.Redis) -> Inbox:
    """Return the real inbox."""
    return on_redis(client, who_key=WHO_KEY, lease=LEASE, wake_again=WAKE_AGAIN)


class Echo(Cat):
    """Answers by repeating what it heard, after a while. What a cat says is no subject of a day."""

    def __init__(self, parts: int, think: Callable[[], None]) -> None:
        super().__init__([], deadline_seconds=40, max_segments=3, max_parts=parts)
        self._parts = parts
        self._think = think

    def reply(self, heard: Heard, *, below: str = "", used_seconds: float = 0.0) -> Reply:
        """Return the words, in so many messages."""
        del below, used_seconds
        self._think()
        words = " + ".join(heard.texts)[:SEGMENT_CHARACTERS]
        parts = tuple(f"re {number}: {words}" for number in range(self._parts))
        return Reply(words="\n".join(parts), engine="echo", parts=parts, alert=heard.alert)

    def by_heart(self, heard: Heard, *, below: str = "") -> Reply:
        """Return the same."""
        return self.reply(heard, below=below)


class Line:
    """A worker's line to the carrier. `doubted` is told of each attempt whose outcome was not answered."""

    def __init__(self, day: Day, wire: Any, doubted: Callable[[str, str], None]) -> None:  # Any: a wire
        self._day, self._wire, self._doubted = day, wire, doubted

    def warm(self) -> None:
        """Look whether there is a connection."""
        self._wire.carry(CARRIER, "warm", lambda: None, raising(CarrierAway, "twilio"))

    def send(self, message: OutboundSms, *, may_begin: Callable[[], bool]) -> Outcome:
        """Connect, ask whether the first byte may leave, and write the request."""
        attempt = attempt_of(message)
        about = attempt.partition("-")[0]
        connected = self._wire.carry(CARRIER, "connect", lambda: True, lambda: False, about=about)
        if not connected or not may_begin():
            late = Verdict(error_class=ErrorClass.TRY_AGAIN, code=None, means="no byte was written")
            return NotCreated(verdict=late)
        self._day.rules.begins(message)
        outcome: Outcome = self._wire.carry(
            CARRIER, "send", lambda: self._day.network.create(message), lambda: Unknown(reason="no answer"),
            about=about,
        )  # fmt: skip
        if isinstance(outcome, Sent):
            self._day.network.accepted(message)
        if isinstance(outcome, Unknown):
            self._day.rules.doubted(attempt)
            self._doubted(attempt, "the carrier's answer was lost")
        return outcome


class _Tables(WatchedTables):
    """A worker's tables; they note which attempt at which part is in flight."""

    def __init__(self, behind: Any, wire: Any, in_flight: dict[str, str]) -> None:  # Any: tables, and a wire
        super().__init__(behind, wire)
        self._in_flight = in_flight

    def transact(self, *writes: Any) -> None:
        """Carry out a transaction, perhaps a claim."""
        for write in writes:
            if isinstance(write, Update) and "claimed_at" in write.set:
                self._in_flight[write.key["message_key"]] = write.set["attempt_id"]
        self.carried("transact")(*writes)

    def update(self, update: Update) -> Any:
        """Carry out an update, perhaps a bind."""
        row = self.carried("update")(update)
        if purpose("update", [update]) == "bind":
            self._in_flight.pop(update.key["message_key"], None)
        return row


class Machine:
    """A host: the processes on it, their folder of marks, and a clock of its own."""

    def __init__(self, name: str, folder: Path, skew: float) -> None:
        self.name = name
        self.folder = folder
        self.skew = skew
        self.workers: list[Worker] = []
        #: A process died whose file no neighbour has settled yet.
        self.has_graves = False

    def look_for_graves(self) -> None:
        """Find out whether a dead process's file is left."""
        living = {worker.marks.path for worker in self.workers if not worker.is_dead}
        self.has_graves = any(path not in living for path in self.folder.glob("*/*.mark"))


class Worker(Process):
    """A worker process: the product's parts on this machine, and threads that take tasks from the queue."""

    def __init__(self, day: Day, machine: Machine, name: str) -> None:
        super().__init__(day.kernel, name, str(day.plan.seed))
        self._day = day
        self.machine = machine
        #: Part to its attempt that was claimed here and is not bound.
        self.in_flight: dict[str, str] = {}
        #: Its file of marks was deleted: a neighbour can read nothing of it.
        self.is_markless = False
        wire = day.wire(self)
        client = day.client(self)
        tables = _Tables(day.rules.watched(day.tables), wire, self.in_flight)
        journal = Journal.on(DynamoDBStorage(tables=tables, host=self.host, contention_seconds=10))
        self._inbox = inbox = inbox_on(client)
        self.marks = Marks(machine.folder, slots=MARK_SLOTS, host=self.host)
        self.marks.open()
        self._compose(day, client, inbox, journal, wire)
        for slot in range(SLOTS):
            self.start(self._serve, f"{slot}")
        watch(self._look, self, self.host)
        client_tasks = (payloads.RECONCILE_TASK, payloads.COUNT_TASK)
        self.start(lambda: self._push(client_tasks), "ready")

    def _compose(self, day: Day, client: redis.Redis, inbox: Inbox, journal: Journal, wire: Any) -> None:
        terms, host = day.plan.terms, self.host
        circuit = RedisCircuit(client, probe_every=PROBE_EVERY, longest_pause=retry_policy.LONGEST_PROBE_PAUSE)
        quota = RedisQuota(client, models=Caps(), messages=Caps(day=terms.cap))
        failures = DeliveryFailures(
            inbox, journal, circuit, FailureTerms(max_age=timedelta(seconds=terms.max_age), who=who_of),
            quota=quota, rng=self.rng, telemetry=self,
        )  # fmt: skip
        delivery = Delivery(
            journal, Line(day, wire, day.doubted), circuit,
            DeliveryTerms(public_url="https://cat.example", validity_seconds=VALIDITY_SECONDS,
                          patience_seconds=PATIENCE_SECONDS, max_age_seconds=terms.max_age),
            rng=self.rng, telemetry=self, host=host,
        )  # fmt: skip
        counting = Counting(
            quota, journal, who=who_of, telemetry=self, ask=inbox.agenda.request_count, clock=host.monotonic
        )
        self._budget = Budget(counting if terms.cap else None, TARIFF, max_segments=terms.parts, max_parts=terms.parts)
        rates = Rates(texts_per_minute=terms.texts_per_minute)
        limits = RedisLimits(client, verdict_kept=timedelta(seconds=terms.max_age))
        self._keeper = LeaseKeeper(
            inbox.leases, every_seconds=RENEW_SECONDS, marks=self.marks, telemetry=self, host=host
        )
        self._visits = compose_visits(
            inbox=inbox,
            journal=journal,
            cat=Echo(terms.parts, day.think),
            budget=self._budget,
            delivery=delivery,
            limiter=Limiter(limits if rates.texts_per_minute else None, rates),
            leases=self._keeper,
            settings=VisitSettings(
                policy=terms.policy, quiet_window_seconds=0.5, quiet_limit_seconds=3,
                lease_seconds=LEASE.total_seconds(), max_age_seconds=terms.max_age,
                memory=recall.Terms(tokens=2000, age=timedelta(hours=72)), own_numbers=frozenset({OUR_NUMBER}),
            ),
            worker=self.name,
            mark=str,
            telemetry=self,
            host=host,
        )  # fmt: skip
        self._receipts = Receipts(inbox, journal, failures, who_key=WHO_KEY, telemetry=self)
        resend = absence.Terms(after=RESEND_AFTER, max_age=timedelta(seconds=terms.max_age)) if terms.resend else None
        message_list: Any = WatchedSender(day.network.carrier, wire, raising(CarrierAway, "twilio"))
        self._reconciler = Reconciler(
            inbox, journal, message_list, failures,
            ReconcileTerms(validity=timedelta(seconds=VALIDITY_SECONDS), numbers=[OUR_NUMBER], who=who_of,
                           unsettled_after=UNSETTLED_AFTER, buckets=day.buckets, resend=resend),
            telemetry=self,
        )  # fmt: skip
        self._circuit = circuit
        self._proofs = Proofs(inbox, journal, self.marks, telemetry=self)

    @property
    def host(self) -> Host:
        """Return the machine as this process sees it."""
        kernel, skew = self.kernel, self.machine.skew
        return Host(
            monotonic=lambda: kernel.now + skew,
            now=lambda: START + timedelta(seconds=kernel.now + skew),
            sleep=kernel.sleep,
            random=self.rng.random,
            token=lambda bytes_: self.rng.randbytes(bytes_).hex(),
            start=self.start,
            semaphore=lambda places: Semaphore(kernel, places),
        )

    def emit(self, event: Event) -> None:
        """Take an event: some must never happen, whatever breaks."""
        if event.name in {"set aside", str(Alarm.CONTRADICTED)}:
            self._day.offend(f"{event.name}: {dict(event.fields)}")
        if event.name == str(Alarm.REFUSED) and not self._day.faults.is_refused:
            self._day.offend(f"alarm: {event.fields['reason']}")

    def begun(self) -> tuple[str, ...]:
        """Return the attempts whose mark says that the request may have left."""
        path = self.marks.path
        if path is None or not path.exists():
            return ()
        slots = slots_in(path.read_bytes(), path.parent.name)
        return tuple(slot.attempt_id for slot in slots if slot.state is State.BEGUN)

    def die(self) -> None:
        """End at once. What its marks say now is what its neighbours read."""
        super().die()
        self.marks.close()
        self.machine.has_graves = True

    def _serve(self) -> None:
        """Take tasks from the queue, for ever."""
        wire = self._day.wire(self)
        while True:
            self._day.wait_for_task()
            try:
                message = wire.carry(REDIS, "pop", self._day.pop, REDIS_IS_AWAY)
            except redis.RedisError:
                self.kernel.sleep(POP_AGAIN_SECONDS)
                continue
            if message is not None:
                task = json.loads(message)
                self._do(task["headers"]["task"], json.loads(b64decode(task["body"]))[0])

    def _do(self, task: str, arguments: Sequence[str]) -> None:
        """Carry out one task, as `worker.tasks` does."""
        try:
            if task == payloads.ANSWER_TASK:
                self._visits.serve(Who(arguments[0]))
            elif task == payloads.RECEIPTS_TASK:
                self._receipts.drain()
            elif task == payloads.COUNT_TASK:
                self._budget.count(now=self._inbox.clock.now())
            elif task == payloads.RECONCILE_TASK:
                self._reconciler.reconcile_alone(self._keeper)
            elif task == payloads.SWEEP_TASK:
                self._sweep()
        except OUTSIDE:
            pass  # something is away, and the work waits where it is
        except Exception as exc:
            if self.is_dead:
                raise  # what the handlers of a dead process run into happens nowhere
            self._day.offend(f"{task} failed: {type(exc).__name__}: {exc}")

    def _sweep(self) -> None:
        if self._reconciler.sweep().emptied:
            self._reconciler.reconcile_alone(self._keeper)
        self._circuit.tidy()
        self._receipts.drain()

    def _look(self) -> None:
        """Look for dead neighbours; a look that would find nothing is left out."""
        if self.machine.has_graves or self.marks.abandoned() or self._day.plan.terms.watchful:
            self._proofs.look()
            self.machine.look_for_graves()

    def _push(self, tasks: Sequence[str]) -> None:
        client = self._day.client(self)
        for task in tasks:
            with suppress(redis.RedisError):
                client.lpush(keys.QUEUE, wakeup.message(task))


class Webhook(Process):
    """A webhook process: each request is a thread."""

    def __init__(self, day: Day, name: str) -> None:
        super().__init__(day.kernel, name, str(day.plan.seed))
        self._scripts = Scripts(day.client(self))

    def accept(self, text: InboundSms, accepted: Callable[[], None]) -> None:
        """Store a text and answer 200, or answer 503."""
        self.start(lambda: self._accept(text, accepted), "accept")

    def receive(self, report: DeliveryReport) -> None:
        """Store a report; the carrier does not repeat one that is not stored."""
        self.start(lambda: self._receive(report), "receive")

    def _accept(self, text: InboundSms, accepted: Callable[[], None]) -> None:
        with suppress(InboxAway):
            [outcome] = self._scripts.run("accept", *arrivals.accept_call([arrivals.accept_entry(text, WHO_KEY)]))
            if type(outcome) is int:
                accepted()

    def _receive(self, report: DeliveryReport) -> None:
        with suppress(InboxAway):
            self._scripts.run("receive", *arrivals.receive_call([arrivals.receive_entry(report)]))


class Beat(Process):
    """Beat: it pushes the periodic tasks."""

    def __init__(self, day: Day) -> None:
        super().__init__(day.kernel, "beat", str(day.plan.seed))
        self._client = day.client(self)

    def every(self, seconds: float, task: str) -> None:
        """Push a task again and again."""
        self.start(lambda: self._push(seconds, task), task)

    def _push(self, seconds: float, task: str) -> None:
        while True:
            self.kernel.sleep(seconds)
            with suppress(redis.RedisError):
                self._client.lpush(keys.QUEUE, wakeup.message(task))
