"""Breadth-first search of every state that can be reached from a first one, with the path to each."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

World = TypeVar("World", bound=Hashable)


@dataclass(slots=True)
class Finding:
    """A broken promise, or a state from which no path leads to rest, and the path to it."""

    what: str
    way: list[str]


@dataclass(slots=True)
class Explored(Generic[World]):
    """Every state that was reached: its first predecessor and step, and all its predecessors."""

    came: dict[World, tuple[World, str] | None] = field(default_factory=dict)
    backwards: dict[World, list[World]] = field(default_factory=dict)

    def way(self, world: World) -> list[str]:
        """Return the steps that lead to a state."""
        way: list[str] = []
        step = self.came[world]
        while step is not None:
            world, name = step
            way.append(name)
            step = self.came[world]
        return way[::-1]

    def reaching(
        self, goals: Callable[[World], bool], *, not_through: Callable[[World], bool] = lambda _: False
    ) -> set[World]:
        """Return the states from which a goal can be reached without passing through `not_through`."""
        reached = {world for world in self.came if goals(world)}
        queue = deque(reached)
        while queue:
            for before in self.backwards.get(queue.popleft(), ()):
                if before not in reached and not not_through(before):
                    reached.add(before)
                    queue.append(before)
        return reached


def explore(
    start: World,
    steps: Callable[[World], Iterator[tuple[str, World]]],
    broken: Callable[[World, World], str | None],
) -> Explored[World] | Finding:
    """Visit every reachable state, nearest first. The first step that breaks a promise ends the search."""
    seen: Explored[World] = Explored(came={start: None})
    queue = deque([start])
    while queue:
        world = queue.popleft()
        for name, after in steps(world):
            if after == world:
                continue
            seen.backwards.setdefault(after, []).append(world)
            if after not in seen.came:
                seen.came[after] = (world, name)
                queue.append(after)
            offence = broken(world, after)
            if offence is not None:
                return Finding(offence, [*seen.way(world), name])
    return seen
