"""Reserve what a reply may cost before a model is asked, and settle the actual cost afterwards.

Without caps nothing is reserved. After Redis was emptied, the spending is recounted (`worker.recount`). Until that
is done no model is asked. If messages are capped, the person waits too, unless that person may be in danger.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from conversation.errors import StoreAway
from inbox.budget import Ask, BudgetVerdict, Grant
from inbox.payloads import Who
from runtime.errors import Away
from sms import segments
from sms.prices import Tariff
from worker.recount import AT_ONCE_SECONDS, TASK_SECONDS, Counting

#: What the cat says when the budget does not pay for a reply, in the poet's languages. After that it is silent.
LAST_LINES: Final = {
    "en": "the meter on my collar says stop. i am asleep on the last coin. ask again when the light has changed.",
    "de": "die uhr an meinem halsband sagt halt. ich schlafe auf der letzten münze. "
    "frag wieder, wenn das licht gewechselt hat.",
    "fr": "le compteur de mon collier dit stop. je dors sur la dernière pièce. "
    "demande encore quand la lumière aura changé.",
    "es": "el contador de mi collar dice basta. duermo sobre la última moneda. pregunta otra vez cuando cambie la luz.",
}


def last_line(language: str) -> str:
    """Return the last line in this language, or in English."""
    return LAST_LINES.get(language, LAST_LINES["en"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The reply for which a reservation is asked."""

    who: Who
    #: The sid that the reply will carry.
    turn: str
    #: The person's address, such as `+15551230001`; the price depends on it.
    to: str
    #: What models may cost at most, in millionths of a dollar; None: no model will be asked.
    model: int | None
    #: The reply if the budget does not pay for more.
    last_line: str
    #: Answered whatever it costs, once a day for each reason, such as `help`; empty: not urgent.
    urgent: str


class NotCounted(Away):
    """The recount after Redis was emptied is incomplete and caps apply, so the person waits."""


class Budget:
    """The budget that all workers share. `counting=None` means that there are no caps.

    `uncounted` is called once if there are no caps: the totals miss what is spent from then on.
    """

    def __init__(
        self,
        counting: Counting | None,
        tariff: Tariff,
        *,
        max_segments: int,
        max_parts: int,
        uncounted: Callable[[], None] = lambda: None,
    ) -> None:
        self._counting = counting
        self._quota = counting.quota if counting else None
        self._tariff = tariff
        self._max_segments = max_segments
        self._max_parts = max_parts
        self._uncounted: Callable[[], None] | None = uncounted

    def ask(self, asked: Asked, *, now: datetime) -> Grant:
        """Reserve what a reply may cost. Raises `InboxAway`, and `NotCounted` if a recount must finish first."""
        if self._quota is None:
            self._let_be_counted()
            return Grant(who=asked.who, verdict=BudgetVerdict.GO, model=asked.model or 0)
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
        """Reserve what a model's work outside any reply may cost; return None if the budget is spent."""
        if self._quota is None or not most:
            return Grant(who=who, verdict=BudgetVerdict.GO, model=most)
        grant = self._reserve(Ask(who=who, turn="", model=most, sms=0, last_line=0), now)
        return grant if grant.model else None

    def settle(self, grant: Grant, *, model: int, sms: int | None) -> None:
        """Record what a reservation really cost, once the journal has it.

        `sms` None: the turn is not answered yet, so what was set aside for its messages stays.
        A last line needs no correction: its exact cost was reserved.
        """
        if self._quota is not None and grant.day and grant.verdict in {BudgetVerdict.GO, BudgetVerdict.BEYOND}:
            self._quota.settle(grant, model=model, sms=sms)

    def count(self, *, now: datetime) -> None:
        """Continue the recount, if one is needed. Raises `StoreAway` and `InboxAway`."""
        if self._counting is not None:
            self._counting.go_on(seconds=TASK_SECONDS, now=now)

    def expected(self, to: str, parts: Sequence[str]) -> list[tuple[int, int]]:
        """Return each message's segments and expected cost, in millionths of a dollar."""
        counts = [segments.count(part) for part in parts]
        return [(count, self._tariff.cost(to, count)) for count in counts]

    def _reserve(self, ask: Ask, now: datetime) -> Grant:
        assert self._quota is not None
        assert self._counting is not None
        grant = self._quota.reserve(ask, now=now)
        if grant is None:
            with suppress(StoreAway):  # the next visit that asks continues the recount
                self._counting.go_on(seconds=AT_ONCE_SECONDS, now=now)
            grant = self._quota.reserve(replace(ask, at_once=True), now=now)
        if grant is None:
            raise NotCounted("the spending is not fully recounted yet")
        return grant

    def _let_be_counted(self) -> None:
        """Mark the totals as incomplete, because nothing is counted without caps.

        If caps are set later, the spending is recounted first.
        """
        if self._uncounted is not None:
            self._uncounted()
            self._uncounted = None
