"""Define the error of an operator's request that cannot be carried out."""


class BadRequest(Exception):
    """The request cannot be carried out; the message says why."""
