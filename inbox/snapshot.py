"""What stands in Redis now, as an operator sees it: who waits, queues, spending."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import redis

from inbox import keys, spending, worker_keys
from inbox.connection import translated
from inbox.inbox import RedisClock
from inbox.payloads import Who
from inbox.ports import Place
from inbox.stopped import Stopped
from sms.ports import Scope

#: So many people who wait are listed, those who wait longest first; a page shows no more.
LISTED_PEOPLE: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingPerson:
    """A person with an unanswered text."""

    who: Who
    #: When the oldest unanswered text arrived, in milliseconds of Redis's clock.
    since_ms: int
    #: How many texts wait.
    texts: int
    #: A worker serves this person now.
    is_served: bool
    #: When the next visit is due, in milliseconds of Redis's clock; None: it is not scheduled.
    due_ms: int | None
    #: The open circuit that holds the reply back; None: none does.
    stopped: Stopped | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What stands in Redis at one moment; times in milliseconds of its clock."""

    now_ms: int
    #: The people who wait longest, at most `LISTED_PEOPLE`.
    waiting: tuple[WaitingPerson, ...]
    #: How many people wait.
    people: int
    #: Wake-up tasks that no worker has taken.
    wake_ups: int
    #: Delivery reports that are not in the journal yet.
    reports: int
    #: People whose next visit is due or planned.
    agenda: int
    #: Millionths of a dollar by span (`day`, `month`) and kind (`model`, `sms`); empty: nothing is counted.
    spent: Mapping[tuple[str, str], int]

    @property
    def texts(self) -> int:
        """How many texts of the listed people wait."""
        return sum(person.texts for person in self.waiting)

    @property
    def served(self) -> int:
        """How many of the listed people a worker serves now."""
        return sum(person.is_served for person in self.waiting)

    @property
    def oldest_seconds(self) -> float:
        """Age of the oldest unanswered text; 0 if no text waits."""
        return max(0.0, (self.now_ms - self.waiting[0].since_ms) / 1000) if self.waiting else 0.0


@translated()
def read(client: redis.Redis, stopped: Sequence[Stopped]) -> Snapshot:
    """Read what stands in Redis, in three round trips. `stopped`: the open circuits."""
    now_ms = RedisClock(client).now_ms()
    with client.pipeline(transaction=False) as pipe:
        pipe.zrange(keys.WAITING, 0, LISTED_PEOPLE - 1, withscores=True)
        pipe.zcard(keys.WAITING)
        pipe.llen(keys.QUEUE)
        pipe.xlen(keys.REPORTS)
        pipe.zcard(keys.AGENDA)
        spending.ask(pipe, now_ms)
        oldest, people, wake_ups, reports, agenda, of_day, of_month = pipe.execute()
    return Snapshot(
        now_ms=now_ms, waiting=_people(client, oldest, stopped), people=int(people), wake_ups=int(wake_ups),
        reports=int(reports), agenda=int(agenda), spent=spending.told(of_day, of_month),
    )  # fmt: skip


def _people(
    client: redis.Redis, oldest: Sequence[tuple[bytes, float]], stopped: Sequence[Stopped]
) -> tuple[WaitingPerson, ...]:
    if not oldest:
        return ()
    names = [who.decode(errors="replace") for who, _ in oldest]
    places = [Place(Scope(stop.scope), stop.name).key for stop in stopped]
    with client.pipeline(transaction=False) as pipe:
        for who in names:
            pipe.xlen(keys.texts(who))
            pipe.exists(worker_keys.lease(who))
            pipe.zscore(keys.AGENDA, who)
        for place in places:
            pipe.smismember(keys.circuit_waiting(place), names)
        answers: Any = pipe.execute()
    of_people, of_places = answers[: 3 * len(names)], answers[3 * len(names) :]
    return tuple(
        WaitingPerson(
            who=Who(who),
            since_ms=int(since_ms),
            texts=int(of_people[3 * at]),
            is_served=bool(of_people[3 * at + 1]),
            due_ms=None if of_people[3 * at + 2] is None else int(of_people[3 * at + 2]),
            stopped=next((stop for stop, members in zip(stopped, of_places, strict=True) if members[at]), None),
        )
        for at, (who, (_, since_ms)) in enumerate(zip(names, oldest, strict=True))
    )
