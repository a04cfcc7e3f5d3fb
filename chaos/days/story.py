"""A day as a short story: what was sent, what broke, what happened, and a test that repeats it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import MISSING, Field, fields
from enum import Enum
from typing import Any, Final

from chaos.days.day import Outcome
from chaos.days.plan import Plan

#: Calls that say little: a story is about the others.
_DULL: Final = frozenset({"pop", "time", "xread", "set", "leave", "query", "xautoclaim", "del", "lpush"})


def story(outcome: Outcome) -> Iterator[str]:
    """Yield the lines of a day's story: its end first, then what happened, then a test."""
    plan = outcome.plan
    yield f"A day of seed {plan.seed}: {len(plan.texts)} texts, {len(plan.faults)} faults."
    yield from (f"  {offence}" for offence in outcome.offences)
    yield ""
    yield "What happened, in seconds since the day began:"
    yield from (line for line in outcome.log if line.split()[-1] not in _DULL)
    yield ""
    yield "The same as a test:"
    yield ""
    yield from as_test(plan)


def as_test(plan: Plan) -> Iterator[str]:
    """Yield a test that runs this very day."""
    yield f"def test_a_day_of_seed_{plan.seed}() -> None:"
    yield "    day = Plan("
    yield f"        seed={plan.seed},"
    yield f"        terms={_call(plan.terms)},"
    for name in ("texts", "faults"):
        yield f"        {name}=("
        yield from (f"            {_call(item)}," for item in getattr(plan, name))
        yield "        ),"
    yield "    )"
    yield ""
    yield "    assert simulate(day).offences == ()"


def _call(value: Any) -> str:  # Any: a dataclass of the plan
    """Return the call that makes a value, without the arguments that have their defaults."""
    given = [f"{one.name}={_word(getattr(value, one.name))}" for one in fields(value) if _is_told(value, one)]
    return f"{type(value).__name__}({', '.join(given)})"


def _is_told(value: Any, one: Field[Any]) -> bool:
    return one.default is MISSING or bool(getattr(value, one.name) != one.default)


def _word(value: object) -> str:
    return f"{type(value).__name__}.{value.name}" if isinstance(value, Enum) else repr(value)
