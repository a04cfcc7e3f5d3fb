"""Recognise the protocol step of a request from its bytes alone.

- DynamoDB: by the operation and by attributes that only one step writes.
- Redis: by the digest of the called script.
- Twilio: by method and path.
"""

from __future__ import annotations

import re
from enum import StrEnum
from functools import cache
from hashlib import sha1
from typing import Final

from inbox.scripts import script


class Step(StrEnum):
    """The requests that belong to the processing of a text."""

    # webhook and Redis
    ACCEPT = "accept"
    # worker and Redis
    POP = "pop"
    TAKE = "take"
    REMOVE = "remove"
    CLOSE = "close"
    # worker and DynamoDB
    OPEN = "open"
    FILE = "file"
    PERSIST = "persist"
    CLAIM = "claim"
    BIND = "bind"
    REPORT = "report"
    # worker and Twilio
    SEND = "send"
    LIST = "list"


_ATTEMPT: Final = re.compile(rb"((?:SM|MM)[0-9A-Za-z_]+-[0-9]+r?-[0-9a-f]{16})")
_POSTED: Final = re.compile(rb"POST /2010-04-01/Accounts/[^/]+/Messages\.json ")
_LISTED: Final = re.compile(rb"GET /2010-04-01/Accounts/[^/]+/Messages\.json")
_ERROR: Final = b"-"
#: Empty answers to a blocking read, in both versions of the Redis protocol.
_NOTHING: Final = (b"*-1", b"_", b"$-1")


def step_of(service: str, request: bytes) -> Step | None:
    """Return the step that a request to a service performs; None for any other request."""
    if service == "redis":
        return _redis_step(request)
    if service == "twilio":
        if _POSTED.match(request):
            return Step.SEND
        return Step.LIST if _LISTED.match(request) else None
    return _dynamodb_step(request)


def _redis_step(request: bytes) -> Step | None:
    if b"BRPOP" in request:
        return Step.POP
    if b"EVALSHA" not in request:
        return None
    return next((step for digest, step in _digests().items() if digest in request), None)


@cache
def _digests() -> dict[bytes, Step]:
    return {
        sha1(script(step).encode(), usedforsecurity=False).hexdigest().encode(): step
        for step in (Step.ACCEPT, Step.TAKE, Step.REMOVE, Step.CLOSE)
    }


def _dynamodb_step(request: bytes) -> Step | None:
    if b".TransactWriteItems" in request:
        if b'"#claimed_at"' in request:
            return Step.CLAIM
        return Step.PERSIST if b'"#answered_at"' in request else None
    if b".UpdateItem" not in request:
        return None
    for mark, step in (
        (b'"#filed_at"', Step.FILE),
        (b'"#status_at"', Step.REPORT),
        # a part that no attempt ever claimed may be bound, too
        (b'"#log"', Step.BIND if attempt_of(request) else None),
        (b"if_not_exists(#fence", Step.OPEN),
    ):
        if mark in request:
            return step
    return None


def attempt_of(request: bytes) -> str:
    """Return the attempt id in a claim, a send or a bind; `""` if the request has none."""
    match = _ATTEMPT.search(request)
    return match.group(1).decode() if match else ""


def took_effect(service: str, answer: bytes) -> bool:
    """Return whether an answer confirms an effect: it is no error and, from Redis, not empty."""
    if service == "redis":
        return not answer.startswith((_ERROR, *_NOTHING))
    return answer.split(b" ", 2)[1:2] in ([b"200"], [b"201"])


def status_of(answer: bytes) -> int:
    """Return the status code of an HTTP answer; 0 if the answer is not HTTP."""
    words = answer.split(b" ", 2)
    return int(words[1]) if len(words) > 1 and words[1].isdigit() else 0
