"""Every pause, every number of tries, and the decision for each outcome of an attempt.

How long the attempts at a part go on is not decided here: a part too old to be sent is suppressed before it is claimed.
After an unknown outcome, such as a 5xx, nothing is sent again without evidence: the person's next reply waits for
`UNKNOWN_PATIENCE_SECONDS`.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import Final

from sms import codes
from sms.ports import ErrorClass, NotCreated

#: The longest pause between two attempts at one part.
LONGEST_PAUSE: Final = timedelta(minutes=5)
#: A longer `Retry-After` is cut to this: the cause may be repaired sooner.
LONGEST_RETRY_AFTER: Final = timedelta(minutes=15)

#: The person is visited again after this if the store or the carrier is away.
AWAY_PAUSE: Final = timedelta(seconds=5)
#: A person is visited again after this for a text whose row cannot be read, if no other text waits.
SET_ASIDE_PAUSE: Final = timedelta(minutes=5)
#: How often the journal is asked to store an outcome: losing one costs more than a longer visit.
BIND_TRIES: Final = 4
BIND_PAUSE_SECONDS: Final = 0.5
#: How often a visit that ends tries to tell Redis so: a visit that does not say how it ended counts as dead. With the
#: longest visit (60 s) and a reply it ends before a task must (`worker.config.TASK_TIME_LIMIT_SECONDS`).
RELEASE_TRIES: Final = 60
RELEASE_PAUSE_SECONDS: Final = 1.0


class Fate(Enum):
    """What becomes of a part after an attempt that did not send it."""

    #: Proven not created: try the same words again.
    AGAIN = "again"
    #: Proven not created, and never tried again.
    GIVE_UP = "give up"
    #: It may have been created: only evidence settles it, and the person's next reply waits meanwhile.
    AWAIT_EVIDENCE = "await evidence"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What one kind of outcome means."""

    fate: Fate
    #: The pause before the next attempt.
    pause: timedelta = timedelta(0)
    #: The pause doubles with every attempt, up to `LONGEST_PAUSE`, is shortened at random, and honors `Retry-After`.
    backs_off: bool = False
    #: Opens the circuit breaker: the carrier refuses our account or its configuration.
    stops_sending: bool = False
    #: The carrier judged the message itself, so it accepts our account: a probe closes the circuit breaker.
    accepts_account: bool = False
    #: The person sent STOP to the carrier.
    opts_out: bool = False
    #: The person gets no reply for this long.
    quiet: timedelta = timedelta(0)


#: By class; a code with a row of its own overrules its class.
RULES: Final[Mapping[ErrorClass | int, Rule]] = {
    ErrorClass.TRY_AGAIN: Rule(fate=Fate.AGAIN, pause=timedelta(seconds=2), backs_off=True),
    ErrorClass.FAILED_LATER: Rule(fate=Fate.AGAIN, pause=timedelta(seconds=2), backs_off=True),
    ErrorClass.UNKNOWN: Rule(fate=Fate.AWAIT_EVIDENCE),
    # nothing can be sent until an operator has looked; every turn is kept
    ErrorClass.CONFIGURATION: Rule(fate=Fate.AGAIN, pause=timedelta(seconds=60), stops_sending=True),
    ErrorClass.PERMANENT: Rule(fate=Fate.GIVE_UP, accepts_account=True),
    ErrorClass.BUG: Rule(fate=Fate.GIVE_UP, accepts_account=True),
    # two machines seem to talk to each other
    ErrorClass.LOOP: Rule(fate=Fate.GIVE_UP, accepts_account=True, quiet=timedelta(hours=1)),
    # the person sent STOP
    21610: Rule(fate=Fate.GIVE_UP, accepts_account=True, opts_out=True),
    # the queue of one of our numbers is full; it drains in minutes to hours
    21611: Rule(fate=Fate.AGAIN, pause=timedelta(minutes=10)),
}

#: The pause before the second try at a message that the carrier accepted and then failed: it was too busy, or a daily
#: limit was reached, which ends the next day in whatever time zone the carrier counts.
SECOND_TRY_PAUSE: Final = timedelta(seconds=30)
NEXT_DAY: Final = timedelta(hours=24)


def rule_of(error_class: ErrorClass, code: int | None) -> Rule:
    """Return the rule of an error."""
    by_code = RULES.get(code) if code is not None else None
    return by_code or RULES[error_class]


def pause_after(refusal: NotCreated, *, tries: int, rng: random.Random) -> timedelta:
    """Return the pause before the next attempt at a part that was refused `tries` times."""
    rule = rule_of(refusal.error_class, refusal.code)
    if not rule.backs_off:
        return rule.pause
    pause: timedelta = min(rule.pause * 2 ** min(tries, 16), LONGEST_PAUSE) * rng.uniform(0.5, 1.0)
    return max(pause, min(refusal.retry_after or pause, LONGEST_RETRY_AFTER))


def pause_before_second_try(code: int, *, rng: random.Random) -> timedelta:
    """Return the pause before a second try at a message that failed with `code` after it was sent."""
    return NEXT_DAY if codes.waits_for_tomorrow(code) else SECOND_TRY_PAUSE * rng.uniform(0.75, 1.25)
