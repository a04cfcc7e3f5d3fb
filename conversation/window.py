"""Limit how much of a conversation its item carries: the newest messages, within a number and a size.

A write costs DynamoDB one unit per kilobyte of the whole item, and an item may have 400 KB at most. The window keeps
the cost of a turn constant. A message that leaves it is in the journal already, or is copied there before the write.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from conversation.models import Conversation, Message

#: Twenty exchanges: more than a person remembers of a chat, and a short input for a model.
WINDOW_MESSAGES: Final = 40
#: Bytes of JSON; forty texts of ordinary length take five thousand.
WINDOW_BYTES: Final = 16_384


@dataclass(frozen=True, slots=True)
class Cut:
    """A conversation whose window fits, and the messages that had to leave it, oldest first."""

    conversation: Conversation
    evicted: tuple[Message, ...]


def cut(conversation: Conversation, *, forgotten: tuple[Message, ...] = ()) -> Cut:
    """Fit the window: keep the newest messages, and always the newest one, whatever its size.

    `forgotten` are messages that left the window before, because the person asked for it. They count as evicted too.
    """
    kept, size = 0, 0
    for message in reversed(conversation.messages):
        size += len(json.dumps(message.to_json(), ensure_ascii=False).encode())
        if kept and (kept >= WINDOW_MESSAGES or size > WINDOW_BYTES):
            break
        kept += 1
    at = len(conversation.messages) - kept
    evicted, window = (*forgotten, *conversation.messages[:at]), conversation.messages[at:]
    carried = conversation.carried + sum(message.key is None for message in evicted)
    return Cut(replace(conversation, messages=window, carried=carried), evicted)


def times(messages: Sequence[Message]) -> list[datetime | None]:
    """Return when each message was said, as far as it can be told.

    A message without a time, of an older program, lies a millisecond before the next one, and never before the last
    one. Without a later time there is None.
    """
    said_at: list[datetime | None] = []
    later: datetime | None = None
    for message in reversed(messages):
        if message.timestamp is not None:
            later = message.timestamp
        elif later is not None:
            later -= timedelta(milliseconds=1)
        said_at.append(later)
    earliest = None
    for place, moment in reversed(list(enumerate(said_at))):
        if moment is not None:
            earliest = max(moment, earliest or moment)
            said_at[place] = messages[-1 - place].timestamp or earliest
    return said_at[::-1]
