"""decide(): a retry is a value, and the whole policy is this one table."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from sms import carrier_errors
from sms.ports import ErrorClass, NotCreated

#: The first pause; it doubles with every attempt.
FIRST_PAUSE: Final = timedelta(seconds=2)
#: The longest pause between two attempts at one part.
LONGEST_PAUSE: Final = timedelta(minutes=5)
#: Twilio's queue for one of our numbers is full (21611): it drains in minutes to hours.
QUEUE_FULL_PAUSE: Final = timedelta(minutes=10)
#: With a wrong account or sender nothing can be sent until somebody has looked; every turn is kept.
CONFIGURATION_PAUSE: Final = timedelta(seconds=60)
#: What the carrier took and then dropped because it was too busy: it should have breath again by then.
BREATH: Final = timedelta(seconds=30)
#: A daily limit was reached: the next day, by whichever clock the carrier's day ends.
NEXT_DAY: Final = timedelta(hours=24)
#: Two machines seem to talk to each other: this person gets no reply for so long.
LOOP_QUIET: Final = timedelta(hours=1)
#: A `Retry-After` beyond this is taken as this: somebody else may have healed it meanwhile.
LONGEST_RETRY_AFTER: Final = timedelta(minutes=15)

#: The sender's queue is full.
QUEUE_FULL: Final = 21611
#: The person sent STOP.
OPTED_OUT: Final = 21610


@dataclass(frozen=True, slots=True)
class Again:
    """Try the same words again, no sooner than this."""

    in_: timedelta


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Never again."""

    reason: str
    #: The person opted out at the carrier.
    opted_out: bool = False


def decide(error: NotCreated, *, tries: int, rng: random.Random) -> Again | GiveUp:
    """What to do about a part that was proven not created after `tries` attempts.

    How long it goes on is not decided here: a part too old to be sent is suppressed before it is claimed.
    """
    if error.error_class is ErrorClass.CONFIGURATION:
        return Again(CONFIGURATION_PAUSE)
    if error.error_class not in (ErrorClass.TRY_AGAIN, ErrorClass.FAILED_LATER):
        return GiveUp(error.reason, opted_out=error.code == OPTED_OUT)
    if error.code == QUEUE_FULL:
        return Again(QUEUE_FULL_PAUSE)
    pause = min(FIRST_PAUSE * 2 ** min(tries, 16), LONGEST_PAUSE)
    jittered = pause * rng.uniform(0.5, 1.0)
    if error.retry_after is not None:
        return Again(max(min(error.retry_after, LONGEST_RETRY_AFTER), jittered))
    return Again(jittered)


def after_failure(code: int, *, rng: random.Random) -> Again:
    """When to try once more what the carrier took and then failed with `code`, one of class R."""
    return Again(NEXT_DAY if carrier_errors.waits_for_tomorrow(code) else BREATH * rng.uniform(0.75, 1.25))
