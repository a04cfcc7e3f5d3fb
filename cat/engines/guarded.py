"""Calls to an engine through a circuit breaker, with a wall-clock deadline and a count of the cost."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import replace
from typing import Any, Final

from circuitbreaker import STATE_CLOSED, STATE_HALF_OPEN, CircuitBreaker

from cat import prompt
from cat.errors import EngineFailed
from cat.persona import Persona
from cat.ports import Engine, Heard, Reply, Summarizer
from cat.prices import Model
from runtime import tracing

#: After `BREAKER_FAILURES` failures in a row an engine is not asked for `BREAKER_SECONDS`; then one text tests it.
BREAKER_FAILURES, BREAKER_SECONDS = 5, 30.0
#: Concurrent calls in one process, unless the caller gives another number.
CALLS: Final = 64
#: Threads in addition to one per conversation: a call whose host name is looked up ends a little after its deadline.
SPARE_CALLS: Final = 16


class GuardedEngine:
    """One engine, with the facts of its model. Each failure is raised as `EngineFailed`."""

    def __init__(self, engine: Engine, known: Model, calls: Executor, who: Persona | None = None) -> None:
        self._engine = engine
        self._calls = calls
        self._known = known
        self._who = who
        # this breaker holds no lock during a call; with a lock, one person's call would wait for another person's
        self._breaker = CircuitBreaker(
            failure_threshold=BREAKER_FAILURES, recovery_timeout=BREAKER_SECONDS, expected_exception=_is_failure
        )
        self._testing = threading.Lock()

    @property
    def name(self) -> str:
        """The engine's name as in `CAT_ENGINES`."""
        return self._engine.name

    @property
    def known(self) -> Model:
        """The facts of the model, with what the engine learnt: that the model reasons first."""
        return replace(self._known, thinks=self._known.thinks or bool(getattr(self._engine, "thinks", False)))

    @property
    def writes(self) -> bool:
        """Whether the engine can write notes (`cat.ports.Summarizer`)."""
        return isinstance(self._engine, Summarizer)

    def reply(self, heard: Heard, *, seconds: float) -> Reply:
        """Ask the engine for a reply within `seconds`.

        The fact `model_cost` of the reply is its cost in millionths of a dollar.
        If the engine fails, `EngineFailed.cost` is what the call may have cost.
        """
        return self._ask(
            lambda: self._engine.reply(heard, seconds=seconds),
            seconds,
            lambda: self.max_cost(heard),
        )

    def max_cost(self, heard: Heard) -> int:
        """Return the most that a reply may cost, in millionths of a dollar."""
        return prompt.max_cost(self.known, heard, self._who)

    def note(self, instructions: str, talk: str, *, seconds: float) -> Reply:
        """Ask the engine for notes on `talk`; the cost is reported as by `reply`."""
        summarizer = self._engine
        if not isinstance(summarizer, Summarizer):
            raise EngineFailed(f"{self.name}: cannot write notes")
        return self._ask(
            lambda: summarizer.note(instructions, talk, seconds=seconds),
            seconds,
            lambda: prompt.most_cost_of_notes(self.known, instructions, talk),
        )

    def _ask(self, work: Callable[[], Reply], seconds: float, most: Callable[[], int]) -> Reply:
        try:
            with self._admission(), tracing.span("engine", engine=self.name), self._breaker:
                answer = self._call(work, seconds)
        except EngineFailed as exc:
            exc.cost = self._cost(exc.used, most) if exc.paid else 0
            raise
        return replace(answer, facts={**answer.facts, "model_cost": self._cost(answer.facts, most)})

    @contextmanager
    def _admission(self) -> Iterator[None]:
        """Admit every call while the breaker is closed, and one at a time when an open one may be tested."""
        state = self._breaker.state
        tests = state == STATE_HALF_OPEN and self._testing.acquire(blocking=False)
        if state != STATE_CLOSED and not tests:
            raise EngineFailed(f"{self.name}: circuit breaker open after {BREAKER_FAILURES} failures")
        try:
            yield
        finally:
            if tests:
                self._testing.release()

    def _cost(self, facts: Mapping[str, Any], most: Callable[[], int]) -> int:  # Any: JSON
        """Return the cost of a call; without token counts from the server, the most that it may cost."""
        if "tokens_in" in facts and "tokens_out" in facts:
            return self.known.cost(facts["tokens_in"], facts["tokens_out"])
        return most()

    def _call(self, work: Callable[[], Reply], seconds: float) -> Reply:
        """Run the call in another thread and wait for `seconds` at most.

        The call ends by itself at the same time (`cat.engines.http`), except while a host name is looked up.
        """
        # what is bound to this thread's log lines and spans holds for the call, too
        future = self._calls.submit(copy_context().run, work)
        try:
            return future.result(timeout=seconds)
        except EngineFailed:
            raise
        except FutureTimeoutError as exc:
            started = not future.cancel()
            raise EngineFailed(f"{self.name}: no answer in {seconds:.1f} s", paid=started) from exc
        except Exception as exc:
            # an unexpected error of one engine must not keep the next engine, or `dada`, from answering
            raise EngineFailed(f"{self.name}: {type(exc).__name__}", paid=True) from exc


def _is_failure(_: type[BaseException], exc: BaseException) -> bool:
    """Return whether an error counts for the breaker. A refusal does not: it depends on the text."""
    return isinstance(exc, EngineFailed) and not exc.refused
