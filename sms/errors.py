"""Errors of sending text messages: one class for each decision of a caller."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from runtime.errors import Away


class CarrierAway(Away):
    """The carrier gave no usable answer. Its subclasses say what that proves about the request."""


class NotWritten(CarrierAway):
    """No byte of the request was written: it had no effect, and may be repeated."""


class TooLate(NotWritten):
    """The caller withdrew the request just before its first byte."""


class NoAnswer(CarrierAway):
    """The request was written and no answer came: whether it had an effect is unknown."""


class Unreadable(CarrierAway):
    """The carrier answered with success, in a form that cannot be read."""


#: Statuses from 400 to 499 that concern us or the moment, not what was asked for.
_ABOUT_US: Final = frozenset({401, 403, 408, 425, 429})


class Refused(CarrierAway):
    """The carrier answered with an error."""

    def __init__(self, *, status: int, code: int | None = None, retry_after: timedelta | None = None) -> None:
        super().__init__(f"Twilio refused the request: HTTP {status}")
        #: The HTTP status.
        self.status = status
        #: Twilio's error code; None if the answer has none.
        self.code = code
        #: The pause that Twilio asked for, if any.
        self.retry_after = retry_after
        self.about_item = 400 <= status < 500 and status not in _ABOUT_US  # noqa: PLR2004 - HTTP's client errors


class NotFound(Refused):
    """The carrier does not have what the request names."""
