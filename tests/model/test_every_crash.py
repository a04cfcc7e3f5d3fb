"""The code itself, cut at every call that it makes to anything outside, before the call took effect and after, once and twice in a row.

A visit, a drain of reports and a reconciliation talk to the inbox, the journal, the circuit and the carrier, and to nothing else. So whatever can
happen to their process happens between two of these calls, and there are few enough of them to try them all: a worker that dies there, a call whose
answer is lost there, a worker that sleeps there. In-memory keepers take the place of servers; they pass the same contract tests.
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

from cat.ports import Heard, Reply
from cat.reply import Cat
from conversation.errors import StoreAway
from conversation.journal import Part, PartState, Turn, TurnState
from conversation.memory import InMemoryStorage
from conversation.models import Conversation
from conversation.ports import Answer, Filed
from inbox import contract
from inbox.errors import InboxAway
from inbox.memory import InMemoryCircuit, InMemoryInbox, InMemoryLimits, InMemoryPurse
from inbox.money import Caps
from inbox.ports import Lease
from sms.errors import CarrierAway
from sms.memory import InMemorySender
from sms.messages import DeliveryReport, MessageSid
from sms.ports import Listed, Unknown
from tests.builders import ANN, NOW, NOW_MS, OUR_NUMBER, a_text
from tests.room import TARIFF, a_counting
from worker.aftermath import Aftermath
from worker.budget import Budget
from worker.delivery import Delivery, Terms
from worker.limits import Limiter, Rates
from worker.receipts import Receipts
from worker.reconcile import Reconciler
from worker.reconcile import Terms as ReconcileTerms
from worker.turn import Habits, House, Visits
from worker.visit import LeaseKeeper

WHO = contract.who(ANN, b"memory")
#: While one of these is under way, nobody but the worker can know whether a request left.
WINDOW = ("claim", "send", "bind")


class Died(BaseException):
    """A worker's process ends here: nothing in our code catches it."""


@dataclass(frozen=True)
class Cut:
    """What happens at one call: the worker dies, or its answer is lost, or the worker sleeps; before it took effect, or after."""

    nth: int
    after: bool
    dies: bool = False
    #: What happens while the worker sleeps at this call; it goes on as if nothing had been.
    meanwhile: Callable[[], None] | None = None


@dataclass
class Wire:
    """Counts the calls of one visit and does what is due at one of them."""

    cut: Cut | None
    calls: list[str] = field(default_factory=list)
    #: The call that was cut.
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
    """A keeper behind a wire. `lost` is what a caller gets when an answer does not come."""

    def __init__(self, behind: object, wire: Wire, lost: Callable[[], Any]) -> None:
        self._behind, self._wire, self._lost = behind, wire, lost

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._behind, name)
        return self._wire.call(name, real, self._lost) if callable(real) else real


class NobodyRenews(LeaseKeeper):
    """The clock stands still while a visit runs, so that its lease needs no renewal."""

    @contextmanager
    def kept(self, lease: Lease) -> Iterator[None]:
        del lease
        yield


class Parrot:
    """Says back what it heard, in as many lines as it was told."""

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
    """One person's texts, and everything but the worker."""

    def __init__(self, policy: str, lines: int, store: InMemoryStorage | None = None, *, short: bool = False) -> None:
        self.ms = NOW_MS
        self.limited = not short
        self.policy, self.lines = policy, lines
        self.inbox = InMemoryInbox(clock_ms=lambda: self.ms, lease=timedelta(seconds=20))
        self.store = store or InMemoryStorage()
        self.sender = InMemorySender(clock=lambda: datetime.fromtimestamp(self.ms / 1000, UTC))
        self.circuit = InMemoryCircuit()
        self.purse = InMemoryPurse(models=Caps(), messages=Caps(day=10**9))
        if short:
            stand = self.purse.begin_count("w", now=NOW)
            assert stand is not None
            self.purse.add_page(stand, [], cursor=None)
        self.limits = InMemoryLimits(clock_ms=lambda: self.ms)
        self.texts = [a_text("one"), a_text("two")]
        for text in self.texts:
            self.inbox.accept(text)
        self.ms += 1000  # quiet since then
        aftermath = Aftermath(self.inbox, self.store, self.circuit, rng=random.Random(1), max_age=timedelta(hours=6))
        terms = ReconcileTerms(
            validity=timedelta(hours=1), numbers=[OUR_NUMBER], who=lambda person: contract.who(person, b"memory")
        )
        self.reconciler = Reconciler(self.inbox, self.store, self.sender, aftermath, terms)

    def visit(self, cut: Cut | None = None) -> Wire:
        """A worker serves; it may die, or fail with an error that is logged."""
        wire = Wire(cut)
        inbox: Any = Watched(self.inbox, wire, _raise(InboxAway("redis")))
        journal: Any = Watched(self.store, wire, _raise(StoreAway("dynamodb")))
        # a send whose answer is lost is an outcome; a carrier that cannot even be reached is an error
        sender: Any = Watched(self.sender, wire, lambda: Unknown(reason="no answer"))
        circuit: Any = Watched(self.circuit, wire, _raise(InboxAway("redis")))
        purse: Any = Watched(self.purse, wire, _raise(InboxAway("redis")))
        delivery = Delivery(
            journal, sender, circuit,
            Terms(public_url="https://cat.example", validity_seconds=3600, patience_seconds=60, max_age_seconds=21600),
            rng=random.Random(1), sleep=lambda _: None,
        )  # fmt: skip
        # with limits, whose every call may be cut like any other
        limits: Any = Watched(self.limits, wire, _raise(InboxAway("redis")))
        limiter = Limiter(limits if self.limited else None, Rates(texts_per_minute=100, loop=6))
        house = House(
            inbox=inbox,
            journal=journal,
            cat=Cat([Parrot(self.lines)], deadline_seconds=20, max_parts=self.lines),
            budget=Budget(a_counting(purse, journal), TARIFF),
            delivery=delivery,
            limiter=limiter,
            leases=NobodyRenews(inbox, every_seconds=5, on_error=lambda _: None),
            worker="w",
        )
        habits = Habits(
            policy=self.policy, quiet_window_seconds=0.5, quiet_limit_seconds=3, max_age_seconds=21600,
            own_numbers=frozenset({OUR_NUMBER}),
        )  # fmt: skip
        with suppress(Died, InboxAway, CarrierAway):
            Visits(house, habits, sleep=lambda _: None).serve(WHO)
        return wire

    def come_to_rest(self) -> None:
        """What the sweep and the reconciler would do in the hour after: visits, without any more mishap."""
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
        """Each text answered once, in order; or in doubt, where a cut between claim and bind explains it; and nobody waits."""
        states = [turn.state for text in self.texts if (turn := self.store.get_turn(ANN, text.sid)) is not None]
        both = [TurnState.ANSWERED, TurnState.ANSWERED]
        # a text that a worker died of is answered alone, whatever the policy
        assert states == both or (self.policy == "latest" and states == [TurnState.SILENT, TurnState.ANSWERED])
        assert self.inbox.oldest_waiting_ms() is None

        said = [message.body for _, message in self.sender.created]
        assert len(said) == len(set(said)), "a second SMS"
        written = [part.content for part in self.parts()]
        assert said == [words for words in written if words in said], "out of order"
        for part in self.parts():
            if part.state is PartState.SENT:
                assert part.content in said
            else:
                assert part.state is PartState.UNKNOWN, part
                # what was created shows on the list, and the list settles it
                assert part.content not in said
                assert any(wire.struck in WINDOW for wire in wires), [wire.struck for wire in wires]


WAYS = [(after, dies) for after in (False, True) for dies in (False, True)]


def calls_of_a_visit(policy: str, lines: int, *, short: bool = False) -> int:
    return len(World(policy, lines, short=short).visit().calls)


@pytest.mark.parametrize(
    ("policy", "lines"), [("each", 1), ("each", 2), ("coalesce", 1), ("coalesce", 3), ("latest", 1)]
)
def test_a_cut_at_any_call_of_a_visit(policy: str, lines: int) -> None:
    calls = calls_of_a_visit(policy, lines)
    assert calls > 12, "a visit that calls nobody proves nothing"

    for nth, (after, dies) in product(range(1, calls + 1), WAYS):
        world = World(policy, lines)
        wire = world.visit(Cut(nth, after=after, dies=dies))
        assert wire.struck

        world.come_to_rest()

        world.account(wire)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    # of the sixteen ways in which both calls of a pair may be cut, so many are drawn for each pair; all of them take minutes
    ("policy", "lines", "ways"),
    [
        ("each", 1, 3),
        ("coalesce", 2, 3),
        pytest.param("each", 1, 16, marks=pytest.mark.long),
        pytest.param("coalesce", 2, 16, marks=pytest.mark.long),
    ],
)
def test_a_second_cut_at_any_call_of_the_visit_that_carries_on(policy: str, lines: int, ways: int) -> None:
    # without limits, and with sums that are counted: pairs of calls grow with the square, and these have been looked at above
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
        world.ms += 21_000  # the dead worker's lease is over
        second = world.visit(Cut(other, after=other_way[0], dies=other_way[1]))
        struck_twice += bool(second.struck)

        world.come_to_rest()

        world.account(first, second)
    assert struck_twice > pairs / 4, "many pairs must meet two living visits"


@pytest.mark.parametrize("policy", ["each", "coalesce"])
def test_a_sleeper_at_any_call_while_another_worker_serves(policy: str) -> None:
    """A worker stops at a call for longer than its lease, another serves meanwhile, and the first goes on from what it knew before."""
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
    """Claims whatever it is asked to, whoever asks, whatever became of the part."""

    def claim(self, part: Part, *, fence: int, attempt_id: str, now: datetime) -> Part:
        del fence
        with self._lock:
            was = self._parts[part.user_id, part.key]
            facts = {**was.facts, "claimed_at": now.isoformat()}
            return self._move_part(was, state=PartState.SENDING, attempt_id=attempt_id, facts=facts)


class FilesAnew(InMemoryStorage):
    """Puts a text's row whether there is one or not."""

    def file(self, turn: Turn, *, now: datetime) -> Filed:
        with self._lock:
            self._turns.pop((turn.user_id, turn.key), None)
            return super().file(turn, now=now)


class PersistsAnything(InMemoryStorage):
    """Freezes words over words, for whoever comes."""

    def persist(self, answer: Answer, *, now: datetime) -> Conversation:
        with self._lock:
            first = answer.turns[0]
            stands = self._turns[first.user_id, first.key]
            self._turns[first.user_id, first.key] = replace(stands, state=TurnState.FILED)
            conversation = self._conversations[first.user_id]
            return super().persist(replace(answer, conversation=conversation), now=now)


@pytest.mark.parametrize("careless", [ClaimsAnything, FilesAnew, PersistsAnything])
def test_a_journal_without_its_guards_is_found_out(careless: type[InMemoryStorage]) -> None:
    """These tests would notice: without the guard some sleeper sends a second time, or a text is left behind."""
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
    """Of five replies one was answered and failed, one is in doubt, one was never claimed; a report waits, and a text never came."""
    world = World("each", 1)
    world.reconciler.reconcile()
    world.visit()
    failed, delivered = world.parts()
    world.inbox.receive(
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
    world.inbox.accept(world.texts[-1])
    world.sender.answers.append(Unknown(reason="no answer"))
    world.sender.creates_anyway = True
    world.visit()
    world.sender.creates_anyway = False
    world.texts.append(a_text("left by a dead worker"))
    world.inbox.accept(world.texts[-1])
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
    """One drain of the reports and one reconciliation, which may be cut at any call."""
    wire = Wire(cut)
    inbox: Any = Watched(world.inbox, wire, _raise(InboxAway("redis")))
    journal: Any = Watched(world.store, wire, _raise(StoreAway("dynamodb")))
    ledger: Any = Watched(world.sender, wire, _raise(CarrierAway("twilio")))
    aftermath = Aftermath(inbox, journal, world.circuit, rng=random.Random(1), max_age=timedelta(hours=6))
    receipts = Receipts(inbox, journal, aftermath, who_key=b"memory", noted=lambda *_: None)
    terms = ReconcileTerms(
        validity=timedelta(hours=1), numbers=[OUR_NUMBER], who=lambda person: contract.who(person, b"memory")
    )
    with suppress(Died, InboxAway, StoreAway, CarrierAway):
        receipts.drain()
        Reconciler(inbox, journal, ledger, aftermath, terms).reconcile()
    return wire


def test_repairs_are_cut_at_any_call_and_done_again() -> None:
    calls = len(repair(a_world_with_everything_to_repair(), None).calls)
    assert calls > 30, "repairs that call nobody prove nothing"

    for nth, (after, dies) in product(range(1, calls + 1), WAYS):
        world = a_world_with_everything_to_repair()
        repair(world, Cut(nth, after=after, dies=dies))
        for _ in range(4):
            world.ms += 70_000
            world.visit()
            repair(world, None)

        said = [message.body for _, message in world.sender.created]
        assert sorted(said) == sorted(
            ["one 0", "one 0", "two 0", "in doubt 0", "left by a dead worker 0", "never came 0"]
        ), (nth, after, dies)
        assert {part.state for part in world.parts()} == {PartState.SENT}
        assert sum(part.again for part in world.parts()) == 1
        assert world.inbox.oldest_waiting_ms() is None
