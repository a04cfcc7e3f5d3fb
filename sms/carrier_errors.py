"""Code to class, read once from `twilio_errors.toml`."""

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
    """What an answer with this HTTP status and Twilio code means for the message that was asked for.

    The status decides first where it is proof: 429 is never processed, every 5xx and 408 may have been. A code that the table does
    not know counts as permanent with a 4xx. A 4xx without any code did not come from the message API itself (a proxy says such things),
    so it proves nothing, but for those that say that our account or address is wrong.
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
    """The class of a code by itself, as a status callback reports it; None: the table does not know it."""
    return _classes().get(code)


def is_alarming(status: int, code: int | None) -> bool:
    """Whether a person should look at this answer: the table asks for it, or does not know it."""
    if code is not None:
        return is_alarming_code(code)
    return status < HTTPStatus.INTERNAL_SERVER_ERROR and status not in _NEVER_PROCESSED | _UNKNOWN_STATUS


def meaning(code: int) -> str:
    """What `code` says in words, where the table knows."""
    return str(_table()["meaning"].get(str(code), f"Twilio error {code}"))


def is_alarming_code(code: int) -> bool:
    """The same of a code by itself, as a status callback reports it."""
    return code in _table()["alarm"]["codes"] or code not in _classes()


def waits_for_tomorrow(code: int) -> bool:
    """Whether a message that failed with this code may be tried again on the next day only."""
    return code in _table()["failed_later"]["next_day"]


@cache
def _classes() -> Mapping[int, ErrorClass]:
    return {code: ErrorClass(name) for name, codes in _table()["classes"].items() for code in codes}


@cache
def _table() -> Mapping[str, Any]:  # Any: TOML's own types
    return tomllib.loads(files("sms").joinpath("twilio_errors.toml").read_text())
