"""An engine as the cat asks it: behind a circuit breaker, by the clock on the wall, and with what it cost beside its words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import replace
from typing import Any, Final

from circuitbreaker import CircuitBreaker

from cat import prompt
from cat.catalogue import Model
from cat.errors import EngineSilent
from cat.ports import Engine, Heard, Reply, Scribe

#: After so many failures in a row an engine is left alone for so long; then one person's text tries whether it is back.
BREAKER_FAILURES, BREAKER_SECONDS = 5, 30.0
#: Calls under way in one process where nobody says how many conversations it holds.
CALLS: Final = 64
#: Beside one for each conversation: calls that nobody waits for any more, which end by their own timeout.
SPARE_CALLS: Final = 16


class Guarded:
    """One engine, and what is known of its model. Whatever it does wrong is a silence: nothing but `EngineSilent` comes out of it."""

    def __init__(self, engine: Engine, known: Model, calls: ThreadPoolExecutor) -> None:
        self._engine = engine
        self._calls = calls
        self.known = known
        # one that holds no lock while it is open to calls: another would let one person's model call wait for another's
        self._breaker = CircuitBreaker(
            failure_threshold=BREAKER_FAILURES, recovery_timeout=BREAKER_SECONDS, expected_exception=_is_failure
        )

    @property
    def name(self) -> str:
        """As `CAT_ENGINES` names it."""
        return self._engine.name

    @property
    def writes(self) -> bool:
        """Whether it can be a scribe."""
        return isinstance(self._engine, Scribe)

    def reply(self, heard: Heard, *, seconds: float) -> Reply:
        """See `cat.ports.Engine.reply`; `model_cost` among the facts is what it cost, and what a silence may have cost stands in the error."""
        return self._ask(
            lambda: self._engine.reply(heard, seconds=seconds), seconds, lambda: prompt.most_cost(self.known, heard)
        )

    def note(self, instructions: str, talk: str, *, seconds: float) -> Reply:
        """See `cat.ports.Scribe.note`; costs as in `reply`."""
        scribe = self._engine
        if not isinstance(scribe, Scribe):
            raise EngineSilent(f"{self.name}: writes nothing down")
        return self._ask(
            lambda: scribe.note(instructions, talk, seconds=seconds),
            seconds,
            lambda: prompt.most_cost_of(self.known, [instructions, talk]),
        )

    def _ask(self, work: Callable[[], Reply], seconds: float, most: Callable[[], int]) -> Reply:
        if self._breaker.opened:
            raise EngineSilent(f"{self.name}: left alone after {BREAKER_FAILURES} failures")
        try:
            with self._breaker:
                spoken = self._call(work, seconds)
        except EngineSilent as exc:
            exc.cost = most() if exc.paid else 0
            raise
        return replace(spoken, facts={**spoken.facts, "model_cost": self._cost(spoken.facts, most)})

    def _cost(self, facts: Mapping[str, Any], most: Callable[[], int]) -> int:  # Any: JSON
        """A server that does not say how many tokens it took is taken to have used all that it might."""
        if "tokens_in" in facts and "tokens_out" in facts:
            return self.known.cost(facts["tokens_in"], facts["tokens_out"])
        return most()

    def _call(self, work: Callable[[], Reply], seconds: float) -> Reply:
        """Ask in another thread: a server that trickles keeps a client's own timeout from ever being over."""
        asked = self._calls.submit(work)
        try:
            return asked.result(timeout=seconds)
        except EngineSilent:
            raise
        except FutureTimeoutError as exc:
            begun = not asked.cancel()
            raise EngineSilent(f"{self.name}: no answer in {seconds:.1f} s", paid=begun) from exc
        except Exception as exc:
            # an engine that breaks its promise must not keep the next one, or the poet, from answering
            raise EngineSilent(f"{self.name}: {type(exc).__name__}", paid=True) from exc


def _is_failure(_: type[BaseException], exc: BaseException) -> bool:
    """Whether an engine is in trouble. One that says no to what it was asked is well: the next text is another one."""
    return isinstance(exc, EngineSilent) and not exc.refused
