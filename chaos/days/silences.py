"""Texts without a reply: the reasons that a day allows, each held against what was sent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from chaos.auditor import Row
from chaos.days.plan import MAX_AGE_SECONDS, Terms
from conversation import schema
from conversation.entries import accepted_at
from sms.messages import InboundSms

if TYPE_CHECKING:
    from chaos.days.day import Day

#: A keyword that gets no reply, by the reason that its row names.
KEYWORDS: Final = {"keyword stop": "STOP", "keyword start": "START"}
OPTED_OUT: Final = "opted out"
#: A keyword that was found after one that was sent later.
OVERTAKEN: Final = "a later keyword counts"
SUPERSEDED: Final = "superseded"
OVER_LIMIT: Final = "over the limit: texts a minute"
OVER_BUDGET: Final = "over the budget"
TOO_OLD: Final = frozenset({"too old to send", "too old to answer"})
_MINUTE: Final = 60.0


def allowed(terms: Terms, texts: Sequence[InboundSms]) -> frozenset[str]:
    """Return the reasons for which a text of this day may get no reply."""
    reasons = set(KEYWORDS)
    if any(text.body == "STOP" for text in texts):
        reasons |= {OPTED_OUT, OVERTAKEN}
    if terms.policy == "latest":
        reasons.add(SUPERSEDED)
    if terms.texts_per_minute:
        reasons.add(OVER_LIMIT)
    if terms.cap is not None:
        reasons.add(OVER_BUDGET)
    if terms.max_age < MAX_AGE_SECONDS:
        reasons |= TOO_OLD
    if terms.resend:
        reasons |= {f"{reason}; an earlier attempt may have been sent" for reason in reasons}
    return frozenset(reasons)


def offences(day: Day, texts: Sequence[InboundSms], rows: Sequence[Row]) -> Iterator[str]:
    """Yield each silence whose reason cannot be true."""
    turns = {row.text_sid: row for row in rows if not row.is_part}
    for person in sorted({text.sender for text in texts}):
        theirs = [(turns[text.sid], text) for text in texts if text.sender == person and text.sid in turns]
        yield from _opted(day, theirs)
        stopped = any(text.body == "STOP" for _, text in theirs)
        for row in rows:
            if row.person == person and row.reason in {OPTED_OUT, *KEYWORDS} and not stopped:
                yield f"silenced: {row.key} is {row.state} ({row.reason}), and its person never sent STOP"
        # a text that was put back stands elsewhere in the inbox than its row says
        if not any(row.repaired for row, _ in theirs):
            theirs.sort(key=lambda pair: pair[0].arrived)
            yield from _keywords(theirs)
            yield from _limits(day.plan.terms, [row for row, _ in theirs])
            yield from _superseded([row for row, _ in theirs])


def _opted(day: Day, theirs: Sequence[tuple[Row, InboundSms]]) -> Iterator[str]:
    """Check that of a person's keywords the one that was sent last counts, however late it was found.

    When a webhook's text was sent is not known: it counts as sent when it arrived.
    """
    keywords = [(row, text) for row, text in theirs if text.body in KEYWORDS.values()]
    last = max(keywords, key=lambda pair: _sent(pair[0]), default=None)
    if last is None:
        return
    item = day.tables.get(schema.CONVERSATIONS, {"user_id": last[1].sender})
    if item is not None and item.get("is_active", True) is (last[1].body == "STOP"):
        yield f"keyword: {last[0].key} ({last[1].body}) was sent last, and does not count"
    for row, _ in theirs:
        if row.reason == OVERTAKEN and row.key == last[0].key:
            yield f"keyword: {row.key} is overtaken by none"


def _sent(row: Row) -> tuple[datetime, str]:
    return accepted_at(row.arrived) - timedelta(seconds=row.found_after), row.arrived


def _keywords(theirs: Sequence[tuple[Row, InboundSms]]) -> Iterator[str]:
    """Check that a person who sent START is heard until the next STOP."""
    last_stop = max((place for place, (_, text) in enumerate(theirs) if text.body == "STOP"), default=-1)
    is_stopped = False
    for place, (row, text) in enumerate(theirs):
        if row.reason in KEYWORDS and text.body != KEYWORDS[row.reason]:
            yield f"silenced: {row.key} is no keyword ({row.reason})"
        # a STOP that waits is obeyed before the texts that arrived before it
        if row.reason == OPTED_OUT and not is_stopped and place > last_stop:
            yield f"silenced: {row.key} came after START, and no STOP came since"
        is_stopped = text.body == "STOP" or (is_stopped and text.body != "START")


def _limits(terms: Terms, theirs: Sequence[Row]) -> Iterator[str]:
    """Check that a person who is over the limit has texted nearly as often as it allows, within a minute."""
    for row in theirs:
        if row.reason == OVER_LIMIT:
            ages = [(accepted_at(row.arrived) - accepted_at(other.arrived)).total_seconds() for other in theirs]
            others = sum(0 <= age <= _MINUTE for age in ages) - 1
            if others < terms.texts_per_minute / 2:
                yield f"limit: {row.key} is over it after {others} texts"


def _superseded(theirs: Sequence[Row]) -> Iterator[str]:
    """Check that the last text of a person is superseded by none."""
    for row in theirs[-1:]:
        if row.reason == SUPERSEDED:
            yield f"superseded: {row.key} is the last text of its person"
