"""Errors of the inbox as a whole."""

from __future__ import annotations

from runtime.errors import Away


class InboxAway(Away):
    """Redis cannot be reached, closed the connection, or cannot carry out commands now.

    The outcome of the last command is unknown. Everything that waits in Redis is still there.
    """


class InboxRefuses(InboxAway):
    """Redis answers and carries out no command: it is a replica, is full, or refuses our login."""

    refuses = True
