"""The whole pipeline for one person, with every server inside the process, for unit tests."""

from __future__ import annotations

import json
import random
import time
from base64 import b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest

from cat.ports import Heard, Reply
from cat.prices import Catalogue, Model
from chaos.days.fake_redis import a_redis
from conversation import schema
from conversation.memory_table import MemoryTables
from conversation.storage import DynamoDBStorage
from inbox import arrivals, keys, payloads
from inbox.budget import Caps
from inbox.circuit import RedisCircuit
from inbox.connection import Scripts
from inbox.inbox import on_redis
from inbox.rates import RedisLimits
from inbox.redis_budget import RedisQuota
from journal.states import PartState, TurnState
from journal.store import Journal
from runtime.host import Host
from sms.memory import InMemorySender
from sms.messages import DeliveryReport, InboundSms, MessageSid
from sms.ports import Listed
from sms.prices import Tariff
from tests.builders import ANN, LEASE, OUR_NUMBER, PROBE_EVERY, WAKE_AGAIN, WINDOW, a_cat, a_sid, a_text
from worker import metrics
from worker.budget import Budget
from worker.build.visits import compose_visits
from worker.delivery import Delivery, Terms
from worker.delivery_failures import DeliveryFailures
from worker.delivery_failures import Terms as FailureTerms
from worker.lease import LeaseKeeper
from worker.limits import Limiter, Rates
from worker.receipts import Receipts
from worker.reconcile import absence
from worker.reconcile.reconciler import Reconciler
from worker.reconcile.reconciler import Terms as ReconcileTerms
from worker.recount import Counting
from worker.telemetry import Event
from worker.visit_settings import VisitSettings
from worker.visits import Visits

#: A reply of the parrot costs 110 millionths of a dollar: 100 tokens in and 10 out, at a dollar per million.
CATALOGUE = Catalogue({"parrot": Model(price_in=1, price_out=1, sees=True)})
#: A message costs 10,000 millionths of a dollar.
TARIFF = Tariff(segment={"+": 10_000}, channel={})

WHO = payloads.who(ANN, b"memory")


class Parrot:
    """An engine that repeats what it heard, and runs a test's callback meanwhile."""

    def __init__(self) -> None:
        self.heard: list[Heard] = []
        self.meanwhile: Callable[[], None] = lambda: None
        self.words = ""

    @property
    def name(self) -> str:
        return "openai:parrot"

    def reply(self, heard: Heard, *, seconds: float) -> Reply:
        del seconds
        self.heard.append(heard)
        self.meanwhile()
        words = self.words or f"re: {' + '.join(heard.texts)}"
        return Reply(words=words, engine=self.name, facts={"tokens_in": 100, "tokens_out": 10})


def a_counting(quota: Any, journal: Any, **more: Any) -> Counting | None:
    return Counting(quota, journal, who=lambda person: payloads.who(person, b"memory"), **more) if quota else None


class Recorder:
    """Telemetry that keeps the events."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def emit(self, event: Event) -> None:
        self.events.append(event)


class Died(BaseException):
    """The end of a worker's process: no product code catches it."""


@dataclass
class Room:
    """The pipeline for one person, with every server inside the process and a clock that a test can turn."""

    #: Noon, UTC: a test that waits for minutes stays within a day, as budgets and limits count it.
    ms: int = field(default_factory=lambda: (int(time.time()) // 86_400 * 86_400 + 43_200) * 1000)
    policy: str = "each"
    stopping: bool = False
    max_parts: int = 1
    #: The cat's limit for a reply. The budget always reserves one segment.
    max_segments: int = 3
    #: What may be spent on models and on messages; None for both: no budget is kept.
    models: Caps | None = None
    messages: Caps | None = None
    habits: Mapping[str, Any] = field(default_factory=dict)
    rates: Rates | None = None
    per_number: bool = False
    service_sid: str = ""
    #: After which time rows are deleted; None: they stay.
    retention: timedelta | None = None
    #: When absence from the carrier's list counts; None: never.
    resend: absence.Terms | None = None

    def __post_init__(self) -> None:
        self.redis = a_redis(lambda: self.ms)
        self.inbox = on_redis(
            self.redis, who_key=b"memory", per_number=self.per_number, lease=LEASE,
            wake_again=WAKE_AGAIN,
        )  # fmt: skip
        self.tables = MemoryTables(schema.conversations(), schema.messages())
        self.store = Journal.on(DynamoDBStorage(tables=self.tables, retention=self.retention))
        self.sender = InMemorySender()
        self.circuit = RedisCircuit(self.redis, probe_every=PROBE_EVERY, longest_pause=timedelta(minutes=30))
        self.parrot = Parrot()
        self.telemetry = Recorder()
        self.aftermath = self.an_aftermath(self.inbox)
        self.receipts = Receipts(self.inbox, self.store, self.aftermath, who_key=b"memory", per_number=self.per_number)
        self.sender.clock = self.now
        self.quota = self.a_quota(self.models, self.messages) if self.models or self.messages else None
        limits = RedisLimits(self.redis, verdict_kept=timedelta(hours=6)) if self.rates else None
        self.limiter = Limiter(limits, self.rates or Rates())
        self.reconciler = self.a_reconciler()

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.ms / 1000, UTC)

    def a_quota(self, models: Caps | None = None, messages: Caps | None = None) -> RedisQuota:
        return RedisQuota(self.redis, models=models or Caps(), messages=messages or Caps())

    def an_aftermath(self, inbox: Any) -> DeliveryFailures:
        return DeliveryFailures(
            inbox, self.store, self.circuit,
            FailureTerms(max_age=timedelta(hours=6), who=lambda person: payloads.who(person, b"memory")),
            quota=self.a_quota(self.models, self.messages), rng=random.Random(1), telemetry=self.telemetry,
        )  # fmt: skip

    def a_reconciler(self, *numbers: str) -> Reconciler:
        terms = ReconcileTerms(
            validity=timedelta(hours=1),
            numbers=numbers or [OUR_NUMBER],
            who=lambda person: payloads.who(person, b"memory"),
            unsettled_after=timedelta(seconds=60),
            per_number=self.per_number,
            kept=self.retention,
            resend=self.resend,
        )
        return Reconciler(self.inbox, self.store, self.sender, self.aftermath, terms, telemetry=self.telemetry)

    def heard_of(self, body: str) -> MessageSid:
        """Put a text on the carrier's list without a webhook request; return its sid."""
        sid = MessageSid(a_sid())
        self.sender.received.append(
            Listed(sid=sid, to=OUR_NUMBER, sender=ANN, body=body, status="received", inbound=True, created=self.now())
        )
        return sid

    def worker(self, **replaced: Any) -> Visits:
        journal = replaced.get("journal", self.store)
        terms = Terms(
            public_url="https://cat.example", validity_seconds=3600, patience_seconds=60, max_age_seconds=21600,
            service_sid=self.service_sid,
        )  # fmt: skip
        delivery = Delivery(
            journal,
            replaced.get("sender", self.sender),
            self.circuit,
            terms,
            rng=random.Random(1),
            host=replaced.get("host", Host(sleep=lambda _: None)),
            telemetry=self.telemetry,
            pace=replaced.get("pace", lambda _: 0),
        )
        cat = a_cat(
            [self.parrot], deadline_seconds=20, max_parts=self.max_parts, max_segments=self.max_segments,
            catalogue=CATALOGUE,
        )  # fmt: skip
        settings = VisitSettings(
            policy=self.policy, quiet_window_seconds=0.05, quiet_limit_seconds=0.2,
            lease_seconds=LEASE.total_seconds(), max_age_seconds=21600, memory=WINDOW,
            own_numbers=frozenset({OUR_NUMBER}), per_number=self.per_number, **self.habits,
        )  # fmt: skip
        return compose_visits(
            inbox=replaced.get("inbox", self.inbox),
            journal=journal,
            cat=cat,
            budget=self.budget(replaced.get("quota", self.quota), journal),
            delivery=delivery,
            limiter=self.limiter,
            media=replaced.get("media"),
            leases=LeaseKeeper(self.inbox.leases, every_seconds=5, marks=replaced.get("marks")),
            worker="w",
            mark=replaced.get("mark", str),
            settings=settings,
            telemetry=self.telemetry,
            stopping=lambda: self.stopping,
            host=Host(sleep=lambda _: None),
        )

    def budget(self, quota: Any, journal: Any) -> Budget:
        return Budget(a_counting(quota, journal, telemetry=self.telemetry), TARIFF, max_segments=1, max_parts=1)

    def texts(self, *bodies: str) -> list[InboundSms]:
        texts = [a_text(body) for body in bodies]
        for text in texts:
            self.inbox.texts.accept(text)
        return texts

    def serve(self, **replaced: Any) -> None:
        self.worker(**replaced).serve(WHO)

    def dies(self, **replaced: Any) -> None:
        """Let a worker serve until it dies, and its lease expire."""
        with pytest.raises(Died):
            self.serve(**replaced)
        self.later(seconds=21)

    def later(self, *, seconds: float) -> None:
        self.ms += int(seconds * 1000)

    def receive(self, report: DeliveryReport) -> None:
        """Make a delivery report wait, as the webhook does."""
        Scripts(self.redis).run("receive", *arrivals.receive_call([arrivals.receive_entry(report)]))

    def asked_for(self, task: str) -> list[str]:
        """Return the people for whom tasks of this name are queued, oldest first.

        A task of no person counts as an empty string.
        """
        messages = [json.loads(message) for message in reversed(self.redis.lrange(keys.QUEUE, 0, -1))]
        arguments = [json.loads(b64decode(m["body"]))[0] for m in messages if m["headers"]["task"] == task]
        return [given[0] if given else "" for given in arguments]

    @property
    def stopped(self) -> str:
        """Why the circuit is open; empty if it is closed."""
        reason = self.redis.hget(keys.CIRCUIT, "reason")
        return reason.decode() if isinstance(reason, bytes) else ""

    @property
    def alarms(self) -> list[tuple[str, str]]:
        return [
            (event.name, event.fields["reason"]) for event in self.telemetry.events if event.metric is metrics.ALARMS
        ]

    @property
    def received(self) -> list[str]:
        return [message.body for _, message in self.sender.created]

    def rewrite_item(self, **attributes: Any) -> None:
        """Change attributes of the person's item as another program may, without raising the version."""
        tables, names = self.store.storage.tables, self.store.storage.names
        item = tables.get(names.conversations, {"user_id": ANN}) or {"user_id": ANN}
        tables.put_all(names.conversations, [{**item, **attributes}])

    def state(self, text: InboundSms) -> TurnState:
        turn = self.store.turns.get(ANN, text.sid)
        assert turn is not None
        return turn.state

    def part(self, text: InboundSms) -> PartState:
        return self.store.outbox.parts(ANN, text.sid)[0].state


class Dying:
    """A value in front of another, whose call `path`, such as `turns.persist`, fails or ends the process.

    `after`: once the call took effect. `nth`: which of the calls it is.
    """

    def __init__(
        self, behind: object, path: str, *, after: bool, error: BaseException | None = None, nth: int = 1
    ) -> None:
        self._behind, self._after, self._error = behind, after, error or Died()
        self._path = path.split(".")
        self._left = count(nth - 1, -1)

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._behind, name)
        if name != self._path[0]:
            return real
        if len(self._path) > 1:
            inner = Dying(real, ".".join(self._path[1:]), after=self._after, error=self._error)
            inner._left = self._left
            return inner

        def cut(*args: object, **options: object) -> object:
            if next(self._left) != 0:
                return real(*args, **options)
            if self._after:
                real(*args, **options)
            raise self._error

        return cut
