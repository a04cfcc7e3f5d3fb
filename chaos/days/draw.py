"""How a seed draws a day."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from chaos.days.combined_faults import TOGETHER, in_doubt
from chaos.days.plan import (
    AT_A_CALL,
    BUSY_SECONDS,
    DANGER,
    LEAST_PEOPLE,
    LONGEST_RESTART_SECONDS,
    LONGEST_STOP_SECONDS,
    OF_A_MESSAGE,
    OF_A_TEXT,
    Fault,
    Plan,
    Terms,
    Text,
    What,
)

#: How many faults a day may have that look like the death of a worker. A text is given up after seven of them, and
#: after four the pauses are longer than a day takes to come to rest.
MOST_DEATHS: Final = 4
#: Faults after which the next visit may count a try against the text.
_DEADLY: Final = frozenset(
    {
        What.DIES_BEFORE, What.DIES_AFTER, What.DIES_FIRST, What.STOPS_BEFORE, What.STOPS_AFTER,
        What.HOST_LOST_BEFORE, What.HOST_LOST_AFTER, What.HOST_LOST, What.KILLED,
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
        resend=dice.random() < _OF_RESENDS,
        watchful=dice.random() < _OF_WATCHFUL,
        skew=dice.choice((0.0, 600.0, -600.0, 37.0)),
    )
    if terms.resend:
        terms = replace(terms, max_age=dice.choice((600.0, 900.0)))
    texts = _texts(dice, terms)
    return Plan(seed=seed, terms=terms, texts=texts, faults=_faults(dice, texts, terms))


#: Shares of the days.
_OF_RESENDS: Final = 0.15
_OF_WATCHFUL: Final = 0.1
_OF_SWARMS: Final = 0.5
_OF_BURSTS: Final = 0.4
_OF_ONE_PERSON: Final = 0.3
_OF_STOPS: Final = 0.4
_OF_RESETS: Final = 0.15
_OF_DANGER: Final = 0.6
_OF_FAULTS_TOGETHER: Final = 0.3
_OF_THOSE_AT_A_STOP: Final = 0.5


def _texts(dice: random.Random, terms: Terms) -> tuple[Text, ...]:
    people = dice.randint(LEAST_PEOPLE, 6)
    number = dice.randint(20, 26)
    # on some days most texts are one person's
    busy = 0.6 if dice.random() < _OF_ONE_PERSON else 0.0
    texts = [(float(person), person, f"the first of {person}") for person in range(people)]
    while len(texts) < number:
        person, at = 0 if dice.random() < busy else dice.randrange(people), dice.uniform(0, BUSY_SECONDS)
        for _ in range(dice.choice((1, 1, 2, 4))):
            # the same words again: a message on the carrier's list may then belong to either
            body = "miaow" if dice.random() < 0.12 else f"text {len(texts)} of {person}"  # noqa: PLR2004 - a share
            texts.append((at, person, body))
            at += dice.choice((0.0, 0.3, 2.0, 9.0))
    if dice.random() < _OF_STOPS:
        texts += _stop(dice, dice.randrange(people))
    if dice.random() < _OF_RESETS:
        texts.append((dice.uniform(20, BUSY_SECONDS), dice.randrange(people), "RESET"))
    if (terms.texts_per_minute or terms.cap) and dice.random() < _OF_DANGER:
        texts += _danger(dice, dice.randrange(people))
    if terms.resend:
        # messages that show that the carrier's list is not behind
        texts += [(BUSY_SECONDS + 120.0 * later, later % people, f"later {later}") for later in range(1, 9)]
    return tuple(
        Text(number=number, at=at, person=person, body=body)
        for number, (at, person, body) in enumerate(sorted(texts, key=lambda text: text[0]), start=1)
    )


def _stop(dice: random.Random, person: int) -> list[tuple[float, int, str]]:
    """Return a STOP, perhaps right behind other texts, and perhaps a START."""
    at = dice.uniform(20, BUSY_SECONDS * 0.8)
    texts = [(at, person, "STOP")]
    if dice.random() < 0.5:  # noqa: PLR2004 - a share
        texts += [(at - 1.0 - before, person, f"before the stop {before}") for before in range(4)]
    if dice.random() < 0.7:  # noqa: PLR2004 - a share
        texts.append((at + dice.choice((0.1, 3.0, 40.0)), person, "START"))
        texts.append((at + dice.choice((50.0, 80.0)), person, "still there"))
    return texts


def _danger(dice: random.Random, person: int) -> list[tuple[float, int, str]]:
    """Return texts of a person in danger, more than the limits allow."""
    at = dice.uniform(100, BUSY_SECONDS * 0.6)
    texts = [(at + 1.5 * number, person, f"one too many {number}") for number in range(6)]
    texts += [(at + 10.0 + seconds, person, f"{DANGER} {seconds}") for seconds in range(4)]
    if dice.random() < 0.5:  # noqa: PLR2004 - a share
        texts += [(at + 640.0 + 1.5 * number, person, f"{DANGER} again {number}") for number in range(4)]
    return texts


@dataclass(frozen=True, slots=True)
class _Habit:
    """What strikes single calls on a day: all kinds or a few, at any time or around one moment."""

    kinds: Sequence[What]
    #: When in the day, from 0 to 1; None: at any time.
    moment: float | None

    def nth(self, dice: random.Random, most: int) -> int:
        """Return which of about `most` calls is struck."""
        if self.moment is None:
            return dice.randint(1, most)
        return max(1, round(self.moment * most) + dice.randint(-1, 2))


def _habit(dice: random.Random) -> _Habit:
    kinds = sorted(AT_A_CALL)
    if dice.random() < _OF_SWARMS:
        kinds = dice.sample(kinds, 4)
    return _Habit(kinds, dice.random() if dice.random() < _OF_BURSTS else None)


def _faults(dice: random.Random, texts: Sequence[Text], terms: Terms) -> tuple[Fault, ...]:
    habit = _habit(dice)
    faults = list[Fault]()
    if dice.random() < _OF_FAULTS_TOGETHER:
        faults += dice.choice(TOGETHER)(dice, _place(dice, texts))
    faults += [_at_a_call(dice, habit) for _ in range(dice.choice((2, 4, 6, 9, 12)))]
    if terms.resend:
        faults += in_doubt(dice, _place(dice, texts), len(texts))
    faults += [_of_a_while(dice) for _ in range(dice.choice((0, 1, 1, 2, 3)))]
    for what in sorted(OF_A_MESSAGE):
        if dice.random() < 0.25:  # noqa: PLR2004 - a share
            faults += [_of_a_message(dice, what, len(texts)) for _ in range(dice.choice((1, 1, 4)))]
    for what in sorted(OF_A_TEXT - {What.REPLY_FAILS}):
        if dice.random() < 0.3:  # noqa: PLR2004 - a share
            faults += [
                Fault(what=what, nth=dice.randint(1, len(texts)), seconds=dice.uniform(60, 200))
                for _ in range(dice.choice((1, 1, 3)))
            ]
    deadly = [fault for fault in faults if fault.what in _DEADLY or fault.call == "take"]
    spared = set(map(id, deadly[MOST_DEATHS:]))
    return tuple(fault for fault in faults if id(fault) not in spared)


def _place(dice: random.Random, texts: Sequence[Text]) -> Text:
    """Return a text for faults that belong together; often it is a person's last one before a STOP."""
    stops = [text for text in texts if text.body == "STOP"]
    before = [text for stop in stops for text in texts if text.person == stop.person and text.at < stop.at][-1:]
    return dice.choice(before if before and dice.random() < _OF_THOSE_AT_A_STOP else texts)


def _at_a_call(dice: random.Random, habit: _Habit) -> Fault:
    what = dice.choice(habit.kinds)
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
    return Fault(what=what, call=call, nth=habit.nth(dice, _CALLS[call]), seconds=_seconds(dice, what))


def _seconds(dice: random.Random, what: What) -> float:
    """Return how long a fault lasts; for a death, after how long the process or host comes back."""
    if what in {What.LATE, What.ECHOES}:
        return dice.choice((0.2, 2.0, 5.0, 15.0))
    if what is What.DIES_FIRST:
        return dice.choice((0.01, 0.5, 1.5, 3.0))
    if what is What.TWICE:
        return dice.choice((0.05, 1.0, 4.0))
    if what in {What.SLEEPS_BEFORE, What.SLEEPS_AFTER}:
        return dice.choice((3.0, 7.0, 30.0))
    if what in {What.STOPS_BEFORE, What.STOPS_AFTER}:
        return dice.uniform(25.0, LONGEST_STOP_SECONDS)
    return dice.choice((5.0, 5.0, 5.0, 5.0, 40.0, LONGEST_RESTART_SECONDS))


def _of_a_while(dice: random.Random) -> Fault:
    what = dice.choice(
        (
            What.STORE_AWAY, What.STORE_THROTTLES, What.REDIS_AWAY, What.REDIS_DEMOTED, What.REDIS_EMPTIED,
            What.CARRIER_AWAY, What.CARRIER_REFUSES, What.INDEX_LAGS, What.HOST_LOST, What.KILLED, What.KILLED,
            What.MARKS_LOST,
        )
    )  # fmt: skip
    longest = 100 if what is What.CARRIER_REFUSES else 40
    seconds = _seconds(dice, what) if what in {What.HOST_LOST, What.KILLED} else dice.uniform(2, longest)
    return Fault(what=what, at=dice.uniform(5, BUSY_SECONDS), nth=dice.randint(1, 6), seconds=seconds)


def _of_a_message(dice: random.Random, what: What, texts: int) -> Fault:
    seconds = dice.uniform(20, 100) if what is What.LIST_LAGS else dice.uniform(30, 200)
    return Fault(what=what, nth=dice.randint(1, texts), seconds=seconds)
