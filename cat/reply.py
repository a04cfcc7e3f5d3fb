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
from dataclasses import dataclass, field, replace
from typing import Any, Final

from cat import fit, prompt
from cat.catalogue import Catalogue
from cat.dada import Dada
from cat.errors import EngineSilent
from cat.guarded import CALLS, Guarded
from cat.ports import Engine, Heard, Reply
from sms import segments

#: What is kept of the deadline for the poet, who needs milliseconds, and for what comes after thinking.
RESERVE_SECONDS: Final = 0.5
#: With less than this left a model is not asked: it would be paid for and cut off.
WORTH_ASKING_SECONDS: Final = 1.0
#: An engine behind which others stand gets this much of what is left, so that they have a turn too.
SHARE: Final = 0.6
#: How often one engine is asked for one reply, where its silence was of the kind that passes.
ASKED: Final = 2
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

    def __init__(  # noqa: PLR0913 - each is a limit with a name
        self,
        engines: Sequence[Engine],
        *,
        deadline_seconds: float,
        max_segments: int = MAX_SEGMENTS,
        max_parts: int = 1,
        emoji: bool = False,
        catalogue: Catalogue | None = None,
        calls: int = CALLS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        models = [engine for engine in engines if engine.name != "dada"]
        known = catalogue or Catalogue({})
        pool = ThreadPoolExecutor(calls, thread_name_prefix="engine") if models else None
        self._engines = tuple(
            Guarded(engine, known.of(engine.name.partition(":")[2]), pool) for engine in models if pool
        )
        self._poet = Dada()
        self._deadline_seconds = deadline_seconds
        self._max_segments = max_segments
        self._max_parts = max_parts
        self._emoji = emoji
        self._clock = clock

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
    def scribe(self) -> Guarded | None:
        """The first of the engines that can write something down."""
        return next((engine for engine in self._engines if engine.writes), None)

    @property
    def sees(self) -> bool:
        """Whether any of the engines takes pictures."""
        return any(engine.known.sees for engine in self._engines)

    def most_cost(self, heard: Heard) -> int:
        """What the models may cost that are asked for one reply, all of them, in millionths of a dollar."""
        return sum(prompt.most_cost(engine.known, heard) for engine in self._engines)

    def _ask(self, engine: Guarded, heard: Heard, seconds: float, tally: _Tally) -> Reply | None:
        """What an engine says within its time, made fit; None, and why in the tally, where that is nothing."""
        until = self._clock() + seconds
        for _ in range(ASKED):
            try:
                spoken = engine.reply(heard, seconds=until - self._clock())
            except EngineSilent as exc:
                tally.silent.append(str(exc))
                tally.cost += exc.cost
                blind = exc.refused and engine.known.sees and bool(heard.shown)
                if not (exc.transient or blind) or until - self._clock() < WORTH_ASKING_SECONDS:
                    return None
                if blind:
                    # it may have been the picture that it would not take
                    heard = replace(heard, shown=())
                continue
            tally.cost += spoken.facts["model_cost"]
            words = fit.for_a_phone(spoken.words, max_segments=self._max_segments, emoji=self._emoji)
            if words:
                return replace(spoken, words=words)
            tally.silent.append(f"{engine.name}: not a cat's words")
            return None
        return None

    def _ready(self, reply: Reply, tally: _Tally, below: str) -> Reply:
        # a line that leaves no room for a word of the cat's is left away: the limit holds for all of it
        tail = f"\n{below}" if below and segments.count(f"x\n{below}") <= self._max_segments else ""
        words = segments.trim(reply.words, self._max_segments, ending=tail)
        return Reply(
            words=words,
            engine=reply.engine,
            facts={**reply.facts, **tally.facts()},
            parts=into_parts(words + tail, self._max_parts, max_segments=self._max_segments),
        )


def into_parts(words: str, most: int, *, max_segments: int) -> tuple[str, ...]:
    """`words` as at most `most` messages, in order: a line each, or a sentence each where one line takes more than a segment.

    What is over the number stays together in the last message. Each message is charged by itself: of `words` that take at most `max_segments`
    together only as many messages are made as take no more than that.
    """
    pieces = [line.strip() for line in words.splitlines() if line.strip()] or [words]
    between = "\n"
    if len(pieces) == 1 and segments.count(words) > 1:
        pieces, between = _SENTENCE_END.split(pieces[0]), " "
    for messages in range(min(most, len(pieces)), 1, -1):
        parts = (*pieces[: messages - 1], between.join(pieces[messages - 1 :]))
        if sum(map(segments.count, parts)) <= max_segments:
            return parts
    return (words,)
