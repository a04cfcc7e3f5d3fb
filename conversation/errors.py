"""Errors between the caller and the two tables: one class for each decision that a caller takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from runtime.errors import Away, Discreet


class ConversationError(Discreet):
    """Root of the errors that the conversation and journal packages raise."""


class Fenced(ConversationError):
    """Another worker raised the fence since; the pending write must not be made."""

    def __init__(self, message: str = "another worker opened this conversation since") -> None:
        super().__init__(message)


class StoreAway(ConversationError, Away):
    """The store cannot be reached or throttles. The outcome of the last write is unknown; try again later."""


class StoreRefuses(StoreAway):
    """The store refuses us: credentials, a permission, a key or a table is wrong; the message says which.

    `code` is the store's own, such as `AccessDeniedException`; empty if there was no answer.
    """

    refuses = True

    def __init__(self, message: str, *, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class TableMissing(StoreRefuses):
    """A table does not exist and could not be created; the message says which and what to grant."""


class NotStorable(ConversationError):
    """The store can never carry out this request: it is malformed or too large. The caller's fault."""

    def __init__(self, message: str, *, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class UnreadableRow(ConversationError):
    """A row of the journal cannot be read; it is left as it is."""


class CorruptConversation(ConversationError, Away):
    """A conversation's item cannot be read; it is left as it is, until an operator mends it."""

    refuses = True
    about_item = True


class IllegalMove(ConversationError):
    """A turn or a reply part was asked to make a move that the table of moves does not hold: a bug."""


class TooMuchContention(ConversationError, Away):
    """Other writers changed this conversation repeatedly until the deadline; nothing was written."""


class ConditionFailed(ConversationError):
    """A condition did not hold, so nothing was written.

    `rows`: one entry for each write of the call, in order. The row as it stood before the write if its condition
    failed; None if the condition held or the row does not exist.
    """

    def __init__(self, rows: Sequence[Mapping[str, Any] | None]) -> None:  # Any: DynamoDB's values
        super().__init__("a condition did not hold")
        self.rows = rows


class Conflict(ConversationError):
    """Another transaction held the same rows, so nothing was written."""
