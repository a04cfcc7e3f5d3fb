"""Take out each condition of each write, and each guard of each script: a fault must then break a promise."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

import pytest

from tests.builders import ANN, a_text
from tests.model.guards import Unguarded, noting_scripts, script_guards, writers
from tests.model.world import Cut, Wire, World, a_world_with_everything_to_repair, noted

#: Runs one world with one fault, on these tables and with these scripts, and asserts what must hold at its end.
Run = Callable[[Unguarded, Mapping[str, str]], None]
STOP_AND_START = ("stop", "start")
RESET = ("hello", "reset", "again")
#: A guard of a script may decide in every run: so many of its runs are tried, evenly spread.
RUNS = 25


def all_runs() -> Iterator[Run]:
    """Yield runs with one fault at each call of a visit, of a visit after a death, and of a repair."""
    visit = World("each", 1).visit()
    yield from (partial(run_cut, replace(place, dies=dies)) for place in places(visit) for dies in (False, True))
    for policy in ("each", "latest"):
        yield from (partial(run_sleeper, policy, place) for place in places(visit))
        yield from (partial(run_sleeper_after_a_death, policy, place) for place in places(visit))
    yield from (partial(run_arrival, place) for place in places(visit))
    yield from (partial(run_two_at_once, place) for place in places(visit))
    for end in ("update", "bind"):
        yield from (partial(run_sleeper_over_stop, end, place) for place in places(visit) if not place.after)
    for bodies in (STOP_AND_START, RESET):
        visit = World("each", 1, bodies=bodies).visit()
        yield from (partial(run_sleeper_over_keywords, bodies, place) for place in places(visit))
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
    world = World("each", 1, tables, bodies=bodies, edits=edits)
    world.visit(replace(place, meanwhile=world.visit_by_another))
    world.come_to_rest()

    conversation = world.store.conversations.get(ANN)
    assert conversation is not None
    assert conversation.is_active
    assert world.inbox.texts.oldest_waiting_ms() is None
    assert len(world.sender.created) == (3 if bodies == RESET else 0)
    # what stands before the reset is forgotten; the reset itself and its answer are not
    assert len(conversation.messages) == (4 if bodies == RESET else 0)


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


def test_each_condition_of_each_write_is_missed(decisive: dict[str, list[Run]]) -> None:
    conditions = {guard: runs for guard, runs in decisive.items() if guard not in script_guards()}

    unnoticed = {guard for guard, runs in conditions.items() if not offence_without(guard, runs, {})}

    assert unnoticed == set(UNNOTICED)
    assert writers() - {guard.partition(" ")[0].rstrip(":") for guard in conditions} == set(UNREACHED)


def test_each_guard_of_each_script_is_missed(decisive: dict[str, list[Run]]) -> None:
    guards = script_guards()

    unnoticed = {guard for guard, edits in guards.items() if not offence_without("", decisive[guard], edits)}

    assert unnoticed == set(UNNOTICED_IN_SCRIPTS)
