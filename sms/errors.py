"""What can be wrong with a text before anybody has thought about it."""


class SmsError(Exception):
    """Root of what this package raises."""


class UnusableText(SmsError):
    """A signed request that cannot be used: a field is missing or is not for us.

    The message names the field, never its value: it is answered to Twilio and kept in its debugger.
    """


class CarrierAway(SmsError):
    """The carrier cannot be reached at all; nothing was asked of it."""
