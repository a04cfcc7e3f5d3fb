"""Money before words: what a reply may cost is set aside before it is thought, and corrected by what it did cost.

Without caps nobody is asked. Where Redis was emptied, the first who asks counts again from the journal, and everybody else waits for it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cat.reply import MAX_SEGMENTS
from conversation.ports import Cost, Journal
from inbox.contract import Who
from inbox.errors import InboxAway
from inbox.money import Ask, Grant, Leave, Purse, Spent
from sms import segments
from sms.tariff import Tariff

#: What the cat says when there is no money for its words, in the poet's languages. It is said once; then it is silent.
LAST_LINES: Final = {
    "en": "the meter on my collar says stop. i am asleep on the last coin. ask again when the light has changed.",
    "de": "die uhr an meinem halsband sagt halt. ich schlafe auf der letzten münze. frag wieder, wenn das licht gewechselt hat.",
    "fr": "le compteur de mon collier dit stop. je dors sur la dernière pièce. demande encore quand la lumière aura changé.",
    "es": "el contador de mi collar dice basta. duermo sobre la última moneda. pregunta otra vez cuando cambie la luz.",
}
#: What a reply that was nothing but a last line is recorded as said by.
LAST_LINE: Final = "last line"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """For whose reply money is asked."""

    who: Who
    #: The sid that the reply will bear.
    turn: str
    #: The person's address, which the price depends on.
    to: str
    #: What models may cost at most, in millionths of a dollar; None: none is to be asked.
    model: int | None
    #: What is said where there is no money for more.
    last_line: str
    #: Somebody may be in danger.
    urgent: bool


class Budget:
    """What the workers of a house may spend together. `purse` None: there are no caps."""

    def __init__(
        self,
        purse: Purse | None,
        journal: Journal,
        tariff: Tariff,
        *,
        who: Callable[[str], Who],
        max_segments: int = MAX_SEGMENTS,
        counting: Callable[[], None] = lambda: None,
    ) -> None:
        self._purse = purse
        self._journal = journal
        self._tariff = tariff
        self._who = who
        self._max_segments = max_segments
        self._counting = counting
        self._refilling = threading.Lock()

    def ask(self, asked: Asked, *, now: datetime) -> Grant:
        """Set aside what a reply may cost. Raises `InboxAway`, and `StoreAway` where it has to be counted first and cannot be."""
        if self._purse is None:
            return Grant(who=asked.who, leave=Leave.GO, model=asked.model or 0)
        ask = Ask(
            who=asked.who,
            turn=asked.turn,
            model=asked.model or 0,
            sms=self._tariff.cost(asked.to, self._max_segments),
            last_line=self._tariff.cost(asked.to, segments.count(asked.last_line)),
            urgent=asked.urgent,
        )
        return self._reserve(ask, now)

    def ask_model(self, who: Who, most: int, *, now: datetime) -> Grant | None:
        """Set aside what a model may cost that works for nobody's reply; None where there is no money for it."""
        if self._purse is None or not most:
            return Grant(who=who, leave=Leave.GO, model=most)
        grant = self._reserve(Ask(who=who, turn="", model=most, sms=0, last_line=0), now)
        return grant if grant.leave is Leave.GO and grant.model else None

    def settle(self, grant: Grant, *, model: int, sms: int) -> None:
        """Note what was spent of what was set aside. A last line was set aside as what it costs."""
        if self._purse is not None and grant.day and grant.leave is Leave.GO:
            self._purse.settle(grant, model=model, sms=sms)

    def expected(self, to: str, parts: Sequence[str]) -> list[tuple[int, int]]:
        """How many segments each message takes, and what they cost, in millionths of a dollar."""
        counts = [segments.count(part) for part in parts]
        return [(count, self._tariff.cost(to, count)) for count in counts]

    def _reserve(self, ask: Ask, now: datetime) -> Grant:
        assert self._purse is not None
        grant = self._purse.reserve(ask, now=now)
        if grant is not None:
            return grant
        with self._refilling:
            # whoever waited here finds it counted; two processes that count at once count the same
            grant = self._purse.reserve(ask, now=now)
            if grant is None:
                self._counting()
                self._purse.refill(self._spent(now), now=now)
                grant = self._purse.reserve(ask, now=now)
        if grant is None:
            raise InboxAway("redis was emptied again while it was counted what is spent")
        return grant

    def _spent(self, now: datetime) -> Iterator[Spent]:
        month = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        for cost in self._journal.costs(since=month):
            yield self._entry(cost)

    def _entry(self, cost: Cost) -> Spent:
        said_last = cost.turn if cost.engine == LAST_LINE else ""
        return Spent(who=self._who(cost.user_id), at=cost.at, model=cost.model, sms=cost.sms, last_line=said_last)
