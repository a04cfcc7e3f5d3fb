"""Inject a fault at every outside call of the real code, before and after its effect, once and twice.

A visit, a drain of reports and a reconciliation call only the inbox, the journal, the limits, the budget's counters,
the circuit breaker and the carrier. So a fault of their process happens between two of these calls. The calls are few
enough to try every fault at each of them: the worker dies, the answer is lost, or the worker sleeps.

In-memory stores replace the servers; they pass the same contract tests.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import pytest

from cat.chain import Cat
from cat.ports import Heard, Reply
from conversation.errors import StoreAway
from conversation.journal import Part, PartState, Turn, TurnState
from conversation.memory import InMemoryStorage
from conversation.models import Conversation
from conversation.ports import Answer, Filed
from inbox import payloads
from inbox.budget import Caps
from inbox.errors import InboxAway
from inbox.ports import Inbox, Lease
from sms.errors import CarrierAway
from sms.memory import InMemorySender
from sms.messages import DeliveryReport, MessageSid
from sms.ports import Listed, Unknown
from tests.builders import ANN, NOW, NOW_MS, OUR_NUMBER, a_text
from tests.model.twins import (
    InMemoryCircuit,
    InMemoryInbox,
    InMemoryLimits,
    InMemoryQuota,
    InMemoryReports,
    inbox_of,
)
from tests.room import TARIFF, a_counting
from worker.budget import Budget
from worker.delivery import Delivery, Terms
from worker.delivery_failures import DeliveryFailures
from worker.limits import Limiter, Rates
from worker.receipts import Receipts
from worker.reconcile import Reconciler
from worker.reconcile import Terms as ReconcileTerms
from worker.turn import House, Visits, VisitSettings
from worker.visit import LeaseKeeper

WHO = payloads.who(ANN, b"memory")
#: During these calls only the worker knows whether a request left.
WINDOW = ("claim", "send", "bind")


class Died(BaseException):
    """The end of a worker's process: no product code catches it."""


@dataclass(frozen=True)
class Cut:
    """A fault at one call, before or after the call takes effect.

    The worker dies, or the answer is lost, or the worker sleeps.
    """

    nth: int
    after: bool
    dies: bool = False
    #: What happens while the worker sleeps at this call; the worker then continues unaware.
    meanwhile: Callable[[], None] | None = None


@dataclass
class Wire:
    """Counts the calls of one visit and injects the fault at one of them."""

    cut: Cut | None
    calls: list[str] = field(default_factory=list)
    #: The name of the call at which the fault was injected.
    struck: str = ""

    def call(self, name: str, real: Callable[..., Any], lost: Callable[[], Any]) -> Callable[..., Any]:
        def carried(*args: object, **options: object) -> object:
            self.calls.append(name)
            if self.cut is None or len(self.calls) != self.cut.nth:
                return real(*args, **options)
            self.struck = name
            answer = real(*args, **options) if self.cut.after else None
            if self.cut.dies:
                raise Died
            if self.cut.meanwhile is None:
                return lost()
            self.cut.meanwhile()
            return answer if self.cut.after else real(*args, **options)

        return carried


class Watched:
    """A store behind a wire. `lost` returns or raises what the caller gets if the answer is lost."""

    def __init__(self, behind: object, wire: Wire, lost: Callable[[], Any]) -> None:
        self._behind, self._wire, self._lost = behind, wire, lost

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._behind, name)
        return self._wire.call(name, real, self._lost) if callable(real) else real


def watched(inbox: Inbox, wire: Wire) -> Inbox:
    """Return the inbox behind a wire."""
    texts, reports = (Watched(part, wire, _raise(InboxAway("redis"))) for part in (inbox.texts, inbox.reports))
    return inbox_of(texts, reports)


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


def _raise(error: Exception) -> Callable[[], Any]:
    def lost() -> Any:
        raise error

    return lost


class World:
    """One person's texts, and all state outside the worker."""

    def __init__(self, policy: str, lines: int, store: InMemoryStorage | None = None, *, short: bool = False) -> None:
        self.ms = NOW_MS
        self.limited = not short
        self.policy, self.lines = policy, lines
        self.reports = InMemoryReports()
        self.inbox = inbox_of(InMemoryInbox(clock_ms=lambda: self.ms, lease=timedelta(seconds=20)), self.reports)
        self.store = store or InMemoryStorage()
        self.sender = InMemorySender(clock=lambda: datetime.fromtimestamp(self.ms / 1000, UTC))
        self.circuit = InMemoryCircuit()
        self.purse = InMemoryQuota(models=Caps(), messages=Caps(day=10**9))
        if short:
            stand = self.purse.begin_count("w", now=NOW)
            assert stand is not None
            self.purse.add_page(stand, [], cursor=None)
        self.limits = InMemoryLimits(clock_ms=lambda: self.ms)
        self.texts = [a_text("one"), a_text("two")]
        for text in self.texts:
            self.inbox.texts.accept(text)
        self.ms += 1000  # the quiet window is over
        aftermath = DeliveryFailures(
            self.inbox, self.store, self.circuit, rng=random.Random(1), max_age=timedelta(hours=6)
        )
        terms = ReconcileTerms(
            validity=timedelta(hours=1), numbers=[OUR_NUMBER], who=lambda person: payloads.who(person, b"memory")
        )
        self.reconciler = Reconciler(self.inbox, self.store, self.sender, aftermath, terms)

    def visit(self, cut: Cut | None = None) -> Wire:
        """Run one visit of a worker, which may die or fail with an error that is logged."""
        wire = Wire(cut)
        inbox = watched(self.inbox, wire)
        journal: Any = Watched(self.store, wire, _raise(StoreAway("dynamodb")))
        # A lost answer to a send is an outcome; a carrier that cannot be reached is an error.
        sender: Any = Watched(self.sender, wire, lambda: Unknown(reason="no answer"))
        circuit: Any = Watched(self.circuit, wire, _raise(InboxAway("redis")))
        purse: Any = Watched(self.purse, wire, _raise(InboxAway("redis")))
        delivery = Delivery(
            journal, sender, circuit,
            Terms(public_url="https://cat.example", validity_seconds=3600, patience_seconds=60, max_age_seconds=21600),
            rng=random.Random(1), sleep=lambda _: None,
        )  # fmt: skip
        # Each call to the limits may be cut like any other.
        limits: Any = Watched(self.limits, wire, _raise(InboxAway("redis")))
        limiter = Limiter(limits if self.limited else None, Rates(texts_per_minute=100, loop=6))
        house = House(
            inbox=inbox,
            journal=journal,
            cat=Cat([Parrot(self.lines)], deadline_seconds=20, max_parts=self.lines),
            budget=Budget(a_counting(purse, journal), TARIFF),
            delivery=delivery,
            limiter=limiter,
            leases=NoRenewal(inbox.leases, every_seconds=5, on_error=lambda _: None),
            worker="w",
        )
        habits = VisitSettings(
            policy=self.policy, quiet_window_seconds=0.5, quiet_limit_seconds=3, max_age_seconds=21600,
            own_numbers=frozenset({OUR_NUMBER}),
        )  # fmt: skip
        with suppress(Died, InboxAway, CarrierAway):
            Visits(house, habits, sleep=lambda _: None).serve(WHO)
        return wire

    def come_to_rest(self) -> None:
        """Do what the sweep and the reconciler would do within ten minutes, without further faults."""
        for _ in range(8):
            self.ms += 70_000
            self.reconciler.reconcile()
            self.visit()

    def parts(self) -> list[Part]:
        sids = dict.fromkeys(
            turn.turn or turn.sid for text in self.texts if (turn := self.store.get_turn(ANN, text.sid)) is not None
        )
        return [part for sid in sids for part in self.store.parts(ANN, sid)]

    def account(self, *wires: Wire) -> None:
        """Assert that each text is answered once, in order, and that no text waits.

        A reply may be in doubt if a fault between claim and bind explains it.
        """
        states = [turn.state for text in self.texts if (turn := self.store.get_turn(ANN, text.sid)) is not None]
        both = [TurnState.ANSWERED, TurnState.ANSWERED]
        # A text during which a worker died is answered alone, under every policy.
        assert states == both or (self.policy == "latest" and states == [TurnState.SILENT, TurnState.ANSWERED])
        assert self.inbox.texts.oldest_waiting_ms() is None

        created = [message.body for _, message in self.sender.created]
        assert len(created) == len(set(created)), "a second SMS"
        written = [part.content for part in self.parts()]
        assert created == [words for words in written if words in created], "out of order"
        for part in self.parts():
            if part.state is PartState.SENT:
                assert part.content in created
            else:
                assert part.state is PartState.UNKNOWN, part
                # A created message is on the carrier's list, which settles the doubt.
                assert part.content not in created
                assert any(wire.struck in WINDOW for wire in wires), [wire.struck for wire in wires]


WAYS = [(after, dies) for after in (False, True) for dies in (False, True)]


def calls_of_a_visit(policy: str, lines: int, *, short: bool = False) -> int:
    return len(World(policy, lines, short=short).visit().calls)


@pytest.mark.parametrize(
    ("policy", "lines"), [("each", 1), ("each", 2), ("coalesce", 1), ("coalesce", 3), ("latest", 1)]
)
def test_a_cut_at_any_call_of_a_visit(policy: str, lines: int) -> None:
    calls = calls_of_a_visit(policy, lines)
    assert calls > 12, "a visit without calls proves nothing"

    for nth, (after, dies) in product(range(1, calls + 1), WAYS):
        world = World(policy, lines)
        wire = world.visit(Cut(nth, after=after, dies=dies))
        assert wire.struck

        world.come_to_rest()

        world.account(wire)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    # `ways`: how many of the sixteen combinations of faults are drawn for each pair of calls. All sixteen take minutes.
    ("policy", "lines", "ways"),
    [
        ("each", 1, 3),
        ("coalesce", 2, 3),
        pytest.param("each", 1, 16, marks=pytest.mark.long),
        pytest.param("coalesce", 2, 16, marks=pytest.mark.long),
    ],
)
def test_a_second_cut_at_any_call_of_the_visit_that_carries_on(policy: str, lines: int, ways: int) -> None:
    # Without limits, and with the totals already counted: the number of pairs grows with the square of the calls, and
    # the test above covers these calls.
    calls = calls_of_a_visit(policy, lines, short=True)
    struck_twice = pairs = 0
    rng = random.Random(f"{policy}{lines}")

    for one, other, (way, other_way) in (
        (one, other, both)
        for one, other in product(range(1, calls + 1), repeat=2)
        for both in rng.sample(list(product(WAYS, repeat=2)), ways)
    ):
        pairs += 1
        world = World(policy, lines, short=True)
        first = world.visit(Cut(one, after=way[0], dies=way[1]))
        world.ms += 21_000  # the dead worker's lease has expired
        second = world.visit(Cut(other, after=other_way[0], dies=other_way[1]))
        struck_twice += bool(second.struck)

        world.come_to_rest()

        world.account(first, second)
    assert struck_twice > pairs / 4, "the second fault must strike in many pairs"


@pytest.mark.parametrize("policy", ["each", "coalesce"])
def test_a_sleeper_at_any_call_while_another_worker_serves(policy: str) -> None:
    """Stop a worker at a call for longer than its lease, and let another serve meanwhile.

    The first then continues from what it knew before.
    """
    for nth, after in product(range(1, calls_of_a_visit(policy, 1) + 1), (False, True)):
        world = World(policy, 1)

        def another(world: World = world) -> None:
            world.ms += 21_000
            world.visit()

        wire = world.visit(Cut(nth, after=after, meanwhile=another))
        assert wire.struck

        world.come_to_rest()

        world.account(wire)


class ClaimsAnything(InMemoryStorage):
    """Claims every part, whatever the caller's fence and the part's state."""

    def claim(self, part: Part, *, fence: int, attempt_id: str, now: datetime) -> Part:
        del fence
        with self._lock:
            stored = self._parts[part.user_id, part.key]
            facts = {**stored.facts, "claimed_at": now.isoformat()}
            return self._move_part(stored, state=PartState.SENDING, attempt_id=attempt_id, facts=facts)


class FilesAnew(InMemoryStorage):
    """Puts a text's row even if there is one."""

    def file(self, turn: Turn, *, now: datetime) -> Filed:
        with self._lock:
            self._turns.pop((turn.user_id, turn.key), None)
            return super().file(turn, now=now)


class PersistsAnything(InMemoryStorage):
    """Overwrites a persisted reply, whatever the caller's fence."""

    def persist(self, answer: Answer, *, now: datetime) -> Conversation:
        with self._lock:
            first = answer.turns[0]
            stored = self._turns[first.user_id, first.key]
            self._turns[first.user_id, first.key] = replace(stored, state=TurnState.FILED)
            conversation = self._conversations[first.user_id]
            return super().persist(replace(answer, conversation=conversation), now=now)


@pytest.mark.parametrize("careless", [ClaimsAnything, FilesAnew, PersistsAnything])
def test_a_journal_without_its_guards_is_found_out(careless: type[InMemoryStorage]) -> None:
    """Prove that these tests notice a missing guard: a sleeper sends twice, or a text is left behind."""
    offences: list[str] = []
    for nth, after in product(range(1, calls_of_a_visit("each", 1) + 1), (False, True)):
        world = World("each", 1, careless())

        def another(world: World = world) -> None:
            world.ms += 21_000
            world.visit()

        try:
            wire = world.visit(Cut(nth, after=after, meanwhile=another))
            world.come_to_rest()
            world.account(wire)
        except AssertionError as exc:
            offences.append(str(exc))

    assert offences


def a_world_with_everything_to_repair() -> World:
    """Build a world with one case of each repair.

    One reply failed in delivery, one is in doubt, and one was never claimed. A report waits, and a text's webhook never
    came.
    """
    world = World("each", 1)
    world.reconciler.reconcile()
    world.visit()
    failed, delivered = world.parts()
    world.reports.receive(
        DeliveryReport(
            sid=MessageSid(failed.sid or ""),
            to=ANN,
            status="undelivered",
            attempt_id=failed.attempt_id or "",
            error_code=30022,
        )
    )
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
    world.visit(Cut(nth=8, after=True, dies=True))
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


def repair(world: World, cut: Cut | None) -> Wire:
    """Run one drain of the reports and one reconciliation, which may be cut at any call."""
    wire = Wire(cut)
    inbox = watched(world.inbox, wire)
    journal: Any = Watched(world.store, wire, _raise(StoreAway("dynamodb")))
    ledger: Any = Watched(world.sender, wire, _raise(CarrierAway("twilio")))
    aftermath = DeliveryFailures(inbox, journal, world.circuit, rng=random.Random(1), max_age=timedelta(hours=6))
    receipts = Receipts(inbox, journal, aftermath, who_key=b"memory", noted=lambda *_: None)
    terms = ReconcileTerms(
        validity=timedelta(hours=1), numbers=[OUR_NUMBER], who=lambda person: payloads.who(person, b"memory")
    )
    with suppress(Died, InboxAway, StoreAway, CarrierAway):
        receipts.drain()
        Reconciler(inbox, journal, ledger, aftermath, terms).reconcile()
    return wire


def test_repairs_are_cut_at_any_call_and_done_again() -> None:
    calls = len(repair(a_world_with_everything_to_repair(), None).calls)
    assert calls > 30, "repairs without calls prove nothing"

    for nth, (after, dies) in product(range(1, calls + 1), WAYS):
        world = a_world_with_everything_to_repair()
        repair(world, Cut(nth, after=after, dies=dies))
        for _ in range(4):
            world.ms += 70_000
            world.visit()
            repair(world, None)

        created = [message.body for _, message in world.sender.created]
        assert sorted(created) == sorted(
            ["one 0", "one 0", "two 0", "in doubt 0", "left by a dead worker 0", "never came 0"]
        ), (nth, after, dies)
        assert {part.state for part in world.parts()} == {PartState.SENT}
        assert sum(part.again for part in world.parts()) == 1
        assert world.inbox.texts.oldest_waiting_ms() is None
