"""Faults that belong together, all at one text: each alone does little."""

from __future__ import annotations

import random
from typing import Final

from chaos.days.plan import LONGEST_STOP_SECONDS, Fault, Text, What


def _refused_and_copied(dice: random.Random, text: Text) -> list[Fault]:
    """A copy of the claim of an attempt that was refused arrives."""
    seconds = dice.choice((0.2, 1.0, 2.0))
    return [
        Fault(what=What.ECHOES, call="claim", text=text.number, nth=1, seconds=seconds),
        Fault(what=What.REFUSED, call="send", text=text.number, nth=1),
    ]


def _refused_and_died(dice: random.Random, text: Text) -> list[Fault]:
    """A process dies with a refusal that is not stored."""
    del dice
    return [
        Fault(what=What.REFUSED, call="send", text=text.number, nth=1),
        Fault(what=What.DIES_BEFORE, call="bind", text=text.number, nth=1, seconds=5.0),
    ]


def _bound_late(dice: random.Random, text: Text) -> list[Fault]:
    """A copy of a bind, of an attempt that did not begin, arrives when the next attempt is in doubt."""
    return [
        Fault(what=What.LOST_BEFORE, call="connect", text=text.number, nth=1),
        Fault(what=What.ECHOES, call="bind", text=text.number, nth=1, seconds=dice.uniform(3.0, 60.0)),
        Fault(what=What.FAILS_CREATED, call="send", text=text.number, nth=1),
        Fault(what=What.REPORTS_MISSING, text=text.number),
    ]


def _claimed_after_death(dice: random.Random, text: Text) -> list[Fault]:
    """A claim arrives when its process is dead, before or after its neighbours proved that it never sent."""
    return [Fault(what=What.DIES_FIRST, call="claim", text=text.number, nth=1, seconds=dice.uniform(0.01, 4.0))]


def _late_claim(dice: random.Random, text: Text) -> list[Fault]:
    """A claim arrives when its attempt is proven unsent, and the next one has not begun."""
    return [Fault(what=What.LATE, call="claim", text=text.number, nth=1, seconds=dice.uniform(3.5, 8.0))]


def _host_back_late(dice: random.Random, text: Text) -> list[Fault]:
    """A process dies with an attempt that never began; it is read when another one is in doubt."""
    return [
        Fault(what=What.DIES_BEFORE, call="claim", text=text.number, nth=1, seconds=dice.uniform(28.0, 50.0)),
        Fault(what=What.FAILS_CREATED, call="send", text=text.number, nth=1),
        Fault(what=What.REPORTS_MISSING, text=text.number),
        Fault(what=What.LIST_LAGS, text=text.number, seconds=100.0),
    ]


def _slow_after_claim(dice: random.Random, text: Text) -> list[Fault]:
    """A process stands still between claim and request, past its lease."""
    seconds = dice.uniform(40.0, LONGEST_STOP_SECONDS)
    return [Fault(what=What.STOPS_BEFORE, call="connect", text=text.number, nth=1, seconds=seconds)]


def _two_in_doubt(dice: random.Random, text: Text) -> list[Fault]:
    """Two replies are in doubt, of which one was created."""
    fates = [What.FAILS, What.FAILS_CREATED]
    dice.shuffle(fates)
    return [
        fault
        for number, fate in enumerate(fates, start=text.number)
        for fault in (
            Fault(what=fate, call="send", text=number, nth=1), Fault(what=What.REPORTS_MISSING, text=number),
        )
    ]  # fmt: skip


def _stop_before_settle(dice: random.Random, text: Text) -> list[Fault]:
    """A worker that settles a text stands still."""
    return [Fault(what=What.STOPS_BEFORE, call="settle", text=text.number, nth=1, seconds=dice.uniform(25.0, 50.0))]


def _stop_before_close(dice: random.Random, text: Text) -> list[Fault]:
    """A worker that ends a visit stands still, and ends it when another worker serves the person."""
    nth = dice.randint(1, 4)
    return [Fault(what=What.STOPS_BEFORE, call="close", text=text.number, nth=nth, seconds=dice.uniform(21.0, 50.0))]


def _emptied_while_waiting(dice: random.Random, text: Text) -> list[Fault]:
    """Redis is emptied when a text has been acknowledged, and is not filed or not answered yet."""
    return [Fault(what=What.REDIS_EMPTIED, at=text.at + dice.uniform(0.06, 3.0))]


TOGETHER: Final = (
    _refused_and_copied, _refused_and_died, _bound_late, _claimed_after_death, _late_claim, _host_back_late,
    _slow_after_claim, _two_in_doubt, _stop_before_settle, _stop_before_close, _emptied_while_waiting,
)  # fmt: skip


def in_doubt(dice: random.Random, text: Text, texts: int) -> list[Fault]:
    """Return what can make a reply in doubt be sent a second time, all at one text of so many."""
    fate = dice.choice((What.FAILS, What.FAILS_CREATED, What.FAILS_CREATED))
    faults = [
        Fault(what=fate, call="send", text=text.number, nth=1),
        Fault(what=What.REPORTS_MISSING, text=text.number),
    ]
    if dice.random() < 0.3:  # noqa: PLR2004 - a share
        faults.append(Fault(what=What.REPLY_FAILS, nth=dice.randint(1, texts)))
    if dice.random() < 0.3:  # noqa: PLR2004 - a share
        faults.append(Fault(what=What.LIST_LAGS, text=text.number, seconds=dice.uniform(60, 200)))
    if dice.random() < 0.3:  # noqa: PLR2004 - a share
        # a message that the list shows only when its part is held would stay in doubt
        faults.append(Fault(what=What.LIST_BEHIND, at=max(1.0, text.at - 20), seconds=dice.uniform(300, 420)))
    if dice.random() < 0.3:  # noqa: PLR2004 - a share
        # it may be seen once without its words, and then not at all
        faults.append(Fault(what=What.WORDS_DELETED, nth=text.person, at=text.at + dice.uniform(2, 25)))
        faults.append(Fault(what=What.MESSAGES_DELETED, nth=text.person, at=text.at + dice.uniform(60, 125)))
    elif dice.random() < 0.5:  # noqa: PLR2004 - a share
        faults.append(Fault(what=What.MESSAGES_DELETED, nth=text.person, at=text.at + dice.uniform(10, 300)))
    return faults
