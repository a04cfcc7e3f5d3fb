"""Decide which texts get no reply because a limit is exceeded or a machine seems to send them.

The only reaction is silence: a warning would feed a loop between two machines.
A text looks like a machine's in three cases: it came sooner after our reply than a person can write it, it repeats
our own words, or it repeats the text before it.
One such text proves nothing: a person pastes, dictates, or started to write before the reply came.
Several in a row end the conversation for a while.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from conversation.models import Message, Role
from inbox.payloads import Who
from inbox.ports import Limits, Rate
from sms.messages import InboundSms, bare

#: No person reads a reply and writes faster than this many characters a second.
#: A fast typist writes 100 words a minute, 8 characters a second, and has to read first.
CHARACTERS_A_SECOND: Final = 8.0
#: Shorter texts are no evidence either way: a person types "ok" as fast as a machine.
MIN_EVIDENCE_CHARACTERS: Final = 24
#: A sender that takes this long to answer is a person, or a harmless machine.
SLOW_SECONDS: Final = 30.0
#: How many of our latest replies are compared with the text.
ECHOES_COMPARED: Final = 4
#: Short texts may repeat this many times more often.
SHORT_FACTOR: Final = 6

#: North America's toll-free numbers (https://www.nanpa.com/numbering/toll-free-numbers).
TOLL_FREE: Final = tuple(f"+1{code}" for code in (800, 833, 844, 855, 866, 877, 888))

#: What each limit bounds; a metric counts the texts that exceed one by these words.
TEXTS_A_MINUTE: Final = "texts a minute"
TEXTS_A_DAY: Final = "texts a day"
IDENTICAL_AN_HOUR: Final = "identical texts an hour"
TURNS_A_MINUTE: Final = "turns a minute"
TURNS_AN_HOUR: Final = "turns an hour"
REPLIES_AN_HOUR: Final = "replies an hour, to everybody"
LIMITS: Final = (
    TEXTS_A_MINUTE, TEXTS_A_DAY, IDENTICAL_AN_HOUR, TURNS_A_MINUTE, TURNS_AN_HOUR, REPLIES_AN_HOUR,
)  # fmt: skip

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
#: Twilio's rate window for messages between the same two numbers (https://www.twilio.com/docs/api/errors/14107).
BETWEEN_NUMBERS: Final = timedelta(seconds=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """How often each thing may happen; 0 means no limit."""

    texts_per_minute: int = 0
    texts_per_day: int = 0
    identical_per_hour: int = 0
    turns_per_minute: int = 0
    turns_per_hour: int = 0
    #: Messages from one of our numbers to one person; a reply over this limit waits.
    messages_per_30_seconds: int = 0
    #: How many messages a reply may have; 0: one.
    messages_per_reply: int = 0
    #: To all people together.
    replies_per_hour: int = 0
    #: This many texts in a row that look like a machine's end the conversation for a while.
    loop: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Segments per second that may leave from one of our numbers, by its kind.

    0 sends without a pause, and Twilio queues the segments.
    """

    long_code: float = 0
    toll_free: float = 0
    short_code: float = 0

    def of(self, sender: str) -> float:
        """Return the pace of one of our numbers, such as `+15005550006`."""
        number = bare(sender)
        if number.isdecimal():
            return self.short_code
        if not number.startswith("+"):
            return 0  # the agent of another channel, such as `rcs:cat_agent`
        return self.toll_free if number.startswith(TOLL_FREE) else self.long_code


class Limiter:
    """Check texts against the limits as they are filed. If `limits` is None, no text exceeds any."""

    def __init__(self, limits: Limits | None, rates: Rates) -> None:
        self._limits = limits
        self._rates = rates

    def exceeded(self, who: Who, text: InboundSms, *, begins_turn: bool, arrived_ms: int) -> str:
        """Return the limit that this text exceeds, as a reason; empty if none. Raises `InboxAway`."""
        name = self._taken(text.sid, self._of_texts(who, text), arrived_ms)
        if begins_turn and not name:
            # counted apart: a text that waited behind others may begin a turn of its own, and is one text all the same
            name = self._taken(f"{text.sid}+", self._of_turns(who), arrived_ms)
        return reason_of(name) if name else ""

    def _taken(self, event: str, rates: Sequence[Rate], at_ms: int) -> str:
        """Take a token from each bucket that has a limit, or none; return the name of an empty one."""
        limited = [rate for rate in rates if rate.most]
        return self._limits.exceeded(event, limited, at_ms=at_ms) if self._limits and limited else ""

    def wait_ms(self, who: Who, text: InboundSms) -> int:
        """Return how many milliseconds a reply must wait before it may leave from the texted number.

        Without the wait, Twilio would take the two numbers for machines. A reply counts as many messages as it may
        have: how many it has is not known before it is composed. Raises `InboxAway`.
        """
        rates = self._rates
        if self._limits is None or not rates.messages_per_30_seconds:
            return 0
        return self._limits.window(
            f"{who}:{_digest(text.to)}",
            needed=rates.messages_per_reply or 1,
            most=rates.messages_per_30_seconds,
            per=BETWEEN_NUMBERS,
        )

    def is_loop(self, who: Who, text: InboundSms, said: Sequence[Message], arrived: datetime) -> bool:
        """Return whether enough machine-like texts in a row have come to end the conversation.

        `said` holds the messages before this text, oldest first. Raises `InboxAway`.
        """
        if self._limits is None or not self._rates.loop:
            return False
        return self._limits.streak(who, text.sid, likeness(text.body, said, arrived)) >= self._rates.loop

    def _of_texts(self, who: Who, text: InboundSms) -> Sequence[Rate]:
        rates = self._rates
        words = _plain(text.body)
        same = rates.identical_per_hour * (1 if len(words) >= MIN_EVIDENCE_CHARACTERS else SHORT_FACTOR)
        return (
            Rate(name=TEXTS_A_MINUTE, key=f"texts:m:{who}", most=rates.texts_per_minute, per=MINUTE),
            Rate(name=TEXTS_A_DAY, key=f"texts:d:{who}", most=rates.texts_per_day, per=DAY),
            Rate(name=IDENTICAL_AN_HOUR, key=f"same:{who}:{_digest(words)}", most=same, per=HOUR),
        )

    def _of_turns(self, who: Who) -> Sequence[Rate]:
        rates = self._rates
        return (
            Rate(name=TURNS_A_MINUTE, key=f"turns:m:{who}", most=rates.turns_per_minute, per=MINUTE),
            Rate(name=TURNS_AN_HOUR, key=f"turns:h:{who}", most=rates.turns_per_hour, per=HOUR),
            Rate(name=REPLIES_AN_HOUR, key="replies:h", most=rates.replies_per_hour, per=HOUR),
        )


def reason_of(limit: str) -> str:
    """Return why a text gets no reply that exceeds one of `LIMITS`."""
    return f"over the limit: {limit}"


def _digest(words: str) -> str:
    return hashlib.blake2b(words.encode("utf-8", "replace"), digest_size=6).hexdigest()


def likeness(body: str, said: Sequence[Message], arrived: datetime) -> int:
    """Return 1 if the text looks like a machine's, -1 if like a person's, 0 if it may be either's.

    `said` holds the messages before it, oldest first.
    """
    ours = [message for message in said if message.role is Role.ASSISTANT][-ECHOES_COMPARED:]
    if not ours:
        return 0
    words = _plain(body)
    before = next((message.content for message in reversed(said) if message.role is Role.USER), "")
    if len(words) >= MIN_EVIDENCE_CHARACTERS and (words == _plain(before) or words in map(_plain, _whole(ours))):
        return 1
    last = said[-1]
    if last.role is not Role.ASSISTANT or last.timestamp is None:
        return 0
    seconds = (arrived - last.timestamp).total_seconds()
    if seconds >= SLOW_SECONDS:
        return -1
    if seconds <= 0 or len(words) < MIN_EVIDENCE_CHARACTERS:
        return 0  # sent before the reply, or too short to judge
    return 1 if len(words) / seconds > CHARACTERS_A_SECOND else -1


def _plain(words: str) -> str:
    return " ".join(words.casefold().split())


def _whole(replies: Sequence[Message]) -> list[str]:
    """Return each reply message, and all joined: the latest reply may have been several messages."""
    return [*(message.content for message in replies), " ".join(message.content for message in replies)]
