"""What a day is: who texts what and when, and what breaks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

#: Seconds in which texts are sent and faults strike. Then everything works again, and the day comes to rest.
BUSY_SECONDS: Final = 300.0
#: The longest that a process stands still: longer than its lease, and short enough that a message which it sends then
#: comes before the reply to the person's next text, which waits for `PATIENCE_SECONDS` after a lease was lost.
LONGEST_STOP_SECONDS: Final = 55.0
MAX_AGE_SECONDS: Final = 6 * 3600.0
#: A host that is away for so long comes back when its replies in doubt are held.
LONGEST_RESTART_SECONDS: Final = 300.0
LEAST_PEOPLE: Final = 4
#: What a person in danger texts.
DANGER: Final = "i want to kill myself"


class What(StrEnum):
    """A kind of fault."""

    # at one call
    DIES_BEFORE = "the process dies before a call"
    DIES_AFTER = "the process dies after a call"
    DIES_FIRST = "the process dies, and a call that it made arrives then"
    LOST_BEFORE = "a call never arrives"
    LOST_AFTER = "the answer to a call is lost"
    LATE = "a call arrives long after its caller gave up"
    TWICE = "a client repeats a call whose answer was lost"
    ECHOES = "a second copy of a call arrives long after its answer"
    STOPS_BEFORE = "the process stands still before a call, past its lease"
    STOPS_AFTER = "the process stands still after a call, past its lease"
    SLEEPS_BEFORE = "one thread stands still before a call"
    SLEEPS_AFTER = "one thread stands still after a call"
    HOST_LOST_BEFORE = "the host is lost before a call"
    HOST_LOST_AFTER = "the host is lost after a call"
    CONFLICT = "the store refuses a transaction because of another"
    # at one request to send
    REFUSED = "the carrier refuses a message with 429"
    FAILS_CREATED = "the carrier answers 503 and creates the message"
    FAILS = "the carrier answers 503 and creates nothing"
    # to all processes, for a while or at once
    STORE_AWAY = "the store is away"
    STORE_THROTTLES = "the store throttles"
    REDIS_AWAY = "Redis is away"
    REDIS_DEMOTED = "Redis is demoted to a replica"
    REDIS_EMPTIED = "Redis is emptied"
    CARRIER_AWAY = "the carrier is away"
    CARRIER_REFUSES = "the carrier refuses an account, a sender or a person"
    LIST_BEHIND = "the carrier's whole list is behind"
    INDEX_LAGS = "the index of the unsettled lags"
    HOST_LOST = "a host is lost"
    KILLED = "a worker is killed"
    MARKS_LOST = "the marks of a host are lost"
    WORDS_DELETED = "the words of all messages to a person are deleted at the carrier"
    MESSAGES_DELETED = "all messages to a person are deleted at the carrier"
    # to one message
    LIST_LAGS = "the carrier's list lags"
    REPORTS_MISSING = "no callback comes"
    REPORTS_DOUBLED = "each callback comes twice"
    REPORTS_REVERSED = "callbacks come in reverse order"
    REPORTS_LATE = "callbacks come late"
    UNDELIVERED = "a message fails in delivery"
    DELIVERED_AFTER_ALL = "a message is delivered after it was reported as failed"
    # to one text
    WEBHOOK_MISSING = "no webhook comes"
    WEBHOOK_DOUBLED = "a webhook comes twice"
    WEBHOOK_AGAIN = "a webhook comes again minutes later"
    REPLY_FAILS = "the carrier answers 503 to each request for one reply, and creates nothing"


#: Faults that strike one call, named by its step.
AT_A_CALL: Final = frozenset(
    {
        What.DIES_BEFORE, What.DIES_AFTER, What.DIES_FIRST, What.LOST_BEFORE, What.LOST_AFTER, What.LATE, What.TWICE,
        What.ECHOES, What.STOPS_BEFORE, What.STOPS_AFTER, What.SLEEPS_BEFORE, What.SLEEPS_AFTER, What.HOST_LOST_BEFORE,
        What.HOST_LOST_AFTER, What.CONFLICT, What.REFUSED, What.FAILS_CREATED, What.FAILS,
    }
)  # fmt: skip
OF_A_MESSAGE: Final = frozenset(
    {
        What.LIST_LAGS, What.REPORTS_MISSING, What.REPORTS_DOUBLED, What.REPORTS_REVERSED, What.REPORTS_LATE,
        What.UNDELIVERED, What.DELIVERED_AFTER_ALL,
    }
)  # fmt: skip
OF_A_TEXT: Final = frozenset({What.WEBHOOK_MISSING, What.WEBHOOK_DOUBLED, What.WEBHOOK_AGAIN, What.REPLY_FAILS})
AT_THE_CARRIER: Final = frozenset({What.CARRIER_REFUSES, What.LIST_BEHIND, What.WORDS_DELETED, What.MESSAGES_DELETED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A text that a person sends."""

    #: Such as 1: the first text of the day, as it was drawn.
    number: int
    at: float
    #: Such as 0: the first person of the day.
    person: int
    body: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Something that breaks."""

    what: What
    #: The step, such as `claim`, and which one of the day's, from 1; also which message or text of the day, or which
    #: worker or host.
    call: str = ""
    nth: int = 0
    #: Only the calls for this text are counted, or those of a script for its person; or each message that answers it is
    #: struck.
    text: int = 0
    at: float = 0.0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How the day's deployment is set up."""

    policy: str = "each"
    #: How many messages each reply has.
    parts: int = 1
    hosts: int = 1
    workers: int = 1
    #: Texts a minute that a person may send; 0: no limit.
    texts_per_minute: int = 0
    #: What all messages of the day may cost, in millionths of a dollar; None: as much as they do.
    cap: int | None = None
    #: A reply that stays in doubt is sent again, once.
    resend: bool = False
    #: A text older than this is not answered, and a reply to it not sent, in seconds.
    max_age: float = MAX_AGE_SECONDS
    #: Each process looks for dead neighbours each second, not only after a death.
    watchful: bool = False
    #: How far the clock of each worker, and the carrier's, are off, in seconds.
    skew: float = 0.0
    #: Calls and thoughts take as long as the seed says; if not, each call takes a millisecond.
    varied: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One day."""

    seed: int
    terms: Terms
    texts: Sequence[Text]
    faults: Sequence[Fault] = field(default=())

    @property
    def people(self) -> int:
        """Return how many people text."""
        return len({text.person for text in self.texts})
