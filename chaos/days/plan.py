"""A day, as a seed draws it: who texts what and when, and what breaks."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

#: Seconds in which texts are sent and faults strike. Then everything works again, and the day comes to rest.
BUSY_SECONDS: Final = 300.0
#: How many faults a day may have that look like the death of a worker. A text is given up after seven of them, and
#: after four the pauses are longer than a day takes to come to rest.
MOST_DEATHS: Final = 4
#: The longest that a process stands still: longer than its lease, and short enough that a message which it sends then
#: comes before the reply to the person's next text, which waits for `PATIENCE_SECONDS` after a lease was lost.
LONGEST_STOP_SECONDS: Final = 55.0
MAX_AGE_SECONDS: Final = 6 * 3600.0
#: A host that is away for so long comes back when its replies in doubt are held.
LONGEST_RESTART_SECONDS: Final = 300.0
LEAST_PEOPLE: Final = 4
#: What a person in danger texts.
DANGER: Final = "i want to kill myself"


class What(StrEnum):
    """A kind of fault."""

    # at one call
    DIES_BEFORE = "the process dies before a call"
    DIES_AFTER = "the process dies after a call"
    DIES_FIRST = "the process dies, and a call that it made arrives then"
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
    CARRIER_REFUSES = "the carrier refuses an account, a sender or a person"
    LIST_BEHIND = "the carrier's whole list is behind"
    INDEX_LAGS = "the index of the unsettled lags"
    HOST_LOST = "a host is lost"
    KILLED = "a worker is killed"
    MARKS_LOST = "the marks of a host are lost"
    WORDS_DELETED = "the words of all messages to a person are deleted at the carrier"
    MESSAGES_DELETED = "all messages to a person are deleted at the carrier"
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
    REPLY_FAILS = "the carrier answers 503 to each request for one reply, and creates nothing"


#: Faults that strike one call, named by its step.
AT_A_CALL: Final = frozenset(
    {
        What.DIES_BEFORE, What.DIES_AFTER, What.DIES_FIRST, What.LOST_BEFORE, What.LOST_AFTER, What.LATE, What.TWICE,
        What.ECHOES, What.STOPS_BEFORE, What.STOPS_AFTER, What.SLEEPS_BEFORE, What.SLEEPS_AFTER, What.HOST_LOST_BEFORE,
        What.HOST_LOST_AFTER, What.CONFLICT, What.REFUSED, What.FAILS_CREATED, What.FAILS,
    }
)  # fmt: skip
OF_A_MESSAGE: Final = frozenset(
    {
        What.LIST_LAGS, What.REPORTS_MISSING, What.REPORTS_DOUBLED, What.REPORTS_REVERSED, What.REPORTS_LATE,
        What.UNDELIVERED, What.DELIVERED_AFTER_ALL,
    }
)  # fmt: skip
OF_A_TEXT: Final = frozenset({What.WEBHOOK_MISSING, What.WEBHOOK_DOUBLED, What.WEBHOOK_AGAIN, What.REPLY_FAILS})
AT_THE_CARRIER: Final = frozenset({What.CARRIER_REFUSES, What.LIST_BEHIND, What.WORDS_DELETED, What.MESSAGES_DELETED})
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
    #: Only the calls for this text are counted; or each message that answers it is struck.
    text: int = 0
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
    #: A reply that stays in doubt is sent again, once.
    resend: bool = False
    #: A text older than this is not answered, and a reply to it not sent, in seconds.
    max_age: float = MAX_AGE_SECONDS
    #: Each process looks for dead neighbours each second, not only after a death.
    watchful: bool = False
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
_OF_STORIES: Final = 0.3
_OF_STORIES_AT_A_STOP: Final = 0.5


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
    if dice.random() < _OF_STORIES:
        faults += dice.choice(_STORIES)(dice, _place(dice, texts))
    faults += [_at_a_call(dice, habit) for _ in range(dice.choice((2, 4, 6, 9, 12)))]
    if terms.resend:
        faults += _of_doubt(dice, texts)
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


def _place(dice: random.Random, texts: Sequence[Text]) -> int:
    """Return the number of the text at which a story happens; often it is a person's last one before a STOP."""
    stops = [text for text in texts if text.body == "STOP"]
    before = [text for stop in stops for text in texts if text.person == stop.person and text.at < stop.at][-1:]
    return dice.choice(before if before and dice.random() < _OF_STORIES_AT_A_STOP else texts).number


# Faults that belong together, all at one text: each alone does little.


def _refused_and_copied(dice: random.Random, text: int) -> list[Fault]:
    """A copy of the claim of an attempt that was refused arrives."""
    seconds = dice.choice((0.2, 1.0, 2.0))
    return [
        Fault(what=What.ECHOES, call="claim", text=text, nth=1, seconds=seconds),
        Fault(what=What.REFUSED, call="send", text=text, nth=1),
    ]


def _refused_and_died(dice: random.Random, text: int) -> list[Fault]:
    """A process dies with a refusal that is not stored."""
    del dice
    return [
        Fault(what=What.REFUSED, call="send", text=text, nth=1),
        Fault(what=What.DIES_BEFORE, call="bind", text=text, nth=1, seconds=5.0),
    ]


def _bound_late(dice: random.Random, text: int) -> list[Fault]:
    """A copy of a bind, of an attempt that did not begin, arrives when the next attempt is in doubt."""
    return [
        Fault(what=What.LOST_BEFORE, call="connect", text=text, nth=1),
        Fault(what=What.ECHOES, call="bind", text=text, nth=1, seconds=dice.uniform(3.0, 60.0)),
        Fault(what=What.FAILS_CREATED, call="send", text=text, nth=1),
        Fault(what=What.REPORTS_MISSING, text=text),
    ]


def _claimed_after_death(dice: random.Random, text: int) -> list[Fault]:
    """A claim arrives when its process is dead, before or after its neighbours proved that it never sent."""
    return [Fault(what=What.DIES_FIRST, call="claim", text=text, nth=1, seconds=dice.uniform(0.01, 4.0))]


def _late_claim(dice: random.Random, text: int) -> list[Fault]:
    """A claim arrives when its attempt is proven unsent, and the next one has not begun."""
    return [Fault(what=What.LATE, call="claim", text=text, nth=1, seconds=dice.uniform(3.5, 8.0))]


def _host_back_late(dice: random.Random, text: int) -> list[Fault]:
    """A process dies with an attempt that never began; it is read when another one is in doubt."""
    return [
        Fault(what=What.DIES_BEFORE, call="claim", text=text, nth=1, seconds=dice.uniform(28.0, 50.0)),
        Fault(what=What.FAILS_CREATED, call="send", text=text, nth=1),
        Fault(what=What.REPORTS_MISSING, text=text),
        Fault(what=What.LIST_LAGS, text=text, seconds=100.0),
    ]


def _slow_after_claim(dice: random.Random, text: int) -> list[Fault]:
    """A process stands still between claim and request, past its lease."""
    seconds = dice.uniform(40.0, LONGEST_STOP_SECONDS)
    return [Fault(what=What.STOPS_BEFORE, call="connect", text=text, nth=1, seconds=seconds)]


def _two_in_doubt(dice: random.Random, text: int) -> list[Fault]:
    """Two replies are in doubt, of which one was created."""
    fates = [What.FAILS, What.FAILS_CREATED]
    dice.shuffle(fates)
    return [
        fault
        for number, fate in enumerate(fates, start=text)
        for fault in (
            Fault(what=fate, call="send", text=number, nth=1), Fault(what=What.REPORTS_MISSING, text=number),
        )
    ]  # fmt: skip


def _stop_before_settle(dice: random.Random, text: int) -> list[Fault]:
    """A worker that settles a text stands still."""
    return [Fault(what=What.STOPS_BEFORE, call="settle", text=text, nth=1, seconds=dice.uniform(25.0, 50.0))]


_STORIES: Final = (
    _refused_and_copied, _refused_and_died, _bound_late, _claimed_after_death, _late_claim,
    _host_back_late, _slow_after_claim, _two_in_doubt, _stop_before_settle,
)  # fmt: skip


def _of_doubt(dice: random.Random, texts: Sequence[Text]) -> list[Fault]:
    """Return what can make a reply in doubt be sent a second time, all at one text."""
    number = _place(dice, texts)
    text = texts[number - 1]
    faults = [
        Fault(what=dice.choice((What.FAILS, What.FAILS_CREATED, What.FAILS_CREATED)), call="send", text=number, nth=1),
        Fault(what=What.REPORTS_MISSING, text=number),
    ]
    if dice.random() < 0.3:  # noqa: PLR2004 - a share
        faults.append(Fault(what=What.REPLY_FAILS, nth=dice.randint(1, len(texts))))
    if dice.random() < 0.3:  # noqa: PLR2004 - a share
        faults.append(Fault(what=What.LIST_LAGS, text=number, seconds=dice.uniform(60, 200)))
    if dice.random() < 0.3:  # noqa: PLR2004 - a share
        faults.append(Fault(what=What.LIST_BEHIND, at=max(1.0, text.at - 20), seconds=dice.uniform(300, 800)))
    if dice.random() < 0.4:  # noqa: PLR2004 - a share
        faults.append(Fault(what=What.WORDS_DELETED, nth=text.person, at=text.at + dice.uniform(5, 60)))
    if dice.random() < 0.5:  # noqa: PLR2004 - a share
        faults.append(Fault(what=What.MESSAGES_DELETED, nth=text.person, at=text.at + dice.uniform(10, 300)))
    return faults


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
