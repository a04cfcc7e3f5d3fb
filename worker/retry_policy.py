"""Decide whether and when a part is sent again. The whole retry policy is in `decide`, as values."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from sms import codes
from sms.ports import ErrorClass, NotCreated

#: The pause after the first attempt; it doubles with every attempt.
FIRST_PAUSE: Final = timedelta(seconds=2)
#: The longest pause between two attempts at one part.
LONGEST_PAUSE: Final = timedelta(minutes=5)
#: Twilio's queue for one of our numbers is full (21611). It drains in minutes to hours.
QUEUE_FULL_PAUSE: Final = timedelta(minutes=10)
#: With a wrong account or sender nothing can be sent until an operator has looked. Every turn is kept.
CONFIGURATION_PAUSE: Final = timedelta(seconds=60)
#: The pause before a second try at a message that the carrier accepted and dropped because it was too busy.
BUSY_PAUSE: Final = timedelta(seconds=30)
#: The pause after a daily limit: it ends the next day in whatever time zone the carrier counts.
NEXT_DAY: Final = timedelta(hours=24)
#: How long a person gets no reply after two machines seemed to talk to each other.
LOOP_QUIET: Final = timedelta(hours=1)
#: A longer `Retry-After` is cut to this: the cause may be repaired sooner.
LONGEST_RETRY_AFTER: Final = timedelta(minutes=15)

#: The sender's queue is full.
QUEUE_FULL: Final = 21611
#: The person sent STOP.
OPTED_OUT: Final = 21610


@dataclass(frozen=True, slots=True)
class Again:
    """Try the same words again after this pause at the earliest."""

    in_: timedelta


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Never try again."""

    reason: str
    #: The person opted out at the carrier.
    opted_out: bool = False


def decide(error: NotCreated, *, tries: int, rng: random.Random) -> Again | GiveUp:
    """Decide what to do about a part that was proven not created after `tries` attempts.

    How long the attempts go on is not decided here: a part too old to be sent is suppressed before it is claimed.
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
    """Return when to retry a message that the carrier accepted and then failed with `code`, of class R."""
    return Again(NEXT_DAY if codes.waits_for_tomorrow(code) else BUSY_PAUSE * rng.uniform(0.75, 1.25))
