"""Provide `ConversationManager`: the calls of the specification's usage example, and paged history.

The manager holds no state. Two managers in two processes may serve one person.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from datetime import datetime

from conversation import dynamodb_limits
from conversation.entries import Entry
from conversation.models import Conversation, Message, Role, in_milliseconds
from conversation.ports import Conversations
from runtime.host import REAL


class ConversationManager:
    """Add messages to conversations, read them, reset them.

    Any string is a user id, such as `+15551230001`. `DynamoDBStorage` and `InMemoryStorage` are storages.
    Every method raises a `ConversationError` if it fails.
    """

    def __init__(self, storage: Conversations, *, clock: Callable[[], datetime] = REAL.now) -> None:
        self._storage = storage
        self._clock = clock

    def add_user_message(self, user_id: str, content: str) -> Conversation:
        """Record a message of the person; return the conversation with it. Raises `NotStorable`."""
        return self._add(user_id, Role.USER, content)

    def add_assistant_message(self, user_id: str, content: str) -> Conversation:
        """Record a message of DadaCat; return the conversation with it. Raises `NotStorable`."""
        return self._add(user_id, Role.ASSISTANT, content)

    def get_or_create_conversation(self, user_id: str) -> Conversation:
        """Return the conversation with its window of latest messages; an empty one if there is none.

        Nothing is written: a conversation exists in the table from its first message on.
        """
        dynamodb_limits.check_user_id(user_id)
        return self._storage.get(user_id) or Conversation.new(user_id, self._clock())

    def reset_conversation(self, user_id: str) -> Conversation:
        """Empty the window and make the conversation active. The journal keeps its record."""
        dynamodb_limits.check_user_id(user_id)
        return self._storage.reset(user_id, now=self._clock())

    def history(self, user_id: str) -> Iterator[Entry]:
        """Yield every message ever recorded, oldest first, read a page at a time."""
        dynamodb_limits.check_user_id(user_id)
        cursor = None
        while True:
            page = self._storage.page(user_id, cursor=cursor)
            yield from page.entries
            if page.cursor is None:
                return
            cursor = page.cursor

    def _add(self, user_id: str, role: Role, content: str) -> Conversation:
        dynamodb_limits.check_user_id(user_id)
        dynamodb_limits.check_content(content)
        now = self._clock()
        key = f"msg#{in_milliseconds(now):013d}#{secrets.token_hex(8)}"
        return self._storage.append(user_id, Message(role=role, content=content, timestamp=now, key=key), now=now)
