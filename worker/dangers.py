"""What a visit knows of danger: what is heard, what is urgent, and what is kept with the reply."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from cat.danger.watch import Alert, Watch
from conversation.models import Role
from sms import messages
from worker import telemetry
from worker.visit import Visit

#: The person's latest texts that tell the language and the age of a person in danger.
EARLIER_TEXTS: Final = 8


@dataclass(frozen=True, slots=True)
class Kept:
    """What is stored of a danger with a reply; `danger` None: what was stored stays."""

    serious: bool = False
    danger: str | None = None


def alert_of(watch: Watch, visit: Visit, texts: Sequence[messages.InboundSms]) -> Alert:
    """Return the danger in these texts of the visit's person."""
    said = [message.content for message in visit.conversation.messages if message.role is Role.USER]
    return watch.look(
        [text.body for text in texts],
        visit.danger,
        now_ms=visit.now_ms(),
        earlier=said[-EARLIER_TEXTS:],
        person=visit.address,
    )


def urgency(alert: Alert, turn: str, *, is_beyond: bool) -> str:
    """Return why the reply to this turn may exceed any cap; empty if it may not.

    Each turn is a reason of its own: the state of the conversation keeps such replies ten minutes apart.
    """
    return f"danger:{turn}" if alert.is_certain and (is_beyond or alert.before.may_except(alert.now_ms)) else ""


def kept(visit: Visit, alert: Alert | None, *, is_beyond: bool) -> Kept:
    """Return what is stored with a reply, and count its danger; an operator's fixed line has none."""
    if alert is None:
        return Kept()
    if alert.heard.tier:
        telemetry.count_danger(alert.heard.tier)
    after = replace(alert.after, excepted_ms=visit.now_ms()) if is_beyond else alert.after
    return Kept(alert.is_serious, None if after == visit.danger else after.to_json())
