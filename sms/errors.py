"""Errors of receiving and sending text messages."""


class SmsError(Exception):
    """Root of the errors of this package."""


class UnusableText(SmsError):
    """A signed request cannot be used: a field is missing or not valid.

    The message names the field, never its value: the webhook answers with it, and Twilio's debugger keeps it.
    """


class CarrierAway(SmsError):
    """The carrier cannot be reached; nothing was requested."""
