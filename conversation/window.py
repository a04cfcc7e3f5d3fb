"""Limit how much of a conversation its item carries: the newest messages, within a number and a size.

A write costs DynamoDB one unit per kilobyte of the whole item, and an item may have 400 KB at most. The window keeps
the cost of a turn constant. A message that leaves it is in the journal already, or is copied there before the write.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
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

    @property
    def unjournaled(self) -> tuple[Message, ...]:
        """Return the evicted messages that no journal row holds yet."""
        return tuple(message for message in self.evicted if message.key is None)


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
