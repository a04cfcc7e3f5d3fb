"""When a text gets no reply because there were too many, or because a machine seems to send them.

Falling silent is all that is done about it: a word of warning would feed the loop. What looks like a machine is a text that nobody can have
written in the time since our reply, that says our own words back, or that is the text before once more. One such text proves nothing: somebody
pastes, dictates, or had written before the reply came. Several in a row end it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from conversation.models import Message, Role
from inbox.contract import Who
from inbox.limits import Limits, Rate
from sms.messages import InboundSms, bare

#: Reading a reply and writing faster than so many characters a second is beyond people: a fast typist writes 100 words a minute, 8 characters a
#: second, and has to read first.
CHARACTERS_A_SECOND: Final = 8.0
#: Texts shorter than this say nothing either way: a thumb on "ok" is as fast as a machine.
TELLING_CHARACTERS: Final = 24
#: Who takes so long to answer is no machine, or harmless.
SLOW_SECONDS: Final = 30.0
#: Of our replies, so many are compared with what comes back.
ECHOES_COMPARED: Final = 4
#: Short texts may be the same this much more often.
SHORT_FACTOR: Final = 6

#: So many texts of one person a day that speak of danger are answered over every limit.
DANGER_PER_DAY: Final = 3
#: North America's toll-free numbers (https://www.nanpa.com/numbering/toll-free-numbers).
TOLL_FREE: Final = tuple(f"+1{code}" for code in (800, 833, 844, 855, 866, 877, 888))

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
#: Twilio's window for two numbers that write to each other (https://www.twilio.com/docs/api/errors/14107).
BETWEEN_NUMBERS: Final = timedelta(seconds=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """How often what may happen; 0: as often as it likes."""

    texts_per_minute: int = 0
    texts_per_day: int = 0
    identical_per_hour: int = 0
    turns_per_minute: int = 0
    turns_per_hour: int = 0
    #: From one of our numbers to one person; what is over waits.
    replies_per_30_seconds: int = 0
    #: To all people together.
    replies_per_hour: int = 0
    #: So many texts in a row that look like a machine's end the talk for a while.
    loop: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How many segments a second may leave from a number, by its kind; 0: as many as there are, and Twilio queues them."""

    long_code: float = 0
    toll_free: float = 0
    short_code: float = 0

    def of(self, sender: str) -> float:
        """The pace of one of our numbers."""
        number = bare(sender)
        if not number.startswith("+"):
            return self.short_code
        return self.toll_free if number.startswith(TOLL_FREE) else self.long_code


class Limiter:
    """Judges texts as they are filed. `limits` None: none is ever too many."""

    def __init__(self, limits: Limits | None, rates: Rates) -> None:
        self._limits = limits
        self._rates = rates

    def exceeded(self, who: Who, text: InboundSms, *, begins_turn: bool, arrived_ms: int) -> str:
        """Which limit this text is over, as a reason; empty: none. Raises `InboxAway`."""
        if self._limits is None:
            return ""
        rates = [rate for rate in self._buckets(who, text, begins_turn=begins_turn) if rate.most]
        # a text that stood behind others and now begins a turn of its own is judged once more
        sid = f"{text.sid}+" if begins_turn else text.sid
        name = self._limits.exceeded(sid, rates, at_ms=arrived_ms) if rates else ""
        return f"over the limit: {name}" if name else ""

    def spares(self, who: Who, text: InboundSms, *, arrived_ms: int) -> bool:
        """Whether a text that is over a limit is answered all the same, because somebody may be in danger. Raises `InboxAway`."""
        assert self._limits is not None
        rate = Rate(name="in danger", key=f"danger:{who}", most=DANGER_PER_DAY, per=DAY)
        return not self._limits.exceeded(f"{text.sid}!", [rate], at_ms=arrived_ms)

    def wait_ms(self, who: Who, text: InboundSms) -> int:
        """In how many milliseconds a reply may leave from the number that was texted, so that Twilio does not take the two for machines.

        Raises `InboxAway`.
        """
        most = self._rates.replies_per_30_seconds
        if self._limits is None or not most:
            return 0
        window = int(BETWEEN_NUMBERS.total_seconds() * 1000)
        takes = window // most
        wait = self._limits.pace(f"{who}:{_digest(text.to)}", takes_ms=takes, ahead_ms=window - takes, most_ms=0)
        return -wait

    def is_loop(self, who: Who, text: InboundSms, said: Sequence[Message], arrived: datetime) -> bool:
        """Whether so many texts in a row look like a machine's that the talk is to end. Raises `InboxAway`."""
        if self._limits is None or not self._rates.loop:
            return False
        return self._limits.streak(who, text.sid, likeness(text.body, said, arrived)) >= self._rates.loop

    def _buckets(self, who: Who, text: InboundSms, *, begins_turn: bool) -> list[Rate]:
        rates = self._rates
        words = " ".join(text.body.casefold().split())
        same = rates.identical_per_hour * (1 if len(words) >= TELLING_CHARACTERS else SHORT_FACTOR)
        buckets = [
            Rate(name="texts a minute", key=f"texts:m:{who}", most=rates.texts_per_minute, per=MINUTE),
            Rate(name="texts a day", key=f"texts:d:{who}", most=rates.texts_per_day, per=DAY),
            Rate(name="identical texts an hour", key=f"same:{who}:{_digest(words)}", most=same, per=HOUR),
        ]
        if begins_turn:
            buckets += [
                Rate(name="turns a minute", key=f"turns:m:{who}", most=rates.turns_per_minute, per=MINUTE),
                Rate(name="turns an hour", key=f"turns:h:{who}", most=rates.turns_per_hour, per=HOUR),
                Rate(name="replies an hour, to everybody", key="replies:h", most=rates.replies_per_hour, per=HOUR),
            ]  # fmt: skip
        return buckets


def _digest(words: str) -> str:
    return hashlib.blake2b(words.encode("utf-8", "replace"), digest_size=6).hexdigest()


def likeness(body: str, said: Sequence[Message], arrived: datetime) -> int:
    """1: like a machine's. -1: like a person's. 0: it might be either's. `said` is the talk before it, oldest first."""
    ours = [message for message in said if message.role is Role.ASSISTANT][-ECHOES_COMPARED:]
    if not ours:
        return 0
    words = _plain(body)
    before = next((message.content for message in reversed(said) if message.role is Role.USER), "")
    if len(words) >= TELLING_CHARACTERS and (words == _plain(before) or words in map(_plain, _whole(ours))):
        return 1
    last = said[-1]
    if last.role is not Role.ASSISTANT or last.timestamp is None:
        return 0
    seconds = (arrived - last.timestamp).total_seconds()
    if seconds >= SLOW_SECONDS:
        return -1
    if seconds <= 0 or len(words) < TELLING_CHARACTERS:
        return 0  # written before the reply was there, or too short to tell
    return 1 if len(words) / seconds > CHARACTERS_A_SECOND else -1


def _plain(words: str) -> str:
    return " ".join(words.casefold().split())


def _whole(ours: Sequence[Message]) -> list[str]:
    """Replies as they were sent, and the last one as a whole, should it have been several messages."""
    return [*(message.content for message in ours), " ".join(message.content for message in ours)]
