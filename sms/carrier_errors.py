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

    A code that the table does not know counts as permanent with a 4xx, and as unknown otherwise. The status decides
    first where it is proof: 429 is never processed, every 5xx and 408 may have been.
    """
    if status in _NEVER_PROCESSED:
        return ErrorClass.TRY_AGAIN
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in _UNKNOWN_STATUS:
        return ErrorClass.UNKNOWN
    if code is not None and code in _classes():
        return _classes()[code]
    if status in _ACCOUNT_STATUS:
        return ErrorClass.CONFIGURATION
    if status >= HTTPStatus.BAD_REQUEST:
        return ErrorClass.PERMANENT
    return ErrorClass.UNKNOWN


def meaning(code: int) -> str:
    """What `code` says in words, where the table knows."""
    return str(_table()["meaning"].get(str(code), f"Twilio error {code}"))


@cache
def _classes() -> Mapping[int, ErrorClass]:
    return {code: ErrorClass(name) for name, codes in _table()["classes"].items() for code in codes}


@cache
def _table() -> Mapping[str, Any]:  # Any: TOML's own types
    return tomllib.loads(files("sms").joinpath("twilio_errors.toml").read_text())
