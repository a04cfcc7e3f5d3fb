"""History in, one reply out: engines in order, within one deadline; the last of them always answers.

Each engine has its share of the time, one more try where it may help, and a circuit breaker, so that an engine that is down does not cost every
person its wait. What it says is made fit for a phone; where nothing fit is left the next one is asked. `dada` stands behind the last. What was
spent on the way stands in the reply's facts, in millionths of a dollar: also what a model was paid for whose words nobody hears.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass, field
from typing import Any, Final

from circuitbreaker import CircuitBreaker

from cat import fit, prompt
from cat.catalogue import Catalogue, Model
from cat.dada import Dada
from cat.errors import EngineSilent
from cat.ports import Engine, Heard, Reply, Scribe
from sms import segments

#: What is kept of the deadline for the poet, who needs milliseconds, and for what comes after thinking.
RESERVE_SECONDS: Final = 0.5
#: With less than this left a model is not asked: it would be paid for and cut off.
WORTH_ASKING_SECONDS: Final = 1.0
#: An engine behind which others stand gets this much of what is left, so that they have a turn too.
SHARE: Final = 0.6
#: How often one engine is asked for one reply, where its silence was of the kind that passes.
ASKED: Final = 2
#: After so many failures in a row an engine is left alone for so long; then one person's text tries whether it is back.
BREAKER_FAILURES, BREAKER_SECONDS = 5, 30.0
#: Calls under way in one process; one that nobody waits for any more ends by its own timeout.
CALLS: Final = 64
#: How long a reply may be, in segments.
MAX_SEGMENTS: Final = 3

_SENTENCE_END: Final = re.compile(r"(?<=[.!?])\s+")


@dataclass(slots=True)
class _Tally:
    """What became of the engines that were asked for one reply."""

    silent: list[str] = field(default_factory=list)
    cost: int = 0

    def facts(self) -> dict[str, Any]:  # Any: JSON
        return {
            **({"silent_engines": self.silent} if self.silent else {}),
            **({"model_cost": self.cost} if self.cost else {}),
        }


class Cat:
    """Asks its engines in order; `dada` stands behind the last one, whatever the list says.

    `deadline_seconds` is for the whole reply, all engines together; so is `max_segments`, however many messages it is sent in.
    """

    def __init__(
        self,
        engines: Sequence[Engine],
        *,
        deadline_seconds: float,
        max_segments: int = MAX_SEGMENTS,
        max_parts: int = 1,
        emoji: bool = False,
        catalogue: Catalogue | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engines = tuple(engine for engine in engines if engine.name != "dada")
        # one that holds no lock while it is open to calls: another would let one person's model call wait for another's
        self._breakers = {
            engine.name: CircuitBreaker(
                failure_threshold=BREAKER_FAILURES, recovery_timeout=BREAKER_SECONDS, expected_exception=EngineSilent
            )
            for engine in self._engines
        }
        self._poet = Dada()
        self._deadline_seconds = deadline_seconds
        self._max_segments = max_segments
        self._max_parts = max_parts
        self._emoji = emoji
        self._catalogue = catalogue or Catalogue({})
        self._clock = clock
        self._calls = ThreadPoolExecutor(CALLS, thread_name_prefix="engine") if self._engines else None

    def reply(self, heard: Heard, *, below: str = "", used_seconds: float = 0.0) -> Reply:
        """Find words for what was heard, and put the line `below` under them. Never raises, and never takes longer than the deadline.

        `used_seconds` of it are over already.
        """
        until = self._clock() + self._deadline_seconds - RESERVE_SECONDS - used_seconds
        tally = _Tally()
        for place, engine in enumerate(self._engines):
            left = until - self._clock()
            if left < WORTH_ASKING_SECONDS:
                tally.silent.append(f"{engine.name}: no time left")
                continue
            is_last = place == len(self._engines) - 1
            spoken = self._ask(engine, heard, left if is_last else max(left * SHARE, WORTH_ASKING_SECONDS), tally)
            if spoken is not None:
                return self._ready(spoken, tally, below)
        return self._ready(self._poet.reply(heard, seconds=RESERVE_SECONDS), tally, below)

    def by_heart(self, heard: Heard, *, below: str = "") -> Reply:
        """What the cat says without asking any model: the poet's words. Never raises."""
        return self._ready(self._poet.reply(heard, seconds=RESERVE_SECONDS), _Tally(), below)

    @property
    def scribe(self) -> Scribe | None:
        """The first of the engines that can write something down."""
        return next((engine for engine in self._engines if isinstance(engine, Scribe)), None)

    @property
    def sees(self) -> bool:
        """Whether any of the engines takes pictures."""
        return any(self._known(engine).sees for engine in self._engines)

    def most_cost(self, heard: Heard) -> int:
        """What the models may cost that are asked for one reply, all of them, in millionths of a dollar."""
        return sum(prompt.most_cost(self._known(engine), heard) for engine in self._engines)

    def _known(self, engine: Engine) -> Model:
        return self._catalogue.of(engine.name.partition(":")[2])

    def _ask(self, engine: Engine, heard: Heard, seconds: float, tally: _Tally) -> Reply | None:
        """What an engine says within its time, made fit; None, and why in the tally, where that is nothing."""
        until = self._clock() + seconds
        breaker = self._breakers[engine.name]
        for _ in range(ASKED):
            if breaker.opened:
                tally.silent.append(f"{engine.name}: left alone after {BREAKER_FAILURES} failures")
                return None
            try:
                with breaker:
                    spoken = self._call(engine, heard, until - self._clock())
            except EngineSilent as exc:
                tally.silent.append(str(exc))
                if exc.paid:
                    tally.cost += prompt.most_cost(self._known(engine), heard)
                if not exc.transient or until - self._clock() < WORTH_ASKING_SECONDS:
                    return None
                continue
            used = (int(spoken.facts.get("tokens_in", 0)), int(spoken.facts.get("tokens_out", 0)))
            # a server that does not say how many tokens it took is taken to have used all that it might
            known = self._known(engine)
            tally.cost += known.cost(*used) if any(used) else prompt.most_cost(known, heard)
            words = fit.for_a_phone(spoken.words, max_segments=self._max_segments, emoji=self._emoji)
            if words:
                return Reply(words=words, engine=spoken.engine, facts=spoken.facts)
            tally.silent.append(f"{engine.name}: not a cat's words")
            return None
        return None

    def _call(self, engine: Engine, heard: Heard, seconds: float) -> Reply:
        """Ask in another thread: a server that trickles keeps a client's own timeout from ever being over."""
        assert self._calls is not None
        asked = self._calls.submit(engine.reply, heard, seconds=seconds)
        try:
            return asked.result(timeout=seconds)
        except FutureTimeoutError as exc:
            begun = not asked.cancel()
            raise EngineSilent(f"{engine.name}: no answer in {seconds:.1f} s", paid=begun) from exc

    def _ready(self, reply: Reply, tally: _Tally, below: str) -> Reply:
        # a line that leaves no room for a word of the cat's is left away: the limit holds for all of it
        tail = f"\n{below}" if below and segments.count(f"x\n{below}") <= self._max_segments else ""
        words = segments.trim(reply.words, self._max_segments, ending=tail) + tail
        return Reply(
            words=words,
            engine=reply.engine,
            facts={**reply.facts, **tally.facts()},
            parts=into_parts(words, self._max_parts),
        )


def into_parts(words: str, most: int) -> tuple[str, ...]:
    """`words` as at most `most` messages, in order: a line each, or a sentence each where one line takes more than a segment.

    What is over the number stays together in the last message.
    """
    pieces = [line.strip() for line in words.splitlines() if line.strip()] or [words]
    between = "\n"
    if len(pieces) == 1 and segments.count(words) > 1:
        pieces, between = _SENTENCE_END.split(pieces[0]), " "
    if most == 1 or len(pieces) == 1:
        return (words,)
    return (*pieces[: most - 1], *([between.join(pieces[most - 1 :])] if pieces[most - 1 :] else []))
