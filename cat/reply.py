"""History in, one reply out: engines in order, within one deadline; the last of them always answers."""

from __future__ import annotations

import re
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
_SENTENCE_END: Final = re.compile(r"(?<=[.!?])\s+")
#: How long a reply may be, in segments.
MAX_SEGMENTS: Final = 3


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
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engines = tuple(engine for engine in engines if engine.name != "dada")
        self._poet = Dada()
        self._deadline_seconds = deadline_seconds
        self._max_segments = max_segments
        self._max_parts = max_parts
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
        words = segments.trim(reply.words, self._max_segments)
        return Reply(words=words, engine=reply.engine, facts=facts, parts=into_parts(words, self._max_parts))


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
