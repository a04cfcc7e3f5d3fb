"""One person's texts, the real code that serves them, and faults at its calls to the outside.

A visit, a drain of reports and a reconciliation reach the outside only by operations on tables, by Redis commands (a
script or a transaction is one) and by the carrier. So a fault of their process happens between two of these calls. The
calls are few enough to try every fault at each of them: the worker dies, the answer is lost, or the worker sleeps.

Journal, inbox, limits, budget and circuit breaker are the real ones: on tables in memory that pass the same contract
tests as DynamoDB, and on a Redis inside the process that passes the same ones as a server.
"""

from __future__ import annotations

import atexit
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Literal

import redis

from cat import recall
from cat.ports import Heard, Reply
from chaos.days.fake_redis import a_redis
from chaos.days.wire import STORE, WatchedRedis, WatchedSender, WatchedTables, raising
from conversation import schema
from conversation.errors import ConditionFailed, StoreAway
from conversation.memory_table import MemoryTables
from conversation.storage import DynamoDBStorage
from conversation.table import Query
from inbox import arrivals, keys, payloads
from inbox.budget import Caps
from inbox.circuit import RedisCircuit
from inbox.connection import Scripts
from inbox.errors import InboxAway
from inbox.inbox import on_redis
from inbox.ports import Inbox, Lease
from inbox.rates import RedisLimits
from inbox.redis_budget import RedisQuota
from journal.model import ReplyPart, bucket
from journal.states import PartState, TurnState
from journal.store import Journal
from runtime.host import Host
from sms.errors import CarrierAway
from sms.memory import InMemorySender
from sms.messages import DeliveryReport, MessageSid
from sms.ports import Listed, Unknown
from tests.builders import ANN, LEASE, NOW, NOW_MS, OUR_NUMBER, PROBE_EVERY, WAKE_AGAIN, a_cat, a_text
from tests.room import TARIFF, a_counting
from worker.budget import Budget
from worker.build.visits import compose_visits
from worker.delivery import Delivery, Terms
from worker.delivery_failures import DeliveryFailures
from worker.delivery_failures import Terms as FailureTerms
from worker.lease import LeaseKeeper
from worker.limits import Limiter, Rates
from worker.receipts import Receipts
from worker.reconcile.reconciler import Reconciler
from worker.reconcile.reconciler import Terms as ReconcileTerms
from worker.retry_policy import LONGEST_PROBE_PAUSE
from worker.send_marks.marks import Marks
from worker.send_marks.proofs import Proofs
from worker.telemetry import SILENT
from worker.visit_settings import VisitSettings

WHO = payloads.who(ANN, b"memory")
#: A fault at these calls leaves in doubt whether a request left, and no message on the carrier's list settles it.
WINDOW = ("claim", "send")
#: Rounds of 70 s after which a world must be at rest.
ROUNDS: Final = 9

#: Whether the processes of the machine read each other's marks: not at all, as soon as one died, or rounds later.
Neighbours = Literal["none", "at once", "late"]
#: Where the marks stand: in memory, which is a file system like any other.
_folder: Final = Path(tempfile.mkdtemp(dir="/dev/shm", prefix="dadacat-model-"))
atexit.register(shutil.rmtree, _folder, ignore_errors=True)


class Died(BaseException):
    """The end of a worker's process: no product code catches it."""


@dataclass(frozen=True)
class Cut:
    """A fault at one call, before or after the call takes effect.

    The worker dies, or the answer is lost, or the worker sleeps.
    """

    #: The number of the call, or the name of its first.
    call: int | str
    after: bool
    dies: bool = False
    #: What happens while the worker sleeps at this call; the worker then continues unaware.
    meanwhile: Callable[[], object] | None = None
    #: The store stays away for the rest of the visit.
    away: bool = False
    #: The call takes effect only when the world says so (`World.land`).
    late: bool = False


@dataclass
class Wire:
    """Counts the calls of one visit and injects the fault at one of them."""

    cut: Cut | None = None
    calls: list[str] = field(default_factory=list)
    #: The name of the call at which the fault was injected.
    struck: str = ""
    #: What happens when the process dies: nothing that it runs afterwards counts.
    at_death: Callable[[], object] = lambda: None
    #: A call that was sent and has not arrived yet.
    in_flight: Callable[[], object] | None = None

    @property
    def _store_is_away(self) -> bool:
        """Whether no further call to the store arrives."""
        return bool(self.struck) and self.cut is not None and self.cut.away

    def land(self) -> None:
        """Let the call arrive that was in flight, after its caller has gone on."""
        assert self.in_flight is not None
        with suppress(ConditionFailed):
            self.in_flight()

    def carry(
        self, service: str, name: str, real: Callable[[], Any], lost: Callable[[], Any], *, about: str = ""
    ) -> Any:
        """Carry out one call. `lost` returns or raises what the caller gets if the answer is lost."""
        del about
        if service == STORE and self._store_is_away:
            return lost()
        self.calls.append(name)
        if self.cut is None or self.struck or self.cut.call not in (len(self.calls), name):
            return real()
        self.struck = name
        self.in_flight = real if self.cut.late else None
        answer = real() if self.cut.after else None
        if self.cut.dies:
            self.at_death()
            raise Died
        if self.cut.meanwhile is None:
            return lost()
        self.cut.meanwhile()
        return answer if self.cut.after else real()


class NoRenewal(LeaseKeeper):
    """Renews no lease: the clock stands still while a visit runs."""

    @contextmanager
    def kept(self, lease: Lease) -> Iterator[None]:
        del lease
        yield


class Parrot:
    """An engine that repeats what it heard, in a fixed number of lines."""

    def __init__(self, lines: int) -> None:
        self._lines = lines

    @property
    def name(self) -> str:
        return "parrot"

    def reply(self, heard: Heard, *, seconds: float) -> Reply:
        del seconds
        words = " + ".join(heard.texts)
        return Reply(words="\n".join(f"{words} {line}" for line in range(self._lines)), engine=self.name)


def journal_on(tables: Any) -> Journal:  # Any: tables, or tables behind a wire
    """Return the real journal on these tables."""
    return Journal.on(DynamoDBStorage(tables=tables, contention_seconds=0))


def inbox_on(client: redis.Redis) -> Inbox:
    """Return the real inbox on this Redis."""
    return on_redis(client, who_key=b"memory", lease=LEASE, wake_again=WAKE_AGAIN)


def circuit_on(client: redis.Redis) -> RedisCircuit:
    """Return the real circuit breakers on this Redis."""
    return RedisCircuit(client, probe_every=PROBE_EVERY, longest_pause=LONGEST_PROBE_PAUSE)


def quota_on(client: redis.Redis) -> RedisQuota:
    """Return the real budget on this Redis, with a cap that is never reached."""
    return RedisQuota(client, models=Caps(), messages=Caps(day=10**9))


class _Clock:
    """The clock of the one Redis."""

    ms = NOW_MS


# One server for all worlds, emptied for each: a new one costs as much as ten calls.
_clock = _Clock()
_server = a_redis(lambda: _clock.ms)


def noted() -> set[str]:
    """Return the guards that the scripts of the last world noted (`tests.model.guards.noting_scripts`)."""
    names: Any = _server.smembers("guards")
    return {name.decode() for name in names}


class World:
    """One person's texts, and all state outside the worker.

    A new world empties the Redis of the one before.

    `short`: without limits, and with the totals already counted, which makes for fewer calls.
    """

    def __init__(
        self,
        policy: str,
        lines: int,
        tables: MemoryTables | None = None,
        *,
        bodies: Sequence[str] = ("one", "two"),
        short: bool = False,
        edits: Mapping[str, str] | None = None,
        neighbours: Neighbours = "none",
    ) -> None:
        self.ms = NOW_MS
        self._neighbours = neighbours
        self._living: list[Marks] = []
        shutil.rmtree(_folder, ignore_errors=True)
        self.policy, self.lines = policy, lines
        self._is_limited, self._edits = not short, edits or {}
        _server.flushall()
        self.redis = WatchedRedis(_server, Wire(), self._edits)
        self.inbox = inbox_on(self.redis)
        self.tables = tables or MemoryTables(schema.conversations(), schema.messages())
        self.store = journal_on(self.tables)
        self.sender = InMemorySender(clock=lambda: datetime.fromtimestamp(self.ms / 1000, UTC))
        if short:
            quota = quota_on(self.redis)
            stand = quota.begin_count("w", now=NOW)
            assert stand is not None
            quota.add_page(stand, [], cursor=None)
        self.texts = [a_text(body) for body in bodies]
        for text in self.texts:
            self.inbox.texts.accept(text)
        self.ms += 1000  # the quiet window is over
        self.reconciler = self._reconciler(self.redis, self.store, self.sender)
        self.reconciler.reconcile()  # the first look ever begins the statement

    @property
    def ms(self) -> int:
        """The time, in milliseconds."""
        return _clock.ms

    @ms.setter
    def ms(self, value: int) -> None:
        _clock.ms = value

    def visit(self, cut: Cut | None = None) -> Wire:
        """Run one visit of a worker, which may die or fail with an error that is logged."""
        wire = Wire(cut)
        marks = Marks(_folder if self._neighbours != "none" else None, slots=2)
        wire.at_death = lambda: self._leave_behind(marks)
        client = WatchedRedis(_server, wire, self._edits)
        journal = journal_on(WatchedTables(self.tables, wire))
        # A lost answer to a send is an outcome; a carrier that cannot be reached is an error.
        sender: Any = WatchedSender(self.sender, wire, lambda: Unknown(reason="no answer"))
        delivery = Delivery(
            journal, sender, circuit_on(client),
            Terms(public_url="https://cat.example", validity_seconds=3600, patience_seconds=60, max_age_seconds=21600),
            rng=random.Random(1), host=Host(sleep=lambda _: None),
        )  # fmt: skip
        limits = RedisLimits(client, verdict_kept=timedelta(hours=6)) if self._is_limited else None
        own_inbox = inbox_on(client)
        settings = VisitSettings(
            policy=self.policy, quiet_window_seconds=0.5, quiet_limit_seconds=3,
            lease_seconds=LEASE.total_seconds(), max_age_seconds=21600, own_numbers=frozenset({OUR_NUMBER}),
            memory=recall.Terms(tokens=2000, age=timedelta(hours=72)),
        )  # fmt: skip
        visits = compose_visits(
            inbox=own_inbox,
            journal=journal,
            cat=a_cat([Parrot(self.lines)], max_parts=self.lines),
            budget=Budget(a_counting(quota_on(client), journal), TARIFF, max_segments=3, max_parts=1),
            delivery=delivery,
            limiter=Limiter(limits, Rates(texts_per_minute=100, loop=6)),
            leases=NoRenewal(own_inbox.leases, every_seconds=5, marks=marks),
            worker="w",
            settings=settings,
            mark=str,
            telemetry=SILENT,
            host=Host(sleep=lambda _: None),
        )
        with suppress(Died, InboxAway, CarrierAway):
            visits.serve(WHO)
        if cut is not None and cut.dies and wire.struck:
            marks.close()
        else:
            self._living.append(marks)
        if self._neighbours != "late":
            self.settle_marks()
        return wire

    def _leave_behind(self, marks: Marks) -> None:
        """Leave the file of a process as its death leaves it: with its content of now, and unlocked."""
        if marks.folder is None:
            return
        (own,) = (path for path in marks.folder.iterdir() if not path.stem.startswith("dead"))
        dead = own.with_stem(f"dead{len(list(own.parent.iterdir()))}")
        shutil.copyfile(own, dead)
        dead.chmod(0o600)
        # what the handlers of the simulated process write from now on is read by no neighbour
        own.unlink()

    def settle_marks(self) -> None:
        """Let every living process settle what it abandoned, and the files of the dead."""
        neighbour = Marks(_folder if self._neighbours != "none" else None, slots=1)
        for marks in [*self._living, neighbour]:
            Proofs(self.inbox, self.store, marks).look()
            marks.close()
        self._living = []

    def repair(self, cut: Cut | None = None) -> Wire:
        """Run one drain of the reports and one reconciliation, which may be cut at any call."""
        wire = Wire(cut)
        client = WatchedRedis(_server, wire, self._edits)
        journal = journal_on(WatchedTables(self.tables, wire))
        message_list: Any = WatchedSender(self.sender, wire, raising(CarrierAway, "twilio"))
        own_inbox = inbox_on(client)
        receipts = Receipts(own_inbox, journal, self._aftermath(client, journal), who_key=b"memory")
        with suppress(Died, InboxAway, StoreAway, CarrierAway):
            receipts.drain()
            self._reconciler(client, journal, message_list).reconcile()
        return wire

    def visit_by_another(self) -> None:
        """Run a whole visit once the lease of the worker before has expired."""
        self.ms += 21_000
        self.visit()

    def come_to_rest(self) -> None:
        """Sweep, reconcile and visit, without further faults, until a round changes nothing."""
        for _ in range(ROUNDS):
            before = self._state()
            self._round()
            if self._state() == before and self._is_finished():
                return
        raise AssertionError("the world does not come to rest")

    def parts(self) -> list[ReplyPart]:
        """Return the parts of all replies, in the order of the texts."""
        turns = (self.store.turns.get(ANN, text.sid) for text in self.texts)
        sids = dict.fromkeys(turn.reply_sid for turn in turns if turn is not None)
        return [part for sid in sids for part in self.store.outbox.parts(ANN, sid)]

    def account(self, *wires: Wire) -> None:
        """Assert that each text is answered once, in order, and that no text waits.

        A reply may be in doubt if a fault at its claim or its send explains it.
        """
        states = [turn.state for text in self.texts if (turn := self.store.turns.get(ANN, text.sid)) is not None]
        # A text during which a worker died is answered alone, under every policy.
        assert len(states) == len(self.texts), "a text without a row"
        assert states[-1] is TurnState.ANSWERED
        assert set(states) <= {TurnState.ANSWERED, *((TurnState.SILENT,) if self.policy == "latest" else ())}
        assert self.inbox.texts.oldest_waiting_ms() is None

        created = [message.body for _, message in self.sender.created]
        assert len(created) == len(set(created)), "a second SMS"
        parts = self.parts()
        written = [part.content for part in parts]
        assert created == [words for words in written if words in created], "out of order"
        for part in parts:
            if part.state is PartState.SENT:
                assert (part.sid, part.content) in [(sid, message.body) for sid, message in self.sender.created]
            else:
                assert part.state is PartState.UNKNOWN, part
                # A created message is on the carrier's list, which settles the doubt.
                assert part.content not in created
                assert any(wire.struck in WINDOW for wire in wires), [wire.struck for wire in wires]
                if self._neighbours != "none":
                    lost = [wire for wire in wires if wire.struck == "send" and wire.cut and not wire.cut.dies]
                    assert lost, "a reply in doubt although no answer of the carrier was lost"

    def repair_until_all_is_over(self) -> None:
        """Visit and repair for five minutes, without further faults."""
        for _ in range(4):
            self.ms += 70_000
            self.visit()
            self.repair()

    def account_for_repairs(self) -> None:
        """Assert that a world with everything to repair is repaired."""
        created = sorted(message.body for _, message in self.sender.created)
        texts = ["one", "one", "two", "in doubt", "left by a dead worker", "never came"]  # the first was tried again
        assert created == sorted(f"{text} 0" for text in texts)
        assert {part.state for part in self.parts()} == {PartState.SENT}
        assert sum(part.again for part in self.parts()) == 1
        assert self.inbox.texts.oldest_waiting_ms() is None

    def _round(self) -> None:
        """Reconcile and sweep; a worker takes the wake-up task if one is queued."""
        self.ms += 70_000
        self.reconciler.reconcile()
        self.reconciler.sweep()
        if _server.delete(keys.QUEUE):
            self.visit()
        self.settle_marks()

    def _state(self) -> list[Any]:
        """Return what a round at rest does not change: the journal, the messages and the waiting texts."""
        rows = self.tables.query(Query(table=schema.MESSAGES)).rows
        journal = sorted((row for row in rows if "state" in row), key=lambda row: row["message_key"])
        return [journal, list(self.sender.created), self.inbox.texts.oldest_waiting_ms()]

    def _is_finished(self) -> bool:
        rows = [row for row in self.tables.query(Query(table=schema.MESSAGES)).rows if "unsettled" in row]
        unfinished = any(row["state"] != PartState.UNKNOWN for row in rows)
        return not unfinished and self.inbox.texts.oldest_waiting_ms() is None

    def _aftermath(self, client: redis.Redis, journal: Journal) -> DeliveryFailures:
        return DeliveryFailures(
            inbox_on(client), journal, circuit_on(client),
            FailureTerms(max_age=timedelta(hours=6), who=lambda person: payloads.who(person, b"memory")),
            quota=quota_on(client), rng=random.Random(1),
        )  # fmt: skip

    def _reconciler(self, client: redis.Redis, journal: Journal, message_list: Any) -> Reconciler:
        terms = ReconcileTerms(
            validity=timedelta(hours=1), numbers=[OUR_NUMBER], buckets=[bucket(ANN)],
            who=lambda person: payloads.who(person, b"memory"), unsettled_after=timedelta(seconds=60),
        )  # fmt: skip
        return Reconciler(inbox_on(client), journal, message_list, self._aftermath(client, journal), terms)


def a_world_with_everything_to_repair(tables: MemoryTables | None = None, **more: Any) -> World:
    """Build a world with one case of each repair.

    One reply failed in delivery, one is in doubt, and one was never claimed. A report waits, and a text's webhook never
    came.
    """
    world = World("each", 1, tables, **more)
    world.visit()
    failed, delivered = world.parts()
    report = _undelivered(failed)
    world.sender.fates[report.sid] = (report.status, report.error_code)
    entry = arrivals.receive_entry(report)
    Scripts(world.redis).run("receive", *arrivals.receive_call([entry]))
    assert delivered.sid is not None
    world.texts.append(a_text("in doubt"))
    world.inbox.texts.accept(world.texts[-1])
    world.sender.answers.append(Unknown(reason="no answer"))
    world.sender.creates_anyway = True
    world.visit()
    world.sender.creates_anyway = False
    world.texts.append(a_text("left by a dead worker"))
    world.inbox.texts.accept(world.texts[-1])
    world.ms += 61_000
    world.visit(Cut("persist", after=True, dies=True))
    missed = a_text("never came")
    world.texts.append(missed)
    world.sender.received.append(
        Listed(
            sid=missed.sid, to=OUR_NUMBER, sender=ANN, body=missed.body, status="received", inbound=True,
            created=datetime.fromtimestamp(world.ms / 1000, UTC),
        )
    )  # fmt: skip
    world.ms += 120_000
    return world


def _undelivered(part: ReplyPart) -> DeliveryReport:
    return DeliveryReport(
        sid=MessageSid(part.sid or ""), to=ANN, status="undelivered", attempt_id=part.attempt_id or "",
        error_code=30022,
    )  # fmt: skip
