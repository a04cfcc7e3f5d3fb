"""Which step of the protocol a request is, told from its bytes alone, as somebody on the wire would.

DynamoDB: the operation, and attributes that only one step writes. Redis: the digest of the script that is called. Twilio: method and path.
"""

from __future__ import annotations

import re
from enum import StrEnum
from functools import cache
from hashlib import sha1
from typing import Final

from inbox import redis as inbox_redis


class Step(StrEnum):
    """The requests that matter to the walk of a text."""

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
#: An empty answer to a blocking read, in both versions of Redis's protocol.
_NOTHING: Final = (b"*-1", b"_", b"$-1")


def step_of(service: str, request: bytes) -> Step | None:
    """The step that a request to a service is; None for one that is no step of the walk."""
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
        sha1(inbox_redis.script(step).encode(), usedforsecurity=False).hexdigest().encode(): step
        for step in (Step.ACCEPT, Step.TAKE, Step.REMOVE, Step.CLOSE)
    }


def _dynamodb_step(request: bytes) -> Step | None:
    if b".TransactWriteItems" in request:
        if b'":sending"' in request:
            return Step.CLAIM
        return Step.PERSIST if b'":answered"' in request else None
    if b".UpdateItem" not in request:
        return None
    for mark, step in (
        (b'"#filed_at"', Step.FILE),
        (b"contains(#attempts", Step.REPORT),
        (b'"#claimed_at"', None),
        (b'":attempt"', Step.BIND),
        (b"if_not_exists(#fence", Step.OPEN),
    ):
        if mark in request:
            return step
    return None


def attempt_of(request: bytes) -> str:
    """The attempt that a claim, a send or a bind is about; empty where it names none."""
    found = _ATTEMPT.search(request)
    return found.group(1).decode() if found else ""


def took_effect(service: str, answer: bytes) -> bool:
    """Whether an answer says that something was done: no error, and no empty hand."""
    if service == "redis":
        return not answer.startswith((_ERROR, *_NOTHING))
    return answer.split(b" ", 2)[1:2] in ([b"200"], [b"201"])


def status_of(answer: bytes) -> int:
    """The status of an HTTP answer; 0 for what is none."""
    words = answer.split(b" ", 2)
    return int(words[1]) if len(words) > 1 and words[1].isdigit() else 0
