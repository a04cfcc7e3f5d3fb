"""A day, as a seed draws it: who texts what and when, and what breaks."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

#: Seconds in which texts are sent and faults strike. Then everything works again, and the day comes to rest.
BUSY_SECONDS: Final = 300.0
#: How many faults a day may have that look like the death of a worker: a text is given up after five of them.
MOST_DEATHS: Final = 4
#: The longest that a process stands still: longer than its lease, and short enough that a message which it sends then
#: comes before the reply to the person's next text, which waits for `PATIENCE_SECONDS` after a lease was lost.
LONGEST_STOP_SECONDS: Final = 55.0


class What(StrEnum):
    """A kind of fault."""

    # at one call
    DIES_BEFORE = "the process dies before a call"
    DIES_AFTER = "the process dies after a call"
    LOST_BEFORE = "a call never arrives"
    LOST_AFTER = "the answer to a call is lost"
    LATE = "a call arrives long after its caller gave up"
    TWICE = "a client repeats a call whose answer was lost"
    ECHOES = "a second copy of a call arrives long after its answer"
    STOPS_BEFORE = "the process stands still before a call, past its lease"
    STOPS_AFTER = "the process stands still after a call, past its lease"
    SLEEPS_BEFORE = "one thread stands still before a call"
    SLEEPS_AFTER = "one thread stands still after a call"
    HOST_LOST_BEFORE = "the host is lost before a call"
    HOST_LOST_AFTER = "the host is lost after a call"
    CONFLICT = "the store refuses a transaction because of another"
    # at one request to send
    REFUSED = "the carrier refuses a message with 429"
    FAILS_CREATED = "the carrier answers 503 and creates the message"
    FAILS = "the carrier answers 503 and creates nothing"
    # to all processes, for a while or at once
    STORE_AWAY = "the store is away"
    STORE_THROTTLES = "the store throttles"
    REDIS_AWAY = "Redis is away"
    REDIS_DEMOTED = "Redis is demoted to a replica"
    REDIS_EMPTIED = "Redis is emptied"
    CARRIER_AWAY = "the carrier is away"
    INDEX_LAGS = "the index of the unsettled lags"
    HOST_LOST = "a host is lost"
    KILLED = "a worker is killed"
    MARKS_LOST = "the marks of a host are lost"
    # to one message
    LIST_LAGS = "the carrier's list lags"
    REPORTS_MISSING = "no callback comes"
    REPORTS_DOUBLED = "each callback comes twice"
    REPORTS_REVERSED = "callbacks come in reverse order"
    REPORTS_LATE = "callbacks come late"
    UNDELIVERED = "a message fails in delivery"
    DELIVERED_AFTER_ALL = "a message is delivered after it was reported as failed"
    # to one text
    WEBHOOK_MISSING = "no webhook comes"
    WEBHOOK_DOUBLED = "a webhook comes twice"
    WEBHOOK_AGAIN = "a webhook comes again minutes later"


#: Faults that strike one call, named by its step.
AT_A_CALL: Final = frozenset(
    {
        What.DIES_BEFORE, What.DIES_AFTER, What.LOST_BEFORE, What.LOST_AFTER, What.LATE, What.TWICE, What.ECHOES,
        What.STOPS_BEFORE, What.STOPS_AFTER, What.SLEEPS_BEFORE, What.SLEEPS_AFTER, What.HOST_LOST_BEFORE,
        What.HOST_LOST_AFTER, What.CONFLICT, What.REFUSED, What.FAILS_CREATED, What.FAILS,
    }
)  # fmt: skip
OF_A_MESSAGE: Final = frozenset(
    {
        What.LIST_LAGS, What.REPORTS_MISSING, What.REPORTS_DOUBLED, What.REPORTS_REVERSED, What.REPORTS_LATE,
        What.UNDELIVERED, What.DELIVERED_AFTER_ALL,
    }
)  # fmt: skip
OF_A_TEXT: Final = frozenset({What.WEBHOOK_MISSING, What.WEBHOOK_DOUBLED, What.WEBHOOK_AGAIN})
#: Faults after which the next visit may count a try against the text.
_DEADLY: Final = frozenset(
    {
        What.DIES_BEFORE, What.DIES_AFTER, What.STOPS_BEFORE, What.STOPS_AFTER, What.HOST_LOST_BEFORE,
        What.HOST_LOST_AFTER, What.HOST_LOST, What.KILLED,
    }
)  # fmt: skip

#: Calls at which faults are worth striking, and about how often each occurs in a day.
_CALLS: Final[Mapping[str, int]] = {
    "accept": 26, "pop": 60, "take": 36, "open": 24, "xrange": 40, "file": 22, "retry": 3, "limit": 22, "reserve": 22,
    "persist": 22, "pass": 22, "connect": 22, "claim": 22, "send": 22, "bind": 22, "remove": 22, "close": 20,
    "release_until": 6, "renew": 8, "settle": 20, "receive": 40, "report": 40, "transaction": 40,
    "get": 20, "query": 30, "update": 12, "opt": 2, "prove": 2, "give_back": 2, "due": 15, "sent_to": 3,
    "received_by": 6, "sent_from": 6, "xreadgroup": 15, "reopen": 20, "try again": 2, "hget": 4, "get_all": 4,
}  # fmt: skip
#: Most faults strike the steps on which the promise rests.
_OFTEN: Final = ("take", "open", "file", "persist", "claim", "connect", "send", "bind", "remove", "close")


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A text that a person sends."""

    #: Such as 1: the first text of the day, as it was drawn.
    number: int
    at: float
    #: Such as 0: the first person of the day.
    person: int
    body: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Something that breaks."""

    what: What
    #: The step, such as `claim`, and which one of the day's, from 1; also which message or text of the day, or which
    #: worker or host.
    call: str = ""
    nth: int = 0
    at: float = 0.0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How the day's deployment is set up."""

    policy: str = "each"
    #: How many messages each reply has.
    parts: int = 1
    hosts: int = 1
    workers: int = 1
    #: Texts a minute that a person may send; 0: no limit.
    texts_per_minute: int = 0
    #: What all messages of the day may cost, in millionths of a dollar; None: as much as they do.
    cap: int | None = None
    #: How far the clock of each worker, and the carrier's, are off, in seconds.
    skew: float = 0.0
    #: Calls and thoughts take as long as the seed says; if not, each call takes a millisecond.
    varied: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One day."""

    seed: int
    terms: Terms
    texts: Sequence[Text]
    faults: Sequence[Fault] = field(default=())

    @property
    def people(self) -> int:
        """Return how many people text."""
        return len({text.person for text in self.texts})


def draw(seed: int) -> Plan:
    """Return the day of a seed."""
    dice = random.Random(f"{seed}|plan")  # noqa: S311 - a simulation
    terms = Terms(
        policy=dice.choice(("each", "each", "coalesce", "coalesce", "latest")),
        parts=dice.choice((1, 1, 1, 2, 3)),
        hosts=dice.choice((1, 1, 2)),
        workers=dice.choice((2, 3)),
        texts_per_minute=dice.choice((0, 0, 0, 0, 4)),
        cap=dice.choice((None, None, None, None, None, 10_000 * dice.randint(8, 30))),
        skew=dice.choice((0.0, 600.0, -600.0, 37.0)),
    )
    texts = _texts(dice)
    return Plan(seed=seed, terms=terms, texts=texts, faults=_faults(dice, len(texts)))


def _texts(dice: random.Random) -> tuple[Text, ...]:
    people = dice.randint(4, 6)
    number = dice.randint(20, 26)
    texts = [(float(person), person, f"the first of {person}") for person in range(people)]
    while len(texts) < number:
        person, at = dice.randrange(people), dice.uniform(0, BUSY_SECONDS)
        for _ in range(dice.choice((1, 1, 2, 4))):
            # the same words again: a message on the carrier's list may then belong to either
            body = "miaow" if dice.random() < 0.12 else f"text {len(texts)} of {person}"  # noqa: PLR2004 - a share
            texts.append((at, person, body))
            at += dice.choice((0.0, 0.3, 2.0, 9.0))
    if dice.random() < 0.4:  # noqa: PLR2004 - a share
        person, at = dice.randrange(people), dice.uniform(20, BUSY_SECONDS * 0.8)
        texts.append((at, person, "STOP"))
        if dice.random() < 0.7:  # noqa: PLR2004 - a share
            texts.append((at + dice.choice((0.1, 3.0, 40.0)), person, "START"))
            texts.append((at + dice.choice((50.0, 80.0)), person, "still there"))
    return tuple(
        Text(number=number, at=at, person=person, body=body)
        for number, (at, person, body) in enumerate(sorted(texts, key=lambda text: text[0]), start=1)
    )


def _faults(dice: random.Random, texts: int) -> tuple[Fault, ...]:
    faults = [_at_a_call(dice) for _ in range(dice.choice((2, 4, 6, 9, 12)))]
    if dice.random() < 0.15:  # noqa: PLR2004 - a share
        # a copy of the claim of an attempt that was refused
        nth = dice.randint(1, 20)
        faults.append(Fault(what=What.ECHOES, call="claim", nth=nth, seconds=dice.choice((0.2, 2.0))))
        faults.append(Fault(what=What.REFUSED, call="send", nth=nth))
    faults += [_of_a_while(dice) for _ in range(dice.choice((0, 1, 1, 2, 3)))]
    for what in sorted(OF_A_MESSAGE):
        if dice.random() < 0.25:  # noqa: PLR2004 - a share
            faults += [_of_a_message(dice, what, texts) for _ in range(dice.choice((1, 1, 4)))]
    for what in sorted(OF_A_TEXT):
        if dice.random() < 0.3:  # noqa: PLR2004 - a share
            faults += [
                Fault(what=what, nth=dice.randint(1, texts), seconds=dice.uniform(60, 200))
                for _ in range(dice.choice((1, 1, 3)))
            ]
    deadly = [fault for fault in faults if fault.what in _DEADLY or fault.call == "take"]
    spared = set(map(id, deadly[MOST_DEATHS:]))
    return tuple(fault for fault in faults if id(fault) not in spared)


def _at_a_call(dice: random.Random) -> Fault:
    what = dice.choice(sorted(AT_A_CALL))
    call = dice.choice(_OFTEN) if dice.random() < 0.6 else dice.choice(sorted(_CALLS))  # noqa: PLR2004 - a share
    if what in {What.REFUSED, What.FAILS, What.FAILS_CREATED}:
        call = "send"
    if what is What.CONFLICT:
        call = dice.choice(("claim", "persist"))
    if what is What.TWICE:
        call = dice.choice(("open", "file", "retry", "persist", "claim", "settle", "bind", "report", "try again"))
    if what is What.ECHOES:
        call = dice.choice(
            ("file", "persist", "claim", "claim", "claim", "bind", "report", "accept", "remove", "close")
        )
    return Fault(what=what, call=call, nth=dice.randint(1, _CALLS[call]), seconds=_seconds(dice, what))


def _seconds(dice: random.Random, what: What) -> float:
    if what in {What.LATE, What.ECHOES}:
        return dice.choice((0.2, 2.0, 15.0))
    if what is What.TWICE:
        return dice.choice((0.05, 1.0, 4.0))
    if what in {What.SLEEPS_BEFORE, What.SLEEPS_AFTER}:
        return dice.choice((3.0, 7.0, 30.0))
    return dice.uniform(25.0, LONGEST_STOP_SECONDS)


def _of_a_while(dice: random.Random) -> Fault:
    what = dice.choice(
        (
            What.STORE_AWAY, What.STORE_THROTTLES, What.REDIS_AWAY, What.REDIS_DEMOTED, What.REDIS_EMPTIED,
            What.CARRIER_AWAY, What.INDEX_LAGS, What.HOST_LOST, What.KILLED, What.KILLED, What.MARKS_LOST,
        )
    )  # fmt: skip
    return Fault(what=what, at=dice.uniform(5, BUSY_SECONDS), nth=dice.randint(1, 6), seconds=dice.uniform(2, 40))


def _of_a_message(dice: random.Random, what: What, texts: int) -> Fault:
    seconds = dice.uniform(20, 100) if what is What.LIST_LAGS else dice.uniform(30, 200)
    return Fault(what=what, nth=dice.randint(1, texts), seconds=seconds)
