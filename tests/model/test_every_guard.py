"""Take out each condition of a write and each guard of a script: a fault then breaks a promise."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

import pytest

from tests.builders import ANN, a_text
from tests.model.guards import Unguarded, noting_scripts, script_guards, writers
from tests.model.marks import (
    LOST_CLAIMS,
    run_cut_with_marks,
    run_lost_claim,
    run_proof_of_another,
    run_proof_of_held,
    run_second_copy,
)
from tests.model.world import Cut, Wire, World, a_world_with_everything_to_repair, noted

#: Runs one world with one fault, on these tables and with these scripts, and asserts what must hold at its end.
Run = Callable[[Unguarded, Mapping[str, str]], None]
STOP_AND_START = ("stop", "start", "hello")
RESET = ("hello", "reset", "again")
#: A guard may decide in every run: so many of its runs are tried, evenly spread.
RUNS = 10
#: The same of a script's guard.
RUNS_OF_SCRIPTS = 25


def table(reasons: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Return the reason for each name."""
    return {name: reason for reason, names in reasons.items() for name in names}


#: Conditions whose absence no fault shows, by the reason. tests/contract finds each of them missing, except as noted.
UNNOTICED = table(
    {
        "the outcome that comes late is true, or the carrier's list settles it again": (
            "Outbox._updated out#: all",
            "Outbox._updated out#: state",
        ),
        "a second attempt begins only when the first is bound": ("Outbox._updated out#: attempt_id",),
        "both writers read the same statement or the same report": (
            "Outbox.charge out#: all",
            "Outbox.charge out#: price",
            "Outbox.report out#: all",
            "Outbox.report out#: rank/state",
        ),
        "a fence raised once more costs the visit of another worker, which begins anew": (
            "Outbox.prove_unsent item: fence",
        ),
        "a proof that is noted twice is two lines of a log": ("Outbox.prove_unsent out#: proven_unsent",),
        "every report is of an attempt that was made, and of a message that was created": (
            "Outbox.report out#: attempts",
            "Outbox.report out#: state",
            "Outbox.report out#: state/resent/word",
        ),
        "no row is ever missing": (
            "Outbox.charge out#: user_id",
            "Outbox.send_again out#: state",
            "Turns._note in#: user_id",
            "Turns.note_duplicates in#: user_id",
        ),
        "the fence refuses the sleeper, too": ("Outbox.claim out#: state",),
        "one of the transaction's other conditions refuses a second reply, too": (
            "Turns.persist in#: state",
            "Turns.persist item: all",
            "Turns.persist item: fence",
            "Turns.persist item: updated_at",  # not found in tests/contract: see `DynamoDBStorage.append`, the same
            "Turns.persist item: version",
            "Turns.persist out#: user_id",  # not found in tests/contract: the state of the turn refuses, too
        ),
        "a try counted wrongly matters only at the last one": (
            "Turns.retry in#: all",
            "Turns.retry in#: state",
            "Turns.retry in#: tries",
        ),
        "both workers settle a text in the same way": ("Turns.settle in#: state",),
        "a list that is read again from further back shows known texts": ("Unsettled.set_watermark watermark: at",),
    }
)
#: Methods that write, and that no worker calls in these worlds.
UNREACHED = table(
    {
        "an operator's command": (
            "Unsettled.forget_watermark",
            "Archive._add",
            "Archive.erase",
            "Aside.remove",
            "DeadLetters.discard",
            "DeadLetters.revive",
            "Held.resend",
            "Held.settle",
        ),
        "a library user's call; tests/contract/test_conversations.py interrupts it": (
            "DynamoDBStorage.append",
            "DynamoDBStorage.begin_anew",
        ),
        "for an erased person, an opt-out at the carrier, or a memory": (
            "FencedConversations.delete_if_untouched",
            "FencedConversations.remember",
            "Costs.record_memory",
            "Tombstones.drop_late",
            "Tombstones.lift_stop",
            "Unsettled.drop_orphan",
        ),
        "only under UNKNOWN_POLICY=resend; tests/unit/test_resend.py": ("Unsettled.note_look",),
        "has no condition": ("Aside.add", "FencedConversations.open"),
    }
)
#: Guards of scripts whose absence no fault shows, by the reason. The scripts' own tests are in tests/contract.
UNNOTICED_IN_SCRIPTS = table(
    {
        "never decides here: nothing is limited, capped or stopped, one worker counts, and no person is forgotten": (
            "accept: if not succeeded",
            "count: if counter and counter ~= ARGV[3] and now < tonumber(till)",
            "drop_identity: if redis.call('EXISTS', KEYS[1]) == 1",
            "due: if redis.call('EXISTS', ARGV[3] .. who) == 1",
            "forget: if #oldest > 0",
            "forget_idle: if redis.call('EXISTS', ARGV[3] .. who) == 0",
            "forget_idle: ZADD NX",
            "leave: if redis.call('GET', KEYS[1]) ~= ARGV[1]",
            "limit: if tokens < 1 and empty == 0",
            "pace: if wait > tonumber(ARGV[3])",
            "page: if number < days",
            "page: if cap >= 0 and tonumber(redis.call('HGET', hash, 'sms') or 0) > cap",
            "page: HSETNX",
            "receive: SET NX",
            "renew: if redis.call('GET', KEYS[1]) ~= ARGV[1]",
            "request: if not redis.call('SET', KEYS[1], '1', 'NX', 'PX', ARGV[2])",
            "request: SET NX",
            "reserve: if counting == 1 or full('model', for_models)",
            "reserve: if ARGV[6] ~= '' and (not before or before == turn)",
            "reserve: if last == turn",
            "reserve: if last",
            "reserve: if over",
            "reserve: if which[2] and redis.call('HEXISTS', day, 'beyond') == 1",
            "reserve: if which[3] and redis.call('HEXISTS', month, 'beyond') == 1",
            "reserve: if which[2]",
            "reserve: if which[3]",
            "settle: if not now and not counting",
            "take: if not user",
            "window: if wait > 0",
            "take: if redis.call('EXISTS', KEYS[5]) == 0",
        ),
        "never decides here: the carrier stops no place; tests/contract/test_circuit.py": (
            "await: if redis.call('EXISTS', KEYS[1]) == 0",
            "expired: if redis.call('EXISTS', KEYS[2]) == 1",
            "open: HSETNX",
            "open: ZADD NX",
            "open: if name == ''",
            "open: if now >= last + pause",
            "open: if redis.call('SCARD', KEYS[6]) < tonumber(ARGV[4])",
            "open: if tonumber(ARGV[4]) > 1 and redis.call('EXISTS', KEYS[2]) == 0",
            "pass: if at > 0",
            "pass: if left > longest",
            "pass: if reason",
            "reopen: if ARGV[1] == 'delivered'",
            "reopen: if not open",
            "reopen: if not reported",
        ),
        "the lease of a dead worker is given back at once, or expires: tests/unit/test_marks.py": (
            "give_back: if redis.call('GET', KEYS[1]) ~= ARGV[1]",
            "give_back: if string.sub(redis.call('GET', KEYS[3]) or '', 1, 5) == 'again'",
        ),
        "the journal knows what happened to each text; what is counted of texts brought again is for people to read": (
            "accept: if not first",
            "accept: if newest == '0'",
            "accept: if entry[2][2] == sid",
            "accept: if newest ~= '0'",
            "remove: if counted",
            "remove: if times",
        ),
        "a task, a visit or a place on the agenda more or less: the sweep and the reconciler find the text": (
            "accept: if redis.call('SET', rung, '1', 'NX', 'PX', grace)",
            "accept: ZADD NX",
            "accept: ZADD LT",
            "accept: HSETNX",
            "accept: SET NX",
            "due: SET NX",
            "receive: if redis.call('SET', KEYS[2], '1', 'NX', 'PX', ARGV[2])",
            "release_until: if ARGV[4] == '0' and string.sub(begun, -#ARGV[1]) == ARGV[1]",
        ),
        "the fence, not the lease, decides which worker may write: without the guard, work is done twice": (
            "close: if redis.call('GET', KEYS[1]) ~= ARGV[1]",
            "release_until: if redis.call('GET', KEYS[1]) ~= ARGV[1]",
            "remove: if redis.call('GET', KEYS[1]) ~= ARGV[1]",
            "take: SET NX",
        ),
        "no cap or limit is near, so that the sums do not matter": (
            "count: if redis.call('EXISTS', KEYS[1]) == 1",
            "count: HSETNX",
            "limit: if before",
            "limit: if empty == 0",
            "reserve: if not epoch",
            "reserve: if amount == 0",
            "reserve: if counting == 1",
            "reserve: if missing > 0",
            "settle: if amount == 0",
            "settle: if ARGV[5] ~= ''",
            "streak: if before",
        ),
    }
)
#: A script without this guard never ends.
ENDLESS = ("due: if #listed == 0",)


def all_runs() -> Iterator[Run]:
    """Yield runs with one fault at each call of a visit, of a visit after a death, and of a repair."""
    visit = World("each", 1).visit()
    yield from (partial(run_cut, replace(place, dies=dies)) for place in places(visit) for dies in (False, True))
    for policy in ("each", "latest"):
        yield from (partial(run_sleeper, policy, place) for place in places(visit))
        yield from (partial(run_sleeper_after_a_death, policy, place) for place in places(visit))
    yield from (partial(run_arrival, place) for place in places(visit))
    yield from (partial(run_two_at_once, place) for place in places(visit))
    for end in ("open", "bind"):
        yield from (partial(run_sleeper_over_stop, end, place) for place in places(visit) if not place.after)
    for bodies in (STOP_AND_START, RESET):
        visit = World("each", 1, bodies=bodies).visit()
        yield from (partial(run_sleeper_over_keywords, bodies, place) for place in places(visit))
    for neighbours in ("at once", "late"):
        for fault in LOST_CLAIMS:
            yield partial(run_cut_with_marks, fault, neighbours)
            yield partial(run_lost_claim, fault, neighbours, lands_late=True)
    yield from (run_second_copy, run_proof_of_another, run_proof_of_held)
    repair = a_world_with_everything_to_repair().repair()
    yield from (partial(run_sleeper_over_repairs, place) for place in places(repair))


def places(wire: Wire) -> Iterator[Cut]:
    """Yield the places before and after each call."""
    for call in range(1, len(wire.calls) + 1):
        yield from (Cut(call, after=after) for after in (False, True))


def run_cut(fault: Cut, tables: Unguarded, edits: Mapping[str, str]) -> None:
    world = World("each", 1, tables, edits=edits)
    wire = world.visit(fault)
    world.come_to_rest()
    world.account(wire)


def run_sleeper(policy: str, place: Cut, tables: Unguarded, edits: Mapping[str, str]) -> None:
    world = World(policy, 1, tables, edits=edits)
    wire = world.visit(replace(place, meanwhile=world.visit_by_another))
    world.come_to_rest()
    world.account(wire)


def run_sleeper_after_a_death(policy: str, place: Cut, tables: Unguarded, edits: Mapping[str, str]) -> None:
    world = World(policy, 1, tables, edits=edits)
    world.visit(Cut("reserve", after=False, dies=True))
    world.ms += 21_000
    wire = world.visit(replace(place, meanwhile=world.visit_by_another))
    world.come_to_rest()
    world.account(wire)


def run_arrival(place: Cut, tables: Unguarded, edits: Mapping[str, str]) -> None:
    """Let a text arrive, and one come a second time, at a call of a worker that serves on."""
    world = World("each", 1, tables, edits=edits)

    def arrive() -> None:
        world.texts.append(a_text("three"))
        world.inbox.texts.accept(world.texts[-1])
        world.inbox.texts.accept(world.texts[0])

    wire = world.visit(replace(place, meanwhile=arrive))
    world.come_to_rest()
    world.account(wire)


def run_two_at_once(place: Cut, tables: Unguarded, edits: Mapping[str, str]) -> None:
    """Let a second worker visit at a call of one whose lease is valid."""
    world = World("each", 1, tables, edits=edits)
    wire = world.visit(replace(place, meanwhile=world.visit))
    world.come_to_rest()
    world.account(wire)


def run_sleeper_over_stop(end: str, place: Cut, tables: Unguarded, edits: Mapping[str, str]) -> None:
    """Let a worker sleep while a STOP arrives and another worker obeys it, but dies before its call `end`."""
    world = World("each", 1, tables, bodies=("hello",), edits=edits)
    created = [1]

    def another() -> None:
        world.inbox.texts.accept(a_text("stop"))
        world.ms += 21_000
        world.visit(Cut(end, after=False, dies=True))
        conversation = world.store.conversations.get(ANN)
        if conversation is not None and not conversation.is_active:
            created.append(len(world.sender.created))

    wire = world.visit(replace(place, meanwhile=another))
    # a message claimed before the STOP was under way
    assert wire.struck == "send" or len(world.sender.created) <= created[-1], "a message after STOP"


def run_sleeper_over_keywords(bodies: Sequence[str], place: Cut, tables: Unguarded, edits: Mapping[str, str]) -> None:
    """Let a worker sleep while another obeys the keywords: what the sleeper believes then is outdated."""
    world = World("each", 1, tables, bodies=bodies, edits=edits)
    world.visit(replace(place, meanwhile=world.visit_by_another))
    world.come_to_rest()

    conversation = world.store.conversations.get(ANN)
    assert conversation is not None
    assert conversation.is_active
    assert world.inbox.texts.oldest_waiting_ms() is None
    assert len(world.sender.created) == (3 if bodies == RESET else 1)
    # what stands before the reset is forgotten; the reset itself and its answer are not
    assert len(conversation.messages) == (4 if bodies == RESET else 2)


def run_sleeper_over_repairs(place: Cut, tables: Unguarded, edits: Mapping[str, str]) -> None:
    """Let a repair sleep while another one and a visit run."""
    world = a_world_with_everything_to_repair(tables, edits=edits)

    def another() -> None:
        world.repair()
        world.visit_by_another()

    world.repair(replace(place, meanwhile=another))
    world.repair_until_all_is_over()
    world.account_for_repairs()


@pytest.fixture(scope="module")
def decisive() -> dict[str, list[Run]]:
    """Return for each condition and each guard the runs in which it decides something."""
    runs: dict[str, list[Run]] = {guard: [] for guard in script_guards()}
    scripts = noting_scripts()
    for run in all_runs():
        tables = Unguarded()
        run(tables, scripts)
        for guard in tables.met:
            runs.setdefault(guard, [])
        for guard in tables.decisive | noted():
            runs.setdefault(guard, []).append(run)
    return runs


def offence_without(guard: str, runs: Sequence[Run], edits: Mapping[str, str]) -> str:
    """Return what goes wrong in the first run in which something does; empty: nothing."""
    for run in runs:
        try:
            run(Unguarded(guard), edits)
        except Exception as exc:  # noqa: BLE001 - the absence of a guard may show in any way
            return f"{type(exc).__name__}: {exc}"
    return ""


def spread(runs: Sequence[Run], most: int) -> Sequence[Run]:
    """Return so many of the runs, evenly spread."""
    return runs[:: max(1, len(runs) // most)]


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("most", [RUNS, pytest.param(100_000, marks=pytest.mark.long)])
def test_each_condition_of_each_write_is_missed(decisive: dict[str, list[Run]], most: int) -> None:
    """Try so many runs of a condition that none misses, and of the others all up to the first that does."""
    conditions = {guard: runs for guard, runs in decisive.items() if guard not in script_guards()}

    unnoticed = {
        guard
        for guard, runs in conditions.items()
        if not offence_without(guard, spread(runs, most), {})
        and (guard in UNNOTICED or not offence_without(guard, runs, {}))
    }

    assert unnoticed == set(UNNOTICED)
    assert writers() - {guard.partition(" ")[0].rstrip(":") for guard in conditions} == set(UNREACHED)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_each_guard_of_each_script_is_missed(decisive: dict[str, list[Run]]) -> None:
    guards = script_guards()

    unnoticed = {
        guard
        for guard, edits in guards.items()
        if guard not in ENDLESS and not offence_without("", spread(decisive[guard], RUNS_OF_SCRIPTS), edits)
    }

    assert unnoticed == set(UNNOTICED_IN_SCRIPTS)
