"""Which circuit breakers a message passes, and which of them a refusal opens. Pure: no I/O."""

from __future__ import annotations

from inbox.payloads import Who
from inbox.ports import Place, Stop
from journal.model import ReplyPart
from sms import codes
from sms.messages import bare, channel_of
from sms.ports import Scope, Verdict
from worker import retry_policy


def service_of(part: ReplyPart, *, ours: str) -> str | None:
    """Return the messaging service that the next attempt at a part names.

    None: it leaves from the number texted. A text names the service by which it came. If Twilio refused that service
    and it is not `ours`, the configured one, the reply leaves without it: nothing else depends on such a service.
    """
    service = part.messaging_service_sid
    if service and service != ours and part.error_code is not None:
        row = codes.row_of(part.error_code)
        return None if row is not None and row.service else service
    return service


def places(part: ReplyPart, who: Who, *, ours: str) -> tuple[Place, ...]:
    """Return the places that the next attempt at a part passes, the widest first."""
    sender = service_of(part, ours=ours) or bare(part.sender)
    return (
        Place(Scope.ACCOUNT),
        Place(Scope.SENDER, sender),
        Place(Scope.CHANNEL, f"{channel_of(part.sender)}:{sender}"),
        Place(Scope.DESTINATION, who),
    )


def stop_of(verdict: Verdict, part: ReplyPart, who: Who, *, ours: str, reported: bool = False) -> Stop | None:
    """Return what a refusal of this part stops; None if it concerns this reply alone.

    A report that a limit was reached stops nothing: the message goes once more the next day, and a limit that still
    holds then refuses the next message at once.
    """
    rule = retry_policy.RULES[verdict.error_class]
    if not rule.stops_sending or verdict.scope is Scope.MESSAGE or (reported and rule.probes_grow):
        return None
    if verdict.service and part.messaging_service_sid not in (None, ours):
        return None
    place = next(place for place in places(part, who, ours=ours) if place.scope is verdict.scope)
    return Stop(
        place=place,
        who=who,
        reason=f"{verdict.means} ({verdict.code})" if verdict.code else verdict.means,
        people=verdict.people,
        grows=rule.probes_grow or reported or place.scope is Scope.DESTINATION,
        reported=reported,
    )
