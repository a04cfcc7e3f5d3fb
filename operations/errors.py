"""Define the errors of an operator's request that cannot be carried out."""


class BadRequest(Exception):
    """The request cannot be carried out; the message says why."""


class NotFound(BadRequest):
    """What the request names does not exist; the message says what was looked for."""


class WrongArgument(BadRequest):
    """The request is not what the operator can have meant; the message says what it should be."""
