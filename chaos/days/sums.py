"""Sums of a day: answered texts, the budget, and requests to a carrier that refuses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final

from chaos.auditor import Row
from chaos.days.machine import SLOTS, TARIFF, who_of
from chaos.days.network import OUR_NUMBER, Refusal
from chaos.days.plan import DANGER, What
from chaos.days.silences import OVER_BUDGET
from conversation import schema
from conversation.entries import accepted_at
from conversation.table import Query
from inbox import keys
from inbox.ports import Place
from sms.messages import InboundSms
from sms.ports import Scope

if TYPE_CHECKING:
    from chaos.days.day import Day

#: A certain danger is answered beyond every limit once in so many seconds.
EXCEPTION_SECONDS: Final = 600
#: A carrier that refuses for 100 seconds is asked by so many probes, and by requests that lost their circuit's answer.
_PROBES: Final = 8
#: After so many accepted messages a circuit must be closed: a worker that was to close it may have died.
_SURELY_CLOSED: Final = 3
_KEYWORDS: Final = frozenset({"STOP", "START", "RESET"})
_SEGMENT: Final = TARIFF.segment["+"]


def offences(day: Day, texts: Sequence[InboundSms], rows: Sequence[Row]) -> Iterator[str]:
    """Yield each sum that is too large, and each person in danger who was not answered."""
    turns = {row.text_sid: row for row in rows if not row.is_part}
    if day.plan.terms.texts_per_minute and not day.faults.struck[What.REDIS_EMPTIED]:
        yield from _limits(day.plan.terms.texts_per_minute, texts, turns)
    if day.plan.terms.cap is not None:
        yield from _budget(day, texts, turns.values())
    yield from _danger(texts, turns)
    yield from _refusals(day)


def _limits(most: int, texts: Sequence[InboundSms], turns: dict[str, Row]) -> Iterator[str]:
    """Check that no more texts of a person were answered than a bucket of tokens allows.

    A token is taken between the arrival of a text and its reply, which may be long after.
    """
    for person in sorted({text.sender for text in texts}):
        theirs = [text for text in texts if text.sender == person and text.body not in _KEYWORDS]
        answered = sorted(
            (
                accepted_at(turn.arrived),
                datetime.fromisoformat(turn.answered),
                text.body.startswith(DANGER),
            )
            for text in theirs
            if (turn := turns.get(text.sid)) is not None and turn.state == "ANSWERED"
        )
        for first, (begin, _, _) in enumerate(answered):
            for last in range(first, len(answered)):
                some = answered[first : last + 1]
                seconds = (max(end for _, end, _ in some) - begin).total_seconds()
                number, in_danger = len(some), any(danger for _, _, danger in some)
                beyond = 1 + int(seconds // EXCEPTION_SECONDS) if in_danger else 0
                if number > most + most * seconds / 60 + beyond + 0.001:
                    yield f"limit: {number} texts of {person} in {seconds:.0f} s are answered"
                    return


def _budget(day: Day, texts: Sequence[InboundSms], turns: Iterable[Row]) -> Iterator[str]:
    """Check that the day cost no more than its cap, and about as much if a text is over it.

    A last line, and replies to people in danger, may exceed it. What is reserved for a reply in doubt is not spent.
    """
    rows = day.tables.query(Query(table=schema.MESSAGES)).rows
    parts = [row for row in rows if row["message_key"].startswith("out#")]
    counted = sum(int(part.get("cost", 0)) for part in parts)
    # a second try is counted, and sent whatever the cap is
    spent = sum(int(part.get("cost", 0)) for part in parts if not part.get("again"))
    terms, in_danger = day.plan.terms, {text.sender for text in texts if text.body.startswith(DANGER)}
    # what was under way when Redis was emptied is counted when it is settled, and the recount knows nothing of it
    under_way = terms.workers * SLOTS * day.faults.struck[What.REDIS_EMPTIED]
    beyond = (2 * len(in_danger) + under_way) * terms.parts
    assert terms.cap is not None
    if spent > terms.cap + (1 + beyond) * _SEGMENT:
        yield f"budget: {spent} is spent, and the cap is {terms.cap}"
    if counted < terms.cap / 2 and any(turn.reason == OVER_BUDGET for turn in turns):
        yield f"budget: texts are over it, {counted} is spent, and the cap is {terms.cap}"


def _danger(texts: Sequence[InboundSms], turns: dict[str, Row]) -> Iterator[str]:
    """Check that a limit or the budget leaves no person in danger alone."""
    for person in sorted({text.sender for text in texts if text.body.startswith(DANGER)}):
        theirs = [
            turns[text.sid]
            for text in texts
            if text.sender == person and text.body.startswith(DANGER) and text.sid in turns
        ]
        if theirs and all(turn.state == "SILENT" and turn.reason.startswith("over ") for turn in theirs):
            yield f"alone: {person} is in danger, and gets no reply ({theirs[0].reason})"


def _refusals(day: Day) -> Iterator[str]:
    """Check that a circuit opened when the carrier refused us, and closed again."""
    times_open = 1 + day.faults.struck[What.REDIS_EMPTIED]
    most = day.plan.terms.workers * SLOTS * times_open + _PROBES
    last: dict[str, Refusal] = {}
    for refusal in day.network.refusals:
        if refusal.refused > most:
            yield f"refused: {refusal.refused} requests were made to a carrier that refuses ({refusal.verdict.means})"
        last[_place(refusal).key] = refusal
    for key, refusal in last.items():
        if refusal.accepted >= _SURELY_CLOSED and day.server.exists(keys.circuit(key)):
            yield f"circuit: it stays open, though {refusal.accepted} messages were accepted ({refusal.verdict.means})"


def _place(refusal: Refusal) -> Place:
    scope = refusal.verdict.scope
    if scope is Scope.DESTINATION:
        return Place(scope, who_of(refusal.person))
    return Place(scope, OUR_NUMBER) if scope is Scope.SENDER else Place(scope)
