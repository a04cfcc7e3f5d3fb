"""Define the errors of process trees."""


class CannotStart(Exception):
    """The tree cannot run; the message is the one sentence that the operator reads."""


class NoTree(Exception):
    """No tree runs where the operator's command looked for one; the message says where that was."""
