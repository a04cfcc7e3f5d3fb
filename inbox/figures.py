"""The figures of a whole installation: what waits, what was spent, and how Redis itself is.

A worker notes there what only the journal knows, such as the number of dead letters, so that every process can show it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import redis

from inbox import keys, spending, worker_keys
from inbox.connection import translated
from inbox.inbox import RedisClock
from inbox.server import Server, told
from inbox.stopped import LISTED, Stopped, ask, listed

#: The texts of so many people are counted, of those who have waited the longest.
COUNTED_PEOPLE: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """The figures at one moment."""

    oldest_waiting_seconds: float = 0.0
    stopped: tuple[Stopped, ...] = ()
    people: int = 0
    #: Of the `COUNTED_PEOPLE` who have waited the longest.
    texts: int = 0
    #: People who are due for a visit.
    due: int = 0
    #: Tasks in the queue.
    tasks: int = 0
    reports: int = 0
    #: Millionths of a dollar by span (`day`, `month`) and kind (`model`, `sms`); empty: nothing is counted.
    spent: Mapping[tuple[str, str], int] = field(default_factory=dict)
    #: What was noted, by name, such as `held`.
    noted: Mapping[str, float] = field(default_factory=dict)
    server: Server = field(default_factory=Server)


class RedisFigures:
    """Read the figures, and note those of the journal."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client

    @translated()
    def read(self) -> Figures:
        """Return the figures of this moment, in three round trips."""
        now_ms = RedisClock(self._redis).now_ms()
        with self._redis.pipeline(transaction=False) as pipe:
            pipe.zrange(keys.WAITING, 0, COUNTED_PEOPLE - 1, withscores=True)
            pipe.zcard(keys.WAITING)
            pipe.zcount(keys.AGENDA, "-inf", now_ms)
            pipe.llen(keys.QUEUE)
            pipe.xlen(keys.REPORTS)
            spending.ask(pipe, now_ms)
            pipe.hgetall(worker_keys.FIGURES)
            pipe.zrange(keys.CIRCUITS, 0, LISTED - 1)
            waiting, people, due, tasks, reports, of_day, of_month, noted, circuits = pipe.execute()
        texts, stopped, server = self._more([who for who, _ in waiting], [key.decode() for key in circuits])
        return Figures(
            oldest_waiting_seconds=max(0.0, (now_ms - waiting[0][1]) / 1000) if waiting else 0.0,
            stopped=stopped,
            people=people,
            texts=texts,
            due=due,
            tasks=tasks,
            reports=reports,
            spent=spending.told(of_day, of_month),
            noted={name.decode(): float(value) for name, value in noted.items()},
            server=server,
        )

    def _more(self, people: Sequence[bytes], circuits: Sequence[str]) -> tuple[int, tuple[Stopped, ...], Server]:
        """Return how many texts these people wait with, the open circuits, and what the server says of itself."""
        names = ["", *circuits]
        with self._redis.pipeline(transaction=False) as pipe:
            for who in people:
                pipe.xlen(keys.texts(who.decode()))
            for key in names:
                ask(pipe, key)
            pipe.info()
            # a user may be allowed everything but INFO
            *answers, info = pipe.execute(raise_on_error=False)
        errors = [answer for answer in answers if isinstance(answer, redis.RedisError)]
        if errors:
            raise errors[0]
        stopped = listed(names, answers[len(people) :])
        return sum(answers[: len(people)]), stopped, told(info)

    @translated()
    def note(self, **figures: float) -> None:
        """Note figures, beside those that are noted already."""
        self._redis.hset(worker_keys.FIGURES, mapping={name: repr(value) for name, value in figures.items()})
