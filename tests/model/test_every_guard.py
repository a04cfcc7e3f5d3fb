"""Take out each condition of each write, and each guard of each script: a fault must then break a promise."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import product

import pytest

from tests.builders import ANN, a_text
from tests.model.guards import Unguarded, noting_scripts, script_guards, writers
from tests.model.world import Cut, World, a_world_with_everything_to_repair, noted

#: Runs one world with one fault, on these tables and with these scripts, and asserts what must hold at its end.
Run = Callable[[Unguarded, Mapping[str, str]], None]
WAYS = [(after, dies) for after in (False, True) for dies in (False, True)]


def all_runs() -> Iterator[Run]:
    """Yield runs with one fault at each call of a visit and of a repair, and of a visit after a death."""
    calls = len(World("each", 1).visit().calls)
    yield from (partial(cut, call, *way) for call, way in product(range(1, calls + 1), WAYS))
    for policy in ("each", "latest"):
        for dead in (False, True):
            yield from (partial(sleep, policy, dead, *place) for place in product(range(1, calls + 1), (False, True)))
    yield from (partial(sleep_over_stop, *place) for place in product(range(1, calls + 1), ("update", "bind")))
    for bodies in (STOP_AND_START, RESET):
        calls = len(World("each", 1, bodies=bodies).visit().calls)
        yield from (partial(sleep_over, bodies, *place) for place in product(range(1, calls + 1), (False, True)))
    calls = len(a_world_with_everything_to_repair().repair().calls)
    yield from (partial(sleep_over_repairs, *place) for place in product(range(1, calls + 1), (False, True)))


def cut(call: int, after: bool, dies: bool, tables: Unguarded, edits: Mapping[str, str]) -> None:
    world = World("each", 1, tables, edits=edits)
    wire = world.visit(Cut(call, after=after, dies=dies))
    world.come_to_rest()
    world.account(wire)


def sleep(policy: str, dead: bool, call: int, after: bool, tables: Unguarded, edits: Mapping[str, str]) -> None:
    """Let a worker sleep, perhaps in the first visit after another worker died."""
    world = World(policy, 1, tables, edits=edits)
    if dead:
        world.visit(Cut("reserve", after=False, dies=True))
        world.ms += 21_000
    wire = world.visit(Cut(call, after=after, meanwhile=world.visit_by_another))
    world.come_to_rest()
    world.account(wire)


def sleep_over_stop(call: int, dead_at: str, tables: Unguarded, edits: Mapping[str, str]) -> None:
    """Let a worker sleep while a STOP arrives and another worker obeys it, but dies soon after."""
    world = World("each", 1, tables, bodies=("hello",), edits=edits)
    created = [1]

    def another() -> None:
        world.inbox.texts.accept(a_text("stop"))
        world.ms += 21_000
        world.visit(Cut(dead_at, after=False, dies=True))
        conversation = world.store.conversations.get(ANN)
        if conversation is not None and not conversation.is_active:
            created.append(len(world.sender.created))

    wire = world.visit(Cut(call, after=False, meanwhile=another))
    # a message claimed before the STOP was under way
    assert wire.struck == "send" or len(world.sender.created) <= created[-1], "a message after STOP"


STOP_AND_START = ("stop", "start")
RESET = ("hello", "reset", "again")


def sleep_over(bodies: Sequence[str], call: int, after: bool, tables: Unguarded, edits: Mapping[str, str]) -> None:
    """Let a worker sleep while another one obeys keywords."""
    world = World("each", 1, tables, bodies=bodies, edits=edits)
    world.visit(Cut(call, after=after, meanwhile=world.visit_by_another))
    world.come_to_rest()

    conversation = world.store.conversations.get(ANN)
    assert conversation is not None
    assert conversation.is_active
    assert world.inbox.texts.oldest_waiting_ms() is None
    assert len(world.sender.created) == (3 if bodies == RESET else 0)
    # what stands before the reset is forgotten; the reset itself and its answer are not
    assert len(conversation.messages) == (4 if bodies == RESET else 0)


def sleep_over_repairs(call: int, after: bool, tables: Unguarded, edits: Mapping[str, str]) -> None:
    """Let a repair sleep while another one and a visit run."""
    world = a_world_with_everything_to_repair(tables, edits=edits)

    def another() -> None:
        world.repair()
        world.visit_by_another()

    world.repair(Cut(call, after=after, meanwhile=another))
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


def test_each_condition_of_each_write_is_missed(decisive: dict[str, list[Run]]) -> None:
    conditions = {guard: runs for guard, runs in decisive.items() if guard not in script_guards()}

    unnoticed = {guard for guard, runs in conditions.items() if not offence_without(guard, runs, {})}

    assert unnoticed == set(UNNOTICED)
    assert writers() - {guard.partition(" ")[0].rstrip(":") for guard in conditions} == set(UNREACHED)


def test_each_guard_of_each_script_is_missed(decisive: dict[str, list[Run]]) -> None:
    guards = script_guards()

    unnoticed = {guard for guard, edits in guards.items() if not offence_without("", decisive[guard], edits)}

    assert unnoticed == set(UNNOTICED_IN_SCRIPTS)
