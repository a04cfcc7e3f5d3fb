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

from sms.ports import ErrorClass, NotCreated, Verdict

#: The longest pause between two attempts at one part.
LONGEST_PAUSE: Final = timedelta(minutes=5)
#: A longer `Retry-After` is cut to this: the cause may be repaired sooner.
LONGEST_RETRY_AFTER: Final = timedelta(minutes=15)

#: A blocking read of Redis lasts for at most this long: half of what a silent Redis is given (`inbox.connection`).
LONGEST_BLOCK_SECONDS: Final = 5.0
#: The person is visited again after this if the store or the carrier is away.
AWAY_PAUSE: Final = timedelta(seconds=5)
#: After the first death of a worker a text is tried again at once, and after the second when the lease has expired.
#: Then it waits for so many leases: with a lease of 20 s for 1, 3, 9 and 27 minutes. So a text that kills its worker
#: takes few of them down, and workers that die of something else for half an hour cost no reply.
LEASES_AFTER_DEATH: Final[Mapping[int, int]] = {3: 3, 4: 9, 5: 27, 6: 81}
#: A person is visited again after this for a text whose row cannot be read, if no other text waits.
SET_ASIDE_PAUSE: Final = timedelta(minutes=5)
#: How often the journal is asked to store an outcome: losing one costs more than a longer visit.
BIND_TRIES: Final = 4
BIND_PAUSE_SECONDS: Final = 0.5
#: For how long a visit that ends tries to tell Redis so: a visit that does not say how it ended counts as dead.
#: A task's time limit allows for it (`worker.build.celery`).
RELEASE_SECONDS: Final = 50.0
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
    """What one class of errors means."""

    fate: Fate
    #: The pause before the next attempt.
    pause: timedelta = timedelta(0)
    #: The pause doubles with every attempt, up to `LONGEST_PAUSE`, is shortened at random, and honors `Retry-After`.
    backs_off: bool = False
    #: Opens a circuit breaker, at the scope that the code concerns. The circuit decides when the next attempt is made.
    stops_sending: bool = False
    #: Only time mends it, so the pauses between two probes grow.
    probes_grow: bool = False
    #: The person gets no reply for this long.
    quiet: timedelta = timedelta(0)


RULES: Final[Mapping[ErrorClass, Rule]] = {
    ErrorClass.TRY_AGAIN: Rule(fate=Fate.AGAIN, pause=timedelta(seconds=2), backs_off=True),
    ErrorClass.FAILED_LATER: Rule(fate=Fate.AGAIN, pause=timedelta(seconds=2), backs_off=True),
    ErrorClass.UNKNOWN: Rule(fate=Fate.AWAIT_EVIDENCE),
    # nothing passes the scope until an operator has looked, or time has passed; every turn is kept
    ErrorClass.CONFIGURATION: Rule(fate=Fate.AGAIN, stops_sending=True),
    ErrorClass.LIMIT: Rule(fate=Fate.AGAIN, stops_sending=True, probes_grow=True),
    ErrorClass.PERMANENT: Rule(fate=Fate.GIVE_UP),
    ErrorClass.BUG: Rule(fate=Fate.GIVE_UP),
    # two machines seem to talk to each other
    ErrorClass.LOOP: Rule(fate=Fate.GIVE_UP, quiet=timedelta(hours=1)),
}

#: The longest pause between two probes of a circuit that only time closes, or whose probes cost a message each. The
#: first is `PROBE_SECONDS` and each is twice as long as the last. A reply lives six hours, so it is tried often enough.
LONGEST_PROBE_PAUSE: Final = timedelta(minutes=30)

#: A report about a message that was sent longer ago stops nothing: it is late or repeated, and the next message tells
#: whether it still holds. Carriers report within seconds, and a worker reads a report within a sweep.
REPORT_STOPS: Final = timedelta(minutes=10)

#: The pause before the second try at a message that the carrier accepted and then failed: it was too busy, or a daily
#: limit was reached, which ends the next day in whatever time zone the carrier counts.
SECOND_TRY_PAUSE: Final = timedelta(seconds=30)
NEXT_DAY: Final = timedelta(hours=24)


def rule_of(refusal: NotCreated) -> Rule:
    """Return the rule of a refusal."""
    return RULES[refusal.verdict.error_class]


def pause_after_death(deaths: int, *, lease_seconds: float) -> timedelta:
    """Return how long a text waits after so many workers died with it in hand."""
    return timedelta(seconds=LEASES_AFTER_DEATH.get(deaths, 0) * lease_seconds)


def pause_after(refusal: NotCreated, *, tries: int, rng: random.Random) -> timedelta:
    """Return the pause before the next attempt at a part that was refused `tries` times.

    It is zero if a circuit breaker decides about the next attempt.
    """
    rule = rule_of(refusal)
    if refusal.verdict.pause is not None:
        return refusal.verdict.pause
    if not rule.backs_off:
        return rule.pause
    pause: timedelta = min(rule.pause * 2 ** min(tries, 16), LONGEST_PAUSE) * rng.uniform(0.5, 1.0)
    return max(pause, min(refusal.retry_after or pause, LONGEST_RETRY_AFTER))


def pause_before_second_try(verdict: Verdict, *, rng: random.Random) -> timedelta | None:
    """Return the pause before a second try at a message that failed on its way; None if it gets none."""
    if verdict.error_class is ErrorClass.LIMIT:
        return NEXT_DAY
    return SECOND_TRY_PAUSE * rng.uniform(0.75, 1.25) if verdict.error_class is ErrorClass.FAILED_LATER else None
