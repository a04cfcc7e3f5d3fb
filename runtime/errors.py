"""What an error says about its cause: something outside that is away, or the item at hand."""

from __future__ import annotations


class Discreet(Exception):
    """Its message names no person and repeats no words, so logs and lists may show it."""


class Away(Discreet):
    """A store, Redis or the carrier cannot be used now. Whatever waits for it waits, and is tried again."""

    #: The message says what an operator must mend, such as a permission or a login; else time mends it.
    refuses: bool = False
    #: The answer blames the one item that was asked for, so that the rest of a loop can go on.
    about_item: bool = False


#: Causes that lie outside our code: also a machine without memory or open files.
OUTSIDE = (Away, OSError, MemoryError)
