"""Shrink a day that goes wrong: leave out what it goes wrong without."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields, replace
from functools import partial
from typing import Any, Final, TypeVar

from chaos.days.plan import Plan, Terms, Text

#: So many days are tried at most: a shrunk story takes a minute, not an hour.
MOST_TRIES: Final = 400

_Item = TypeVar("_Item")


class Shrinker:
    """Finds the smallest day that goes wrong as the first one did. `goes_wrong` runs a day."""

    def __init__(self, goes_wrong: Callable[[Plan], bool], *, tries: int = MOST_TRIES) -> None:
        self._goes_wrong = goes_wrong
        self._left = tries

    def shrink(self, plan: Plan) -> Plan:
        """Return the smallest plan that was found."""
        before = None
        while before != plan and self._left > 0:
            before = plan
            plan = self._fewer(plan, plan.faults, lambda plan, faults: replace(plan, faults=faults))
            plan = self._simpler(plan, _simpler_terms())
            plan = self._fewer(plan, plan.texts, _with_texts)
            plan = self._simpler(plan, _earlier_faults(plan))
        return plan

    def _fewer(self, plan: Plan, items: Sequence[_Item], having: Callable[[Plan, tuple[_Item, ...]], Plan]) -> Plan:
        """Leave out halves, quarters and single items, as long as the day goes wrong without them."""
        kept, size = tuple(items), len(items)
        while size >= 1:
            for start in range(len(kept) - size, -1, -size):
                rest = (*kept[:start], *kept[start + size :])
                smaller = having(plan, rest)
                if self._tries(smaller):
                    plan, kept = smaller, rest
            size //= 2
        return plan

    def _simpler(self, plan: Plan, candidates: Iterator[Callable[[Plan], Plan]]) -> Plan:
        for simplify in candidates:
            simpler = simplify(plan)
            if simpler != plan and self._tries(simpler):
                plan = simpler
        return plan

    def _tries(self, plan: Plan) -> bool:
        self._left -= 1
        return self._left >= 0 and bool(plan.texts) and self._goes_wrong(plan)


def _with_texts(plan: Plan, texts: tuple[Text, ...]) -> Plan:
    return replace(plan, texts=texts)


def _simpler_terms() -> Iterator[Callable[[Plan], Plan]]:
    plain = Terms(varied=False)
    for term in fields(plain):
        yield partial(_with_term, name=term.name, value=getattr(plain, term.name))


def _earlier_faults(plan: Plan) -> Iterator[Callable[[Plan], Plan]]:
    """Let each fault strike the first or second call of its kind, instead of a later one."""
    for place, fault in enumerate(plan.faults):
        for nth in range(1, min(fault.nth, 4)):
            yield partial(_striking, place=place, nth=nth)


def _with_term(plan: Plan, *, name: str, value: Any) -> Plan:  # Any: what the term holds
    return replace(plan, terms=replace(plan.terms, **{name: value}))


def _striking(plan: Plan, *, place: int, nth: int) -> Plan:
    faults = tuple(replace(fault, nth=nth) if at == place else fault for at, fault in enumerate(plan.faults))
    return replace(plan, faults=faults)
