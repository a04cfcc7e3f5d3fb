"""Define the error of a process tree that cannot run."""


class CannotStart(Exception):
    """The tree cannot run; the message is the one sentence that the operator reads."""
