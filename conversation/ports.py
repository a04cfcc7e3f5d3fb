"""What callers need of conversations; `conversation.storage` and `conversation.fenced` keep it."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from conversation.entries import PAGE, Page
from conversation.models import Conversation, Memory, Message


class Conversations(Protocol):
    """Conversations as the manager reads and writes them."""

    def get(self, user_id: str) -> Conversation | None:
        """Return the conversation as it stands, read consistently; None if there is none."""

    def append(self, user_id: str, message: Message, *, now: datetime) -> Conversation:
        """Add `message` behind all that was said; create the conversation if there is none.

        The idempotency key is `message.key`: a second call with the same key changes nothing. However many writers
        append at once, no message is lost.
        """

    def reset(self, user_id: str, *, now: datetime, wake: bool = True) -> Conversation:
        """Empty window and memory; the transcript stays. `wake`: end an opt-out, too."""

    def page(self, user_id: str, *, cursor: str | None = None, limit: int = PAGE) -> Page:
        """Return the full transcript, oldest first, a page at a time."""


class OpenConversations(Protocol):
    """Conversations as workers open and change them. `now` is Redis's clock."""

    def get(self, user_id: str) -> Conversation | None:
        """Return the conversation as it stands, read consistently; None if there is none."""

    def open(self, user_id: str, *, now: datetime) -> Conversation:
        """Raise the fence and return the conversation; create it if there is none."""

    def forget(self, user_id: str, *, through_ms: int, fence: int, now: datetime) -> Conversation:
        """Empty window and memory. Raises `Fenced`."""

    def set_active(
        self, user_id: str, *, active: bool, fence: int | None, now: datetime, sent_ms: int | None = None
    ) -> None:
        """Record that the person opted out or in; without a fence, that the carrier says so. Raises `Fenced`."""

    def set_quiet(self, user_id: str, *, until_ms: int, fence: int | None, now: datetime) -> None:
        """Record until when the person gets no reply; without a fence, as the carrier says. Raises `Fenced`."""

    def remember(self, conversation: Conversation, memory: Memory) -> bool:
        """Replace the memory of a conversation as it was read; False if it changed since."""

    def set_returned(self, user_id: str, *, fence: int, now: datetime) -> None:
        """Record that an erased person texts again. Raises `Fenced`."""

    def delete_if_untouched(self, user_id: str, *, fence: int) -> bool:
        """Delete a conversation that was only opened; return whether there is none now."""
