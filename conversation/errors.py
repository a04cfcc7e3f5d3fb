"""Define the errors of the two tables: one leaf class for each decision that a caller takes."""


class ConversationError(Exception):
    """Root of what this package raises."""


class Fenced(ConversationError):
    """Another worker has taken this person over; the refused write must not be repeated."""


class StoreAway(ConversationError):
    """The store is unreachable or throttles, and the last write may or may not have happened. Retry later."""


class TableMissing(ConversationError):
    """A table is missing and could not be created; the message names it and the permission to grant."""


class CorruptConversation(ConversationError):
    """A conversation's item cannot be read; it is left unchanged."""


class IllegalMove(ConversationError):
    """A turn or a part was asked for a move that is in no table of moves: a bug."""


class TooMuchContention(ConversationError):
    """Other writers changed this conversation again and again until the deadline; nothing was written."""
