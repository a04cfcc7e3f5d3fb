"""History in, one reply out: engines in order, within one deadline; the last of them always answers."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

from cat.dada import Dada
from cat.errors import EngineSilent
from cat.ports import Engine, Heard, Reply
from sms import segments

#: What is kept of the deadline for the poet, who needs milliseconds, and for what comes after thinking.
RESERVE_SECONDS: Final = 0.5
#: With less than this left a model is not asked: it would be paid for and cut off.
WORTH_ASKING_SECONDS: Final = 1.0
#: How long a reply may be, in segments.
MAX_SEGMENTS: Final = 3


class Cat:
    """Asks its engines in order; `dada` stands behind the last one, whatever the list says.

    `deadline_seconds` is for the whole reply, all engines together.
    """

    def __init__(
        self,
        engines: Sequence[Engine],
        *,
        deadline_seconds: float,
        max_segments: int = MAX_SEGMENTS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engines = tuple(engine for engine in engines if engine.name != "dada")
        self._poet = Dada()
        self._deadline_seconds = deadline_seconds
        self._max_segments = max_segments
        self._clock = clock

    def reply(self, heard: Heard) -> Reply:
        """Find words for what was heard. Never raises, and never takes longer than the deadline."""
        until = self._clock() + self._deadline_seconds - RESERVE_SECONDS
        silent: list[str] = []
        for engine in self._engines:
            left = until - self._clock()
            if left < WORTH_ASKING_SECONDS:
                silent.append(f"{engine.name}: no time left")
                continue
            try:
                return self._fit(engine.reply(heard, seconds=left), silent)
            except EngineSilent as exc:
                silent.append(str(exc))
        return self._fit(self._poet.reply(heard, seconds=RESERVE_SECONDS), silent)

    def by_heart(self, heard: Heard) -> Reply:
        """What the cat says without asking any model: the poet's words. Never raises."""
        return self._fit(self._poet.reply(heard, seconds=RESERVE_SECONDS), ())

    def _fit(self, reply: Reply, silent: Sequence[str]) -> Reply:
        facts = {**reply.facts, **({"silent_engines": list(silent)} if silent else {})}
        return Reply(words=segments.trim(reply.words, self._max_segments), engine=reply.engine, facts=facts)
