"""Errors of the inbox as a whole."""


class InboxAway(Exception):
    """Redis cannot be reached, or closed the connection.

    The outcome of the last command is unknown. Everything that waits in Redis is still there.
    """
