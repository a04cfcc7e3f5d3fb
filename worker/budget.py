"""Money before words: what a reply may cost is set aside before it is thought, and corrected by what it did cost.

Without caps nobody is asked. Where Redis was emptied, what was spent is counted again (`worker.counting`); until that is done no model is asked,
and where messages are capped the person waits, unless somebody may be in danger.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from cat.reply import MAX_SEGMENTS
from conversation.errors import StoreAway
from inbox.contract import Who
from inbox.money import Ask, Grant, Leave
from sms import segments
from sms.tariff import Tariff
from worker.counting import AT_ONCE_SECONDS, TASK_SECONDS, Counting

#: What the cat says when there is no money for its words, in the poet's languages. It is said once; then it is silent.
LAST_LINES: Final = {
    "en": "the meter on my collar says stop. i am asleep on the last coin. ask again when the light has changed.",
    "de": "die uhr an meinem halsband sagt halt. ich schlafe auf der letzten münze. frag wieder, wenn das licht gewechselt hat.",
    "fr": "le compteur de mon collier dit stop. je dors sur la dernière pièce. demande encore quand la lumière aura changé.",
    "es": "el contador de mi collar dice basta. duermo sobre la última moneda. pregunta otra vez cuando cambie la luz.",
}


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
    #: `danger` or `help`: it is answered once a day whatever it costs; empty: it is not.
    urgent: str


class NotCounted(Exception):
    """It is not yet counted again what was spent, and the sums are what there is to decide by: the person waits."""


class Budget:
    """What the workers of a house may spend together. `counting` None: there are no caps.

    `uncounted` is called once where there are none: what is spent from then on is in no sum.
    """

    def __init__(
        self,
        counting: Counting | None,
        tariff: Tariff,
        *,
        max_segments: int = MAX_SEGMENTS,
        max_parts: int = 1,
        uncounted: Callable[[], None] = lambda: None,
    ) -> None:
        self._counting = counting
        self._purse = counting.purse if counting else None
        self._tariff = tariff
        self._max_segments = max_segments
        self._max_parts = max_parts
        self._uncounted: Callable[[], None] | None = uncounted

    def ask(self, asked: Asked, *, now: datetime) -> Grant:
        """Set aside what a reply may cost. Raises `InboxAway`, and `NotCounted` where it has to be counted first."""
        if self._purse is None:
            self._let_be_counted()
            return Grant(who=asked.who, leave=Leave.GO, model=asked.model or 0)
        ask = Ask(
            who=asked.who,
            turn=asked.turn,
            model=asked.model or 0,
            sms=self._tariff.cost(asked.to, self._max_segments, messages=self._max_parts),
            last_line=self._tariff.cost(asked.to, segments.count(asked.last_line)),
            urgent=asked.urgent,
        )
        return self._reserve(ask, now)

    def ask_model(self, who: Who, most: int, *, now: datetime) -> Grant | None:
        """Set aside what a model may cost that works for nobody's reply; None where there is no money for it."""
        if self._purse is None or not most:
            return Grant(who=who, leave=Leave.GO, model=most)
        grant = self._reserve(Ask(who=who, turn="", model=most, sms=0, last_line=0), now)
        return grant if grant.model else None

    def settle(self, grant: Grant, *, model: int, sms: int) -> None:
        """Note what was spent of what was set aside, once it stands in the journal. A last line was set aside as what it costs."""
        if self._purse is not None and grant.day and grant.leave is Leave.GO:
            self._purse.settle(grant, model=model, sms=sms)

    def count(self, *, now: datetime) -> None:
        """Go on counting what was spent, where that has to be done. Raises `StoreAway` and `InboxAway`."""
        if self._counting is not None:
            self._counting.go_on(seconds=TASK_SECONDS, now=now)

    def expected(self, to: str, parts: Sequence[str]) -> list[tuple[int, int]]:
        """How many segments each message takes, and what they cost, in millionths of a dollar."""
        counts = [segments.count(part) for part in parts]
        return [(count, self._tariff.cost(to, count)) for count in counts]

    def _reserve(self, ask: Ask, now: datetime) -> Grant:
        assert self._purse is not None
        assert self._counting is not None
        grant = self._purse.reserve(ask, now=now)
        if grant is None:
            with suppress(StoreAway):  # whoever asks next goes on
                self._counting.go_on(seconds=AT_ONCE_SECONDS, now=now)
            grant = self._purse.reserve(replace(ask, at_once=True), now=now)
        if grant is None:
            raise NotCounted("it is not yet counted what was spent")
        return grant

    def _let_be_counted(self) -> None:
        """What is spent without caps is in no sum: should there be caps again, it is counted first."""
        if self._uncounted is not None:
            self._uncounted()
            self._uncounted = None
