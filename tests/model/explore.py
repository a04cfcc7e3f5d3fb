"""Looks at every world that can be reached from one, step by step, and tells the way to any of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

World = TypeVar("World", bound=Hashable)


@dataclass(slots=True)
class Finding:
    """What a search found: a broken promise and the way to it, or a world from which there is no way out."""

    what: str
    way: list[str]


@dataclass(slots=True)
class Explored(Generic[World]):
    """Every world that was reached: how it was come to, and from where it can be."""

    came: dict[World, tuple[World, str] | None] = field(default_factory=dict)
    backwards: dict[World, list[World]] = field(default_factory=dict)

    def way(self, world: World) -> list[str]:
        """The steps that lead to a world."""
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
        """The worlds from which one of these can be reached, by a way that passes through none of those."""
        found = {world for world in self.came if goals(world)}
        queue = deque(found)
        while queue:
            for before in self.backwards.get(queue.popleft(), ()):
                if before not in found and not not_through(before):
                    found.add(before)
                    queue.append(before)
        return found


def explore(
    start: World,
    steps: Callable[[World], Iterator[tuple[str, World]]],
    broken: Callable[[World, World], str | None],
) -> Explored[World] | Finding:
    """Look at every reachable world, nearest first; the first step that breaks a promise ends the search."""
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
