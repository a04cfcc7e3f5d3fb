"""What can be wrong with the inbox as a whole."""


class InboxAway(Exception):
    """Redis cannot be reached, or hung up: nothing is known of the last move. Whatever waits there is still there."""
