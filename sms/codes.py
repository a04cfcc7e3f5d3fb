"""Classes of Twilio's error codes, read once from `sms/codes.toml`."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from http import HTTPStatus
from importlib.resources import files
from typing import Any

from sms.ports import ErrorClass

_NEVER_PROCESSED = frozenset({HTTPStatus.TOO_MANY_REQUESTS})
_UNKNOWN_STATUS = frozenset({HTTPStatus.REQUEST_TIMEOUT})
_ACCOUNT_STATUS = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND})


def classify(status: int, code: int | None) -> ErrorClass:
    """Return what an answer with this HTTP status and Twilio code means for the requested message.

    - The status decides first if it is proof: a 429 was never processed, a 5xx or 408 may have been.
    - A 4xx with a code that the table does not know is permanent.
    - A 4xx without a code did not come from the message API itself but, for example, from a proxy. It proves nothing,
      except for the statuses that mean a wrong account or address.
    """
    if status in _NEVER_PROCESSED:
        return ErrorClass.TRY_AGAIN
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in _UNKNOWN_STATUS:
        return ErrorClass.UNKNOWN
    if code is not None and code in _classes():
        return _classes()[code]
    if status in _ACCOUNT_STATUS:
        return ErrorClass.CONFIGURATION
    if status >= HTTPStatus.BAD_REQUEST and code is not None:
        return ErrorClass.PERMANENT
    return ErrorClass.UNKNOWN


def class_of(code: int) -> ErrorClass | None:
    """Return the class of a code in a status callback; None if the table does not know the code."""
    return _classes().get(code)


def is_alarming(status: int, code: int | None) -> bool:
    """Return whether an operator should look at this answer: by the table, or because it is unknown."""
    if code is not None:
        return is_alarming_code(code)
    return status < HTTPStatus.INTERNAL_SERVER_ERROR and status not in _NEVER_PROCESSED | _UNKNOWN_STATUS


def meaning(code: int) -> str:
    """Return the meaning of `code` in words, or `Twilio error <code>` if the table has none."""
    return str(_table()["meaning"].get(str(code), f"Twilio error {code}"))


def is_alarming_code(code: int) -> bool:
    """Return whether an operator should look at this code in a status callback."""
    return code in _table()["alarm"]["codes"] or code not in _classes()


def waits_for_tomorrow(code: int) -> bool:
    """Return whether a message that failed with this code may be retried only on the next day."""
    return code in _table()["failed_later"]["next_day"]


@cache
def _classes() -> Mapping[int, ErrorClass]:
    return {code: ErrorClass(name) for name, codes in _table()["classes"].items() for code in codes}


@cache
def _table() -> Mapping[str, Any]:  # Any: TOML's own types
    return tomllib.loads(files("sms").joinpath("codes.toml").read_text())
