"""What can go wrong between us and the two tables: a leaf for each decision that a caller takes."""


class ConversationError(Exception):
    """Root of what this package raises."""


class Fenced(ConversationError):
    """Another worker has taken this person over since; whatever I was about to write must not be written."""


class StoreAway(ConversationError):
    """The store cannot be reached or throttles; nothing is known of the last write. Come back later."""


class TableMissing(ConversationError):
    """A table is not there and could not be made; the message says which and what to grant."""


class CorruptConversation(ConversationError):
    """A conversation's item cannot be read; it is left as it is."""


class IllegalMove(ConversationError):
    """A turn or a part was asked to make a move that the table of moves does not hold: a bug."""


class TooMuchContention(ConversationError):
    """Other writers changed this conversation again and again until the deadline; nothing was written."""
